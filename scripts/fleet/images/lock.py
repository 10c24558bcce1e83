"""The lock, images.lock.yml beside the catalogue: of each image the build that templates and machines are made of.

`make images-update` writes it and nothing else does, so that what is built today is built again tomorrow.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fleet.files import read_text, write_text
from fleet.findings import Fault, cut, printable
from fleet.images import catalogue, entry
from fleet.images.catalogue import Image
from fleet.paths import shown
from fleet.vms import strict_yaml

DIGITS = {"sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_HEADER = "# Written by `make images-update`: the builds that templates and machines are made of.\n"
_FIELDS = ("url", "algorithm", "checksum", "date", "size")
_UPDATE = "run `make images-update`"


class Locked(NamedTuple):
    """One build of an image. Without a checksum it cannot be verified; only an address given by hand has none."""

    name: str
    url: str
    algorithm: str = ""
    checksum: str = ""
    date: str = ""  # as 2026-11-02
    size: int = 0  # bytes; 0: unknown
    user: str = ""
    agent: bool = False
    firmware: str = "seabios"

    @property
    def file(self) -> str:
        """Its name on a storage. Another build has another name, so that none is taken for the other."""
        parts = (self.name, self.date.replace("-", ""), self.checksum[:8])
        return "-".join(filter(None, parts)) + (".raw" if self.url.endswith(".raw") else ".qcow2")


def path(file: Path) -> Path:
    """The lock that belongs to a catalogue."""
    return file.with_suffix(".lock.yml")


def read(file: Path | None = None) -> dict[str, Locked]:
    """The locked images of the catalogue at `file`, by name. Raises Fault for a lock that was changed by hand."""
    file = file or catalogue.path()
    return of(catalogue.read(file), file)


def of(images: Mapping[str, Image], file: Path) -> dict[str, Locked]:
    """`read`, with the catalogue's images at hand."""
    file = path(file)
    label, text = shown(file), read_text(file)
    if strict_yaml.is_blank(text):  # as an update writes it that finds nothing
        return {}
    data, lines, findings = strict_yaml.parse(label, text)
    if findings:
        first = findings[0]
        raise Fault(f"{first.message}; {_UPDATE}, which writes it", label, first.line, first.col)
    found = {}
    for name, fields in (data or {}).items():
        for problem in _problems(fields):
            raise Fault(
                f"{cut(printable(name))}: {problem}; {_UPDATE}, which writes it", label, lines[name][0]
            )
        if image := images.get(name):
            found[name] = Locked(name, **fields, user=image.user, agent=image.agent, firmware=image.firmware)
    return found


def locked(word: str, file: Path | None = None) -> Locked:
    """The build of the image with that name or alias. Raises Fault when there is none."""
    file = file or catalogue.path()
    images = catalogue.read(file)
    image = catalogue.find(images, word)
    if found := of(images, file).get(image.name):
        return found
    way_out = (
        f"`.venv/bin/python scripts/upload_image.py {image.name} {image.file}`" if image.file else _UPDATE
    )
    raise Fault(f"{image.name} is not in {shown(path(file))}: {way_out}")


def from_url(url: str, checksum: str = "", file: Path | None = None) -> Locked:
    """The build at an address that somebody wrote: the locked one where the catalogue or the lock has the address.

    `checksum`: as `sha256:…`. Without it an address that the catalogue does not have gives a build without one.
    """
    file = file or catalogue.path()
    if problem := entry.address(url):
        raise Fault(f"the image's address {problem}")
    algorithm, digits = _checksum(checksum)
    images = catalogue.read(file)
    known = of(images, file)
    for image in images.values():
        there = known.get(image.name)
        if image.url and not checksum and url in (image.url, there and there.url):
            return there or locked(image.name, file)
    name = re.sub(r"[^A-Za-z0-9.+=_-]", "-", PurePosixPath(urlsplit(url).path).stem)[:100]
    if not name:
        raise Fault(f"the image's address {cut(url)} does not name a file")
    return Locked(name, url, algorithm, digits)


def write(file: Path, builds: Iterable[Locked]) -> bool:
    """Write the lock of the catalogue at `file`; whether it changed."""
    texts = [
        f"{one.name}:\n  url: {one.url}\n  algorithm: {one.algorithm}\n"
        f'  checksum: "{one.checksum}"\n  date: "{one.date}"\n  size: {one.size}\n'
        for one in sorted(builds)
    ]
    return write_text(path(file), "\n".join([_HEADER, *texts]))


def _checksum(text: str) -> tuple[str, str]:
    """Algorithm and digits of `sha256:…`."""
    if not text:
        return "", ""
    algorithm, _, digits = text.strip().lower().rpartition(":")
    algorithm = algorithm or next((name for name, many in DIGITS.items() if many == len(digits)), "")
    if not _is_checksum(algorithm, digits):
        raise Fault(f"the checksum {cut(printable(text))} does not have the form sha256:… or sha512:…")
    return algorithm, digits


def _is_checksum(algorithm: Any, digits: Any) -> bool:
    is_text = isinstance(algorithm, str) and isinstance(digits, str)
    return is_text and bool(re.fullmatch(r"[0-9a-f]+", digits)) and len(digits) == DIGITS.get(algorithm)


def _problems(fields: Any) -> Iterator[str]:
    if not isinstance(fields, dict) or sorted(fields) != sorted(_FIELDS):
        yield f"must have the fields {', '.join(_FIELDS)}"
        return
    if problem := entry.source(fields["url"]):
        yield f"url {problem}"
    if not _is_checksum(fields["algorithm"], fields["checksum"]):
        yield "algorithm and checksum do not fit"
    if problem := entry.day(fields["date"]):
        yield f"date {problem}"
    if type(fields["size"]) is not int or fields["size"] < 0:
        yield "size must be a number of bytes"
