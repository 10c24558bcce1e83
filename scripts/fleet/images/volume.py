"""An image as a volume of a storage, from which disks are imported (content type `import`)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fleet.console import note
from fleet.findings import Fault, listed
from fleet.images import download
from fleet.images.lock import Locked
from fleet.proxmox.client import Client

_OF_FILES = ("dir", "nfs", "cifs", "btrfs", "cephfs", "glusterfs")  # types that can hold images to import


class Brought(NamedTuple):
    volid: str  # local:import/debian12-20261102-1a2b3c4d.qcow2
    changed: bool
    message: str


def bring(
    client: Client,
    node: str,
    storage: str,
    image: Locked,
    say: Callable[[str], None] = note,
    check: bool = False,
    timeout: float = 1800,
    allow_not_verified: bool = False,
) -> Brought:
    """See to it that the image is on the storage and is what it should be. Raises Fault.

    What is there is verified each time, by the node, without the site it came from: call this only before something
    is made of the image. With `check` nothing is done and the answer is what would be. An image without a checksum
    is taken as it is, and only with `allow_not_verified`.
    """
    if not image.checksum and not allow_not_verified:
        raise Fault(
            f"{image.url} comes without a checksum, so nobody can tell whether it arrives unchanged: give its"
            " checksum, as sha256:…, or allow an image that is not verified"
        )
    about = usable(client, node, storage)
    volume = f"{storage}:import/{image.file}"
    there = find(client, node, storage, image)
    if not there and image.url.startswith("file:"):
        file = image.url.removeprefix("file:")
        command = (
            f".venv/bin/python scripts/upload_image.py {image.name} {file} --node {node} --storage {storage}"
        )
        raise Fault(f"{volume} is not on {node}: `{command}`")
    if check:
        what = f"{volume} is on {node}" if there else f"would download {image.url} to {volume} on {node}"
        return Brought(volume, not there, what)
    if not there and download.awaited(client, node, image, say, timeout):
        there = find(client, node, storage, image)
    if there and not image.checksum:
        return Brought(volume, False, f"{volume} is on {node} and was not verified: no checksum is known")
    if not there:
        check_room(node, storage, about, image.size)
        size = f" ({_megabytes(image.size)})" if image.size else ""
        say(f"{image.name}: {node} downloads {image.url}{size} to {storage}")
    if download.run(client, node, storage, image, say, timeout):
        state = "verified" if image.checksum else "not verified: no checksum is known"
        return Brought(volume, True, f"{volume} was downloaded to {node}, {state}")
    return Brought(volume, False, f"{volume} is on {node}, verified")


def find(client: Client, node: str, storage: str, image: Locked) -> dict[str, Any] | None:
    """Proxmox's entry of the image on a storage; its `size` is that of the file. None when there is none."""
    name = f"{storage}:import/{image.file}"
    return next((entry for entry in content(client, node, storage) if entry["volid"] == name), None)


def choose(client: Client, node: str, image: Locked) -> str:
    """The storage of a node for an image: the one that has it, else `local`, else the first that can. Raises Fault."""
    storages = client.storages(node) or {}
    able = _able(storages)
    if not able:
        raise Fault(
            f"{node} has no storage for images; {_way_out('local', storages.get('local', {}))} on {node}"
        )
    has = [name for name in able if find(client, node, name, image)] if len(able) > 1 else []
    return has[0] if has else usual(storages)


def usual(storages: Mapping[str, Mapping[str, Any]]) -> str:
    """The storage for a new image: `local`, where it or none can have images, else the first that can."""
    able = _able(storages)
    return "local" if "local" in able or not able else able[0]


def content(client: Client, node: str, storage: str) -> list[dict[str, Any]]:
    """The images on a storage, as Proxmox lists them."""
    return client.get(f"nodes/{node}/storage/{storage}/content", content="import")


def _able(storages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name in sorted(storages) if "import" in storages[name].get("content", "").split(",")]


def usable(client: Client, node: str, name: str) -> dict[str, Any]:
    """Proxmox's entry of a storage that can hold images. Raises Fault for another."""
    storages = client.storages(node) or {}
    about, able = storages.get(name), _able(storages)
    if about is None:
        raise Fault(
            f"{node} has no storage {name}, or the token lacks Datastore.Audit on /storage/{name};"
            f" images can be on {listed(able)}"
        )
    if name not in able:
        others = f"choose {' or '.join(able)}, or " if able else ""
        raise Fault(f"{name} on {node} is not for images: {others}{_way_out(name, about)}")
    if not about.get("active", 1):
        raise Fault(f"{name} on {node} does not work at the moment: see `pvesm status` there", code=2)
    return about


def _way_out(name: str, about: dict[str, Any]) -> str:
    """How a storage becomes one that can hold images."""
    if about.get("type", "dir") not in _OF_FILES:
        return f"add one of type dir, nfs or cifs, since one of type {about['type']} cannot hold them"
    content = ",".join(filter(None, [about.get("content", "images,iso,vztmpl,backup"), "import"]))
    return f"allow it by `pvesm set {name} --content {content}`"


def check_room(node: str, storage: str, about: dict[str, Any], size: int) -> None:
    """Raises Fault where a file of `size` bytes does not fit."""
    free = about.get("avail")
    if free is not None and size > int(free):
        raise Fault(
            f"{storage} on {node} has {_megabytes(int(free))} left, and the image has {_megabytes(size)}:"
            " make room there, or choose another storage",
            code=2,
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.{0 if size > 1e7 else 1}f} MB"
