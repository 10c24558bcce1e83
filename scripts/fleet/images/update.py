"""The newest builds of many images at once, beside those that are locked."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from fleet.console import table
from fleet.findings import Fault
from fleet.images import resolve
from fleet.images.catalogue import Image
from fleet.images.lock import Locked


class Row(NamedTuple):
    """What became of one image; without `new` the fault says why."""

    image: Image
    old: Locked | None
    new: Locked | None
    fault: Fault | None = None

    @property
    def changed(self) -> bool:
        return self.new is not None and self.new != self.old


def rows(images: Iterable[Image], known: Mapping[str, Locked]) -> list[Row]:
    """Ask for all images at the same time; one that fails stops no other."""

    def ask(image: Image) -> Row:
        old = known.get(image.name)
        if image.file and old:  # an upload is as new as it will get
            return Row(image, old, old)
        try:
            return Row(image, old, resolve.newest(image, old))
        except Fault as fault:
            return Row(image, old, None, fault)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, images))


def shown(rows: Iterable[Row]) -> str:
    """A table for a person: old and new builds by date and the first digits of their sums."""
    cells = []
    for row in rows:
        newest = "unchanged" if row.new and not row.changed else _build(row.new, "not found")
        ended = f"its makers stopped updating it on {row.image.ended}" if row.image.ended else ""
        cells.append((row.image.name, _build(row.old, "-"), newest, ended))
    return table(("image", "locked", "newest", ""), cells)


def _build(build: Locked | None, none: str) -> str:
    return f"{build.date} {build.checksum[:8]}" if build else none
