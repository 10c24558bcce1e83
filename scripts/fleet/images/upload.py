"""An image of one's own, sent to a storage through the API, and compared there with its checksum.

Proxmox overwrites a file of the same name without a word. So its name has its day and its checksum.
"""

import datetime
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from fleet.console import note
from fleet.findings import Fault
from fleet.images import volume
from fleet.images.catalogue import Image
from fleet.images.lock import Locked
from fleet.images.volume import Brought
from fleet.paths import shown
from fleet.proxmox import rights, tasks
from fleet.proxmox.client import Client
from fleet.proxmox.rights import right

QCOW2 = b"QFI\xfb"
SAID = 5  # seconds between two lines of progress


def build(image: Image, file: Path, known: Locked | None = None) -> Locked:
    """The build that a file is; `known` where it has the same content. Raises Fault for what is no disk image."""
    with file.open("rb") as stream:
        is_qcow2 = stream.read(4) == QCOW2
        stream.seek(0)
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    if is_qcow2 != image.file.endswith(".qcow2"):
        what = "is a qcow2 image" if is_qcow2 else "is no qcow2 image"
        raise Fault(f"{what}, but the catalogue calls {image.name} {image.file}", shown(file))
    if known and known.checksum == checksum:
        return known
    size = file.stat().st_size
    if not size:
        raise Fault("is empty", shown(file))
    day = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC).date().isoformat()
    url = f"file:{image.file}"
    return Locked(image.name, url, "sha256", checksum, day, size, image.user, image.agent, image.firmware)


def run(
    client: Client,
    node: str,
    storage: str,
    image: Locked,
    file: Path,
    check: bool = False,
    say: Callable[[str], None] = note,
) -> Brought:
    """Send the file unless it is there, and let the node compare. Raises Fault."""
    about = volume.usable(client, node, storage)
    name = f"{storage}:import/{image.file}"
    if volume.find(client, node, storage, image):
        return volume.bring(client, node, storage, image, say, check)
    volume.check_room(node, storage, about, image.size)
    lacking = rights.missing(client, [right(f"/storage/{storage}", "Datastore.AllocateTemplate")])
    if lacking:
        raise Fault(f"{image.name} cannot be uploaded: {'; '.join(lacking)}", code=2)
    if check:
        return Brought(name, True, f"would upload {shown(file)} to {name} on {node}")
    try:
        upid = _send(client, node, storage, image, file, say)
        tasks.wait(client, upid)
    except tasks.Failed as failed:
        raise Fault(
            f"{name} did not get onto {node}: {failed.exitstatus}; nothing of it was kept", code=2
        ) from None
    return Brought(name, True, f"{name} was uploaded to {node}, verified")


def _send(
    client: Client, node: str, storage: str, image: Locked, file: Path, say: Callable[[str], None]
) -> str:
    from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor  # which few runs need

    last = [time.monotonic()]

    def tell(monitor: MultipartEncoderMonitor) -> None:
        if time.monotonic() - last[0] >= SAID:
            last[0] = time.monotonic()
            say(
                f"{image.name}: {100 * monitor.bytes_read // monitor.len} % of {image.size / 1e6:.0f} MB are sent"
            )

    with file.open("rb") as stream:
        fields = {
            "content": "import",
            "checksum-algorithm": image.algorithm,
            "checksum": image.checksum,
            "filename": (image.file, stream),  # the last, as Proxmox wants it
        }
        form = MultipartEncoderMonitor(MultipartEncoder(fields), tell)
        return client.upload(f"nodes/{node}/storage/{storage}/upload", form)
