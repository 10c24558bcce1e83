#!/usr/bin/env python3
"""Upload a disk image of your own, as one that KIWI or Packer built, and lock it like the images of the makers.

IMAGE is an entry of the catalogue, proxmox/images.yml, that has `file` instead of `url`. The file goes to a storage for
images through Proxmox's API, which compares its checksum, and images.lock.yml names it from then on.
What is there already is only compared. Templates and machines are made of it as of any other image.
Exit codes: 0 it is there, 1 refused, 2 wrong usage, or Proxmox is out of reach or refused the file.
"""

from pathlib import Path

from fleet import cli
from fleet.findings import Fault, guarded, listed
from fleet.images import catalogue, lock, upload, volume
from fleet.paths import shown
from fleet.proxmox.client import connect


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("image", metavar="IMAGE", help="name or alias in the catalogue")
    parser.add_argument("file", metavar="FILE", type=Path, help="the image, as .qcow2 or .raw")
    parser.add_argument("--node", help="the node (default: the only one, or the first that is online)")
    parser.add_argument(
        "--storage", help="the storage (default: the one that has it, else the first for images)"
    )
    parser.add_argument("--dry-run", action="store_true", help="send and write nothing")
    options = parser.parse_args(argv)
    client, place = connect(), catalogue.path()
    images = catalogue.read(place)
    image = catalogue.find(images, options.image)
    if not image.file:
        raise Fault(f"{image.name} is published at {image.url}; give your image an entry of its own, with `file`",
                    shown(place), image.line)  # fmt: skip
    known = lock.of(images, place)
    build = upload.build(image, options.file, known.get(image.name))
    online = sorted(name for name, up in client.nodes().items() if up)
    node = options.node or next(iter(online), "")
    if node not in online:
        raise Fault(f"{node or 'no node'} is not online; there are {listed(online)}", code=2)
    storage = options.storage or volume.choose(client, node, build)
    done = upload.run(client, node, storage, build, options.file, options.dry_run)
    print(done.message)
    if not options.dry_run:
        written = lock.write(place, (known | {image.name: build}).values())
        print(f"{shown(lock.path(place))}: {'written' if written else 'unchanged'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
