"""A worktree of its own for the merge: the person's checkout, index and branch stay as they are.

No hook runs in it, and nothing is checked out unless somebody asks for the files.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.files import temporary
from fleet.git import command

PREFIX = "upgrade-"
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


class Entry(NamedTuple):
    """What a tree says of one path."""

    mode: str
    blob: str


@contextlib.contextmanager
def worktree(repo: Path, commit: str) -> Iterator[Path]:
    """A worktree without files and with an empty index; what a killed run left is forgotten first."""
    _forget(repo)
    with temporary(PREFIX) as folder:
        path = folder / "worktree"
        run(repo, "worktree", "add", "--quiet", "--no-checkout", "--detach", str(path), commit)
        try:
            yield path
        finally:
            run(repo, "worktree", "remove", "--force", str(path), check=False)


def _forget(repo: Path) -> None:
    """Only our own: a person's worktree may be missing because its disk is."""
    for line in run(repo, "worktree", "list", "--porcelain").splitlines():
        path = Path(line.removeprefix("worktree "))
        if path.name == "worktree" and path.parent.name.startswith(PREFIX) and not path.exists():
            run(repo, "worktree", "remove", "--force", str(path), check=False)


def run(repo: Path, *args: str, stdin: str = "", check: bool = True) -> str:
    """What git prints. Names in it need not be UTF-8. Raises Fault."""
    with command.start(repo, *_NO_HOOKS, *args) as process:
        out = command.finish(process, args[0], stdin.encode(errors="surrogateescape"), check)
    return out.decode(errors="surrogateescape")


def listing(repo: Path, tree: str) -> dict[str, Entry]:
    """Every path of a tree, or of a commit's."""
    found = {}
    for line in run(repo, "ls-tree", "-r", "-z", "--full-tree", tree).split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, _, blob = about.split()
        found[path] = Entry(mode, blob)
    return found


def write(scratch: Path, entries: dict[str, Entry]) -> str:
    """The id of the tree that has these entries; the scratch worktree's index is left with them."""
    run(scratch, "read-tree", "--empty")
    lines = "".join(f"{entry.mode} {entry.blob}\t{path}\0" for path, entry in entries.items())
    run(scratch, "update-index", "-z", "--index-info", stdin=lines)
    return run(scratch, "write-tree").strip()


def content(repo: Path, entry: Entry) -> str:
    return run(repo, "cat-file", "blob", entry.blob)


def store(repo: Path, text: str, mode: str = "100644") -> Entry:
    return Entry(mode, run(repo, "hash-object", "-w", "--stdin", stdin=text).strip())
