"""The lab's site of images: HTTPS on 192.168.1.1:443 and HTTP on port 80, in the lab's network.

Reads LAB_DIR/images: published.json and faults.json. `python -m lab.images publish IMAGE BUILD` publishes
another build, which `latest` shows from then on.
"""

import argparse
import contextlib
import signal

from lab import GATEWAY, lab_dir, secrets_dir
from lab.images import server, shelf


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.images", description="The lab's site of images.")
    commands = parser.add_subparsers(dest="command")
    publish = commands.add_parser("publish", help="publish another build of an image")
    publish.add_argument("image", choices=shelf.IMAGES)
    publish.add_argument("build", choices=sorted(shelf.DATES))
    args = parser.parse_args(argv)
    folder = lab_dir() / "images"
    if args.command:
        shelf.Shelf(folder).publish(args.image, args.build)
        return 0
    with contextlib.ExitStack() as stack:
        tls = (lab_dir() / "tls/proxmox.pem", secrets_dir() / "proxmox_tls.key")
        for port, files in ((443, tls), (80, None)):
            address = stack.enter_context(server.serving((GATEWAY, port), folder, shelf.Shelf(folder), files))
            print(f"images at {address}", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
