"""The commits of a range, read while git is still writing them: messages, tags, changed machines."""

import contextlib
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding, printable
from fleet.git.command import finish, git, start
from fleet.tags.lookalikes import KEYWORDS
from fleet.tags.message import Tag, read

# What is in every record that can matter: a keyword, or the word of a revert.
NOTABLE = (*(word.encode() for word in KEYWORDS), b"evert")
EARLY, BATCH = 1000, 50  # ids that surely fit into a pipe, and how many are written at once


class Commit(NamedTuple):
    id: str | None  # None: a message without a commit, as on standard input
    parents: list[str]
    message: str
    tags: list[Tag]
    findings: list[Finding]

    @property
    def subject(self) -> str:
        return printable(self.title)

    @property
    def title(self) -> str:
        return self.message.strip().partition("\n")[0].strip()

    def __str__(self) -> str:
        subject = self.subject if len(self.subject) <= 72 else self.subject[:69] + "..."
        return f"{self.id[:10]} ({subject})" if self.id else f"message ({subject})"


class Log(NamedTuple):
    commits: list[Commit]  # the oldest first; of thousands only those that can hold a tag or a revert
    changed: dict[str, list[str]]  # of the commits with tags: the machines whose VM files they touched
    edge: list[str]  # commits of a shallow clone whose parents it lacks: all files look new in them
    follows: bool  # whether the commits follow upon the one that they were asked since


def read_log(repo: Path, vms: str, since: str | None, head: str) -> Log:
    """The commits from `since` (left out) to `head`, read while git is still writing them."""
    revisions = [head, f"^{since}"] if since else [head]
    options = ("--topo-order", "--reverse", "--no-color", "--encoding=UTF-8", "--format=%H %P%n%B")
    older, follows = (since or "").encode(), since in (None, head)
    shallow = _shallow(repo)
    found, tagged, edge = [], [], []
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(start(repo, "log", "-z", *options, *revisions, "--"))
        files = None
        for record in _records(process, b"" if shallow else older):
            # An ancestor is the parent of a commit of the range.
            follows = follows or (older in record and older in record.partition(b"\n")[0])
            if shallow and (commit := record.partition(b" ")[0].decode()) in shallow:
                edge.append(commit)
            lower = record.lower()
            if not record.isascii() or any(word in lower for word in NOTABLE):
                ids, _, message = record.decode("utf-8", "replace").partition("\n")
                commit, *parents = ids.split()
                found.append(Commit(commit, parents, message, *read(message)))
                if found[-1].tags:
                    tagged.append(commit)
                    files = files or stack.enter_context(_start_files(repo, vms))
                    if len(tagged) <= EARLY and len(tagged) % BATCH == 0:
                        files.stdin.write(_lines(tagged[-BATCH:]))
        late = _lines(tagged[min(len(tagged) // BATCH * BATCH, EARLY) :])
        changed = _machines(finish(files, "diff-tree", late), tagged, vms) if files else {}
    return Log(found, changed | {commit: [] for commit in edge}, edge, follows)


def inside(repo: Path, folder: Path) -> str | None:
    """A folder as git names it in this repository; None when it lies elsewhere."""
    try:
        return folder.resolve().relative_to((repo / _layout(repo)[0]).resolve()).as_posix()
    except (Fault, ValueError):
        return None


@functools.cache
def _layout(repo: Path) -> tuple[str, bool, str]:
    """The way up to the checkout's top, whether it is shallow, and the file that lists where it ends."""
    if (repo / ".git").is_dir():
        return "", (repo / ".git/shallow").exists(), ".git/shallow"
    asked = ("--show-cdup", "--is-shallow-repository", "--git-path", "shallow")
    *up, shallow, where = git(repo, "rev-parse", *asked).split("\n")  # a bare one says nothing of its top
    return "".join(up), shallow == "true", where


def _shallow(repo: Path) -> set[str]:
    _, shallow, where = _layout(repo)
    return set(Path(repo, where).read_text("utf-8").split()) if shallow else set()


def _start_files(repo: Path, vms: str) -> subprocess.Popen[bytes]:
    options = ("--stdin", "-z", "-r", "--root", "--diff-merges=first-parent", "--no-renames", "--name-only")
    return start(repo, "diff-tree", *options, "--", f":(top,literal){vms}")


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{commit}\n" for commit in ids).encode()


def _records(process: subprocess.Popen[bytes], start: bytes) -> Iterator[bytes]:
    """The records that git writes; with `start`, those alone that name it or may hold a tag or a revert."""
    pending: list[bytes] = []
    while part := process.stdout.read(1 << 18):
        ended, end, rest = part.rpartition(b"\0")
        if end:
            text = b"".join([*pending, ended])
            yield from _notable(text, start) if start and text.isascii() else text.split(b"\0")
            pending = []
        pending.append(rest)
    finish(process, "log")


def _notable(text: bytes, start: bytes) -> list[bytes]:
    # Looked for in all records at once: most hold nothing, and are not even cut out.
    lower, places = text.lower(), set()
    for word in (start, *NOTABLE):
        at = lower.find(word)
        while at >= 0:
            end = lower.find(b"\0", at)
            end = len(text) if end < 0 else end
            places.add((lower.rfind(b"\0", 0, at) + 1, end))
            at = lower.find(word, end)
    return [text[begin:end] for begin, end in sorted(places)]


def _machines(out: bytes, ids: list[str], vms: str) -> dict[str, list[str]]:
    changed: dict[str, set[str]] = {commit: set() for commit in ids}
    machines: set[str] = set()
    for word in out.decode("utf-8", "replace").split("\0"):  # a commit's id, then its files
        if word in changed:
            machines = changed[word]
        elif word.endswith(".yaml") and (path := Path(word)).parent == Path(vms):
            machines.add(path.stem)
    return {commit: sorted(machines) for commit, machines in changed.items()}
