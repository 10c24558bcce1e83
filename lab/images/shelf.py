"""What the site publishes: LAB_DIR/images/published.json, builds by image, the newest of each last.

From Python: `Shelf(folder).publish("debian12", "B")`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

IMAGES = ("debian12", "ubuntu24", "rocky9")
WITH_AGENT = ("rocky9",)
DATES = {"A": "20261102", "B": "20261116"}


class Build(NamedTuple):
    date: str
    file: Path


class Shelf:
    """The published builds of one site; `make` gives the file of an image's build."""

    def __init__(self, folder: Path, make: Callable[[str, str], Path] | None = None):
        self.path, self._make = folder / "published.json", make or _made

    def builds(self) -> dict[str, list[Build]]:
        """By image; what is on the shelf is made by the first who asks for it."""
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            found = {image: ["A"] for image in IMAGES}
        return {image: [Build(DATES[letter], self._make(image, letter)) for letter in letters]
                for image, letters in found.items()}  # fmt: skip

    def publish(self, image: str, *letters: str) -> None:
        """Publish builds of an image, the last of which its moving names show from now on."""
        try:
            found = json.loads(self.path.read_text())
        except FileNotFoundError:
            found = {name: ["A"] for name in IMAGES}
        kept = [letter for letter in found[image] if letter not in letters]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(found | {image: [*kept, *letters]}))
        temporary.replace(self.path)


def _made(image: str, letter: str) -> Path:
    from lab.images import builds

    return builds.image(letter, image in WITH_AGENT)
