"""What an entry of the catalogue may say, field by field."""

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from fleet.findings import cut

_WORD = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SUFFIXES = (".qcow2", ".img", ".raw")


def problems(name: str, fields: Any) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) for one entry; the field is "" for the entry itself."""
    if not _WORD.fullmatch(name) or "." in name:
        yield "", "a name has lower-case letters, digits and hyphens, as debian12"
    if not isinstance(fields, dict):
        yield "", "must have the fields of an image below it: url, checksums, user"
        return
    for field in ("user",) if "file" in fields else ("url", "checksums", "user"):
        if field not in fields:
            yield "", f"lacks {field}"
    for field in ("url", "checksums", "builds"):
        if "file" in fields and field in fields:
            yield field, "does not go with file: the image is either published or uploaded"
    for field, value in fields.items():
        if field not in _FIELDS:
            import difflib  # which a right catalogue does not need

            close = difflib.get_close_matches(field[:40], _FIELDS, 1, 0.6)
            yield field, f"unknown field; {f'did you mean {close[0]}?' if close else _known()}"
        elif problem := _FIELDS[field](value):
            yield field, problem


def _known() -> str:
    return f"the known ones are {', '.join(_FIELDS)}"


def address(value: Any) -> str:
    """What is wrong with an address as a text to download from; "" when nothing is."""
    if not isinstance(value, str):
        return "must be an address, as https://…"
    try:
        parts = urlsplit(value)
        odd = parts.username is not None or parts.query or parts.fragment or parts.port == 0
    except ValueError:
        return f"{cut(value)} is not an address"
    if parts.scheme == "http":
        return "must start with https://: what http brings can be changed on the way, and its checksum too"
    if parts.scheme != "https" or not parts.hostname or odd:
        return f"{cut(value)} must have the form https://host/path"
    if not re.fullmatch(r"[!-~]+", value) or "/../" in parts.path:
        return f"{cut(value)} has characters that an address cannot have"
    return ""


def _image(value: Any) -> str:
    if problem := address(value):
        return problem
    file = value.rpartition("/")[2]
    if re.match(r"debian-[\w.]+-nocloud-", file):
        return f"{file} has no cloud-init, in spite of its name; take the one called generic"
    return "" if file.endswith(_SUFFIXES) else f"must name a disk image, which ends in {', '.join(_SUFFIXES)}"


def _file(value: Any) -> str:
    """An image of one's own, by the name that its file has."""
    good = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+=_-]{0,99}\.(qcow2|raw)", value)
    return "" if good else "must be the name of a file that ends in .qcow2 or .raw"


def source(value: Any) -> str:
    """What is wrong with the source of a locked build: an address, or `file:` and a name."""
    is_file = isinstance(value, str) and value.startswith("file:")
    return _file(value.removeprefix("file:")) if is_file else address(value)


def _listing(value: Any) -> str:
    return address(value) or ("" if value.endswith("/") else "must end in /, as a listing of folders does")


def _user(value: Any) -> str:
    good = isinstance(value, str) and _USER.fullmatch(value)
    return "" if good else "must be the name of an account, as debian"


def _aliases(value: Any) -> str:
    if not isinstance(value, list):
        return "must be a list, as [debian-12, bookworm]"
    wrong = [alias for alias in value if not isinstance(alias, str) or not _WORD.fullmatch(alias)]
    return f"{cut(str(wrong[0]))} is not a word of letters, digits, dots and hyphens" if wrong else ""


def _truth(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _firmware(value: Any) -> str:
    return "" if value in ("seabios", "ovmf") else "must be seabios or ovmf"


def day(value: Any) -> str:
    """What is wrong with a day; "" when nothing is."""
    try:
        if isinstance(value, str) and datetime.date.fromisoformat(value).isoformat() == value:
            return ""
    except ValueError:
        pass
    return 'must be a day in quotes, as "2026-08-31"'


_FIELDS: dict[str, Callable[[Any], str]] = {
    "aliases": _aliases,
    "url": _image,
    "file": _file,
    "checksums": address,
    "builds": _listing,
    "user": _user,
    "agent": _truth,
    "firmware": _firmware,
    "ended": day,
}
