"""The catalogue of cloud images, proxmox/images.yml: what there is, under which names, and where it is published."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fleet.files import read_text
from fleet.findings import Fault, Finding, cut, listed, printable
from fleet.images import entry
from fleet.paths import IMAGES, shown
from fleet.vms import strict_yaml


class Image(NamedTuple):
    """One entry. `url` is the address whose content changes with each build; the lock has the dated one.

    Or `file` is the name of an image of one's own, which upload_image.py brings to a storage.
    """

    name: str
    url: str = ""
    checksums: str = ""  # the file that has the sum of what `url` has now
    user: str = ""  # the account that cloud-init makes when nothing else is asked for
    file: str = ""
    aliases: tuple[str, ...] = ()
    builds: str = ""  # the listing of the folders of dated builds; "" or the folder of `url`: dated files
    agent: bool = False  # whether qemu-guest-agent is in it
    firmware: str = "seabios"  # or ovmf
    ended: str = ""  # the day of the last update by its makers, as 2026-08-31
    line: int = 0


def path() -> Path:
    """The catalogue that counts: PROXMOX_IMAGES, else the repository's."""
    return Path(os.environ.get("PROXMOX_IMAGES") or IMAGES)


def load(file: Path) -> tuple[dict[str, Image], list[Finding]]:
    """The images by name, and what is wrong with the file. A wrong entry is left out."""
    label, text = shown(file), read_text(file)
    if strict_yaml.is_blank(text):
        what = "has no image" if file.exists() else "does not exist; set PROXMOX_IMAGES to another's path"
        return {}, [Finding(what, label)]
    data, lines, findings = strict_yaml.parse(label, text)
    images: dict[str, Image] = {}
    for name, fields in (data or {}).items():
        wrong = list(entry.problems(name, fields))
        for field, message in wrong:
            findings.append(_at(label, lines, f"{name}.{field}" if field else name, message))
        if not wrong:
            line = lines[name][0]
            images[name] = Image(name, line=line, **fields | {"aliases": tuple(fields.get("aliases", ()))})
    findings += _doubles(label, lines, images.values())
    return images, findings


def read(file: Path | None = None) -> dict[str, Image]:
    """The images by name. Raises Fault for a catalogue with a mistake."""
    images, findings = load(file or path())
    if findings:
        first, more = findings[0], len(findings) - 1
        rest = f" (and {more} more; scripts/update_images.py --check lists them)" if more else ""
        raise Fault(first.message + rest, first.path, first.line, first.col)
    return images


def find(images: Mapping[str, Image], word: str) -> Image:
    """The image of that name or alias. Raises Fault, which says what there is."""
    names = {alias: image for image in images.values() for alias in (image.name, *image.aliases)}
    if image := names.get(word):
        return image
    import difflib  # which most words do not need

    close = difflib.get_close_matches(word[:40].lower(), names, 1, 0.6)
    meant = f"; did you mean {close[0]}?" if close else "."
    raise Fault(f"the catalogue has no image {cut(printable(word))}{meant} It has {listed(sorted(images))}")


def _doubles(label: str, lines: strict_yaml.Lines, images: Iterable[Image]) -> Iterable[Finding]:
    """Aliases that mean more than one image."""
    images = list(images)
    first = {image.name: (image.name, image.line) for image in images}
    for image in images:
        for index, alias in enumerate(image.aliases):
            field = f"{image.name}.aliases.{index}"
            if alias in first:
                owner, line = first[alias]
                yield _at(label, lines, field, f"{alias} is {owner} already (line {line}); keep one of them")
            else:
                first[alias] = (f"an alias of {image.name}", lines[field][0])


def _at(label: str, lines: strict_yaml.Lines, field: str, message: str) -> Finding:
    place = field
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return Finding(printable(f"{cut(field)}: {message}"), label, *lines.get(place, (1, 1)), field=field)
