"""What the releases between two versions say of themselves."""

import re
from pathlib import Path

from fleet.findings import visible
from fleet.upgrades.scratch import content, listing
from fleet.upgrades.upstream import Version, parse

MOST = 20_000  # characters
_HEAD = re.compile(r"^## (v?\d+\.\d+\.\d+)\b.*$", re.M)


def between(repo: Path, commit: str, old: Version | None, new: Version) -> str:
    """The sections of the project's changelog for the versions after `old` up to `new`, the newest first."""
    entry = listing(repo, commit).get("CHANGELOG.md")
    text = content(repo, entry) if entry else ""
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    found = []
    for head, end in zip(heads, ends, strict=False):
        version = parse(head[1])
        if version and version <= new and (old is None or version > old):
            found.append(text[head.start() : end].strip())
    # GitHub's runner obeys lines that begin with two colons, and its old commands anywhere in a line.
    notes = re.sub(r"^(\s*):(?=:)", r"\1: ", visible("\n\n".join(found)), flags=re.M).replace("##[", "# #[")
    return notes if len(notes) <= MOST else f"{notes[:MOST]}\n… the rest is in the project's CHANGELOG.md"
