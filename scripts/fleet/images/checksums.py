"""Checksum files, as `sha256sum` writes them (GNU) and as `sha256` does (BSD), signed in the text or not."""

import re
from typing import NamedTuple

from fleet.images.lock import DIGITS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=~-]{0,200}")  # of a file or folder on an image site
_GNU = re.compile(r"([0-9A-Fa-f]{56,128}) [ *](?:\./)?(\S+)")
_BSD = re.compile(r"(SHA[0-9]{3}) \((?:\./)?(\S+)\) = ([0-9A-Fa-f]{56,128})")
_ALGORITHMS = {digits: name for name, digits in DIGITS.items()}


class Sum(NamedTuple):
    file: str
    algorithm: str
    checksum: str


def parse(text: str) -> list[Sum]:
    """The sums of a checksum file. Lines that are none, and names that lead elsewhere, are left out."""
    found = []
    for line in text.splitlines():
        if match := _GNU.fullmatch(line.strip()):
            digits, file = match.groups()
            algorithm = _ALGORITHMS.get(len(digits), "")
        elif match := _BSD.fullmatch(line.strip()):
            algorithm, file, digits = match.groups()
            algorithm = algorithm.lower()
        else:
            continue
        if NAME.fullmatch(file) and DIGITS.get(algorithm) == len(digits):
            found.append(Sum(file, algorithm, digits.lower()))
    return found
