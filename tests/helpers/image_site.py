"""The lab's site of images on 127.0.0.1, without a lab: tiny images, and a CA of its own."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lab import credentials
from lab.images import catalogue, faults, server
from lab.images.shelf import IMAGES, Shelf

MIB = {"A": 64, "B": 65}


class ImageSite(NamedTuple):
    url: str  # https://127.0.0.1:PORT
    ca: Path
    catalogue: Path  # an images.yml of the site
    shelf: Shelf
    folder: Path

    def publish(self, image: str, *builds: str) -> None:
        """Publish build "B" beside "A"; the moving names show the last one."""
        self.shelf.publish(image, *builds)

    def faults(self, *items: dict) -> contextlib.AbstractContextManager[None]:
        """What goes wrong while a block lasts, as lab/images/faults.py describes it."""
        return faults.injected(self.folder, *items)

    def file(self, image: str, build: str) -> Path:
        """What the site serves as that build."""
        return self.folder / f"{image}-{build}.qcow2"


def _image(file: Path, mebibytes: int) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, f"{mebibytes}M"], check=True)
    with file.open(
        "r+b"
    ) as stream:  # so that a download takes more than one piece, and no two images are alike
        stream.seek((1 << 20) - len(file.name))
        stream.write(file.name.encode())


@contextlib.contextmanager
def image_site(folder: Path) -> Iterator[ImageSite]:
    """The site, with build A of each image published, and its catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = credentials.Authority()
    key, certificate = authority.issue("images", ["127.0.0.1"])
    ca, pem, secret = folder / "ca.pem", folder / "site.pem", folder / "site.key"
    for file, text in ((ca, authority.text), (pem, certificate + authority.text), (secret, key)):
        file.write_text(text)
    for image in IMAGES:
        for build, size in MIB.items():
            _image(folder / f"{image}-{build}.qcow2", size)
    shelf = Shelf(folder, lambda image, build: folder / f"{image}-{build}.qcow2")
    with server.serving(("127.0.0.1", 0), folder, shelf, (pem, secret)) as url:
        listed = folder / "images.yml"
        listed.write_text(catalogue.text(url))
        yield ImageSite(url, ca, listed, shelf, folder)
