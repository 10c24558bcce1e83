"""What a commit's clusters/ says, read from Git: no checkout is needed."""

from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.git.command import finish, git, start
from fleet.workspaces import hcl, maps
from fleet.workspaces.maps import Maps
from fleet.workspaces.modules import Module, modules


class Side(NamedTuple):
    """What a commit has; `rest` is what variables.tf holds besides the maps' defaults, without remarks."""

    maps: Maps
    modules: dict[str, Module]
    rest: str


def side(repo: Path, commit: str) -> Side | None:
    """What a commit's clusters/ says; None where it has no maps. Raises Fault."""
    listing = git(repo, "ls-tree", "--name-only", "-z", commit, f"{maps.FOLDER}/")
    names = [name for name in listing.split("\0") if name.endswith(".tf")]
    file = f"{maps.FOLDER}/{maps.FILE}"
    if file not in names:
        return None
    texts = _texts(repo, commit, names)
    return Side(maps.read(texts[file], file), modules(texts), _rest(texts[file], file))


def _texts(repo: Path, commit: str, names: list[str]) -> dict[str, str]:
    """The files as a commit has them, by one call."""
    asked = "".join(f"{commit}:{name}\n" for name in names).encode()
    with start(repo, "cat-file", "--batch") as process:
        answer = finish(process, "cat-file", asked)
    found = {}
    for name in names:
        head, _, answer = answer.partition(b"\n")
        size = int(head.split()[-1])
        try:
            found[name] = answer[:size].decode()
        except UnicodeDecodeError:
            raise Fault("is not valid UTF-8; save the file as UTF-8", name) from None
        answer = answer[size + 1 :]
    return found


def _rest(text: str, file: str) -> str:
    """variables.tf without the defaults of the three maps, remarks and layout."""
    taken = [
        block.attributes["default"]
        for block in hcl.read(text, file)[0]
        if block.kind == "variable" and block.labels and block.labels[0] in maps.NAMES
    ]
    return hcl.words(text, taken)
