"""The lab's site of images for a Proxmox of empty machines: tiny images, in its network, with its CA."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import lab_dir, secrets_dir
from lab.images import catalogue, server, shelf
from lab.images import faults as site_faults

IMAGES = ["debian12", "rocky9", "ubuntu24"]


class Site:
    def __init__(self, folder: Path):
        self.folder, self.shelf = folder, shelf.Shelf(folder, self.file)
        self.catalogue = folder / "images.yml"
        folder.mkdir()
        for image in IMAGES:
            for build, size in (("A", "64M"), ("B", "65M")):
                argv = ["qemu-img", "create", "-q", "-f", "qcow2", self.file(image, build), size]
                subprocess.run(argv, check=True)

    def file(self, image: str, build: str) -> Path:
        return self.folder / f"{image}-{build}.qcow2"

    def faults(self, *items: dict):
        return site_faults.injected(self.folder, *items)


@contextmanager
def site_in_lab() -> Iterator[Site]:
    """Build A of each image is published."""
    found = Site(lab_dir() / "site")
    tls = (lab_dir() / "tls/proxmox.pem", secrets_dir() / "proxmox_tls.key")
    with server.serving(("192.168.1.1", 0), found.folder, found.shelf, tls) as url:
        found.catalogue.write_text(catalogue.text(url))
        yield found
