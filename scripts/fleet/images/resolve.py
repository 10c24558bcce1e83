"""From an image's moving address to the dated one of the same build.

Nothing is guessed from names: the dated file is the one whose published checksum is that of the moving address.
"""

import datetime
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote, urljoin

from fleet.findings import Fault
from fleet.images import checksums, web
from fleet.images.catalogue import Image
from fleet.images.checksums import Sum
from fleet.images.lock import Locked

MOST_BUILDS = 6  # builds that are looked at, the newest first
_LINK = re.compile(r"""\bhref\s*=\s*["']?([^"'\s>]+)""", re.I)
_DAY = re.compile(r"(?<!\d)(20\d\d)([01]\d)([0-3]\d)(?!\d)")


def newest(image: Image, known: Locked | None = None) -> Locked:
    """The newest build; `known`, the locked one, when it still is. Raises Fault with the addresses."""
    if image.file:
        raise Fault(
            f"{image.file} was not uploaded yet: `.venv/bin/python scripts/upload_image.py {image.name} {image.file}`"
        )
    moving = _moving(image)
    if known and (known.algorithm, known.checksum) == moving[1:] and _is_there(known.url):
        return known
    url = next(_dated(image, moving), None)
    if url is None:
        where = image.builds or urljoin(image.url, ".")
        raise Fault(
            f"{where} has no dated build with the checksum that {image.checksums} gives for {image.url}: if the"
            " next build is being published, try again later; else correct `builds` in the catalogue"
        )
    size, changed = web.head(url)
    day = _day(url) or changed or datetime.datetime.now(datetime.UTC).date().isoformat()
    user, agent, firmware = image.user, image.agent, image.firmware
    return Locked(image.name, url, moving.algorithm, moving.checksum, day, size, user, agent, firmware)


def _moving(image: Image) -> Sum:
    """The sum of what is at the moving address."""
    file = _last(image.url)
    sums = checksums.parse(web.page(image.checksums).text)
    found = {entry for entry in sums if entry.file == file}
    if not found and len(sums) == 1 and image.checksums.startswith(image.url) and _fits(file, sums[0].file):
        found = set(sums)  # a file for this image alone, which may give its dated name
    best = sorted(found, key=lambda entry: len(entry.checksum))[-2:]
    if not best:
        raise Fault(f"{image.checksums} does not name {file}, the file of {image.url}")
    if len(best) == 2 and best[0].algorithm == best[1].algorithm:
        raise Fault(f"{image.checksums} gives two checksums for {file}: try again later")
    return best[-1]


def _dated(image: Image, moving: Sum) -> Iterator[str]:
    """Addresses of files with this sum that are named after their build."""
    file = _last(image.url)
    own, beside = _last(image.checksums), urljoin(image.url, ".")
    if image.builds not in ("", beside):
        for folder in _newest(name for name in _names(image.builds, "/") if _DAY.search(name)):
            place = f"{image.builds}{folder}/"
            yield from (f"{place}{name}" for name in _same(f"{place}{own}", moving))
        return
    if moving.file != file:
        yield beside + moving.file
    if not image.checksums.startswith(image.url):
        names = _same(image.checksums, moving)
        yield from (beside + name for name in names if name != file and _fits(file, name))
        return
    suffix = image.checksums[len(image.url) :]
    for name in _newest(name for name in _names(beside) if name != file and _fits(file, name)):
        yield from (beside + name for _ in _same(f"{beside}{name}{suffix}", moving))


def _same(url: str, wanted: Sum) -> list[str]:
    """The files to which the checksum file at `url` gives the wanted sum; none where there is no such file."""
    try:
        sums = checksums.parse(web.page(url).text)
    except web.Refused as refused:  # a folder that is not complete yet
        if refused.status != 404:
            raise
        return []
    return [entry.file for entry in sums if entry[1:] == wanted[1:]]


def _names(listing: str, end: str = "") -> Iterator[str]:
    """The files, or with `end` "/" the folders, directly below a listing. Nothing that leads elsewhere."""
    page = web.page(listing)
    base = urljoin(page.url, ".")
    for link in dict.fromkeys(_LINK.findall(page.text)):
        try:
            target = unquote(urljoin(base, html.unescape(link)))
        except ValueError:
            continue
        name = target.removeprefix(base).removesuffix(end)
        if target.startswith(base) and target.endswith(end) and checksums.NAME.fullmatch(name):
            yield name


def _newest(names: Iterator[str]) -> list[str]:
    """The newest by the numbers in their names, which stand in the order of time."""
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])[
        : -MOST_BUILDS - 1 : -1
    ]


def _fits(moving: str, name: str) -> bool:
    """Whether a file is named as the moving one with more in between: a-latest.x86.qcow2, a-9.6-20261102.x86.qcow2."""
    words = iter(re.split(r"[-.]", name))
    return all(word in words for word in re.split(r"[-.]", moving) if word not in ("latest", "current"))


def _is_there(url: str) -> bool:
    try:
        web.head(url)
    except web.Refused:
        return False
    return True


def _day(url: str) -> str:
    for year, month, day in reversed(_DAY.findall(url)):
        try:
            return datetime.date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    return ""


def _last(url: str) -> str:
    return url.rpartition("/")[2]
