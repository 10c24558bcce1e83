"""Commits as git tells them: which are open, what they ask for, which machines' files they touched.

Whatever git prints was written by strangers: it is taken as bytes. Names reach git only as ids, on standard
input or behind `--`.
"""

import contextlib
import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet import tags
from fleet.findings import Fault, Finding

SERVED = "refs/gitops/served"  # as in fleet.repository, whose import would take as long as git itself
SHOWN = 5  # commits that one message lists before it only counts them
EARLY, BATCH = 1000, 50  # ids that surely fit into a pipe, and how many are written at once


class Commit(NamedTuple):
    id: str | None  # None: a message without a commit, as on standard input
    parents: list[str]
    message: str
    tags: list[tags.Tag]
    findings: list[Finding]

    @property
    def subject(self) -> str:
        return tags.printable(self.title)

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


class Range(NamedTuple):
    since: str | None  # None: from the first commit on
    head: str | None  # None: messages without commits
    findings: list[Finding]
    log: Log


def of_messages(text: str) -> Range:
    """Messages alone, separated by NUL."""
    messages = [message for message in text.split("\0") if message.strip()]
    commits = [Commit(None, [], message, *tags.read(message)) for message in messages]
    return Range(None, None, [], Log(commits, {}, [], True))


def given_range(repo: Path, vms: str, text: str) -> Range:
    """A range as a person writes it: `A..B`, `A..` (to HEAD) or one commit."""
    older, dots, newer = text.partition("..")
    if newer.startswith("."):
        raise Fault(f"'{tags.printable(text)}': write the range with two dots, A..B", code=2)
    head = _commit_id(repo, newer or "HEAD") if dots else _commit_id(repo, older)
    since = _commit_id(repo, older or "HEAD") if dots else resolve(repo, f"{head}^")[0]
    log = read_log(repo, vms, since, head)
    return Range(since, head, unseen(repo, log), log)


def open_range(repo: Path, vms: str, before: str | None = None) -> Range:
    """From the last served commit to HEAD; `before` (the push's old head) counts where no such ref is yet.

    After a force push or in a shallow clone it starts where both histories still agree, and says so.
    """
    head, served = resolve(repo, "HEAD", SERVED)
    if head is None:
        raise Fault("this clone has no commit yet", code=2)
    if served:
        return _from(repo, vms, served, head, SERVED)
    if git(repo, "for-each-ref", SERVED):
        said = f"the commit of {SERVED} is not in this clone, run git fetch --unshallow"
    elif before and before.strip("0"):
        if found := resolve(repo, before)[0]:
            return _from(repo, vms, found, head, "the head before the push")
        shown = tags.printable(before)[:64]
        said = f"the head before the push, {shown}, is not in this clone (a force push?)"
    else:
        said = f"{SERVED} is not here yet" + (" and the branch is new" if before else "")
    base = _fork_point(repo, head) or resolve(repo, f"{head}^")[0]
    start = f"read from {base[:10]} on" if base else "read from the first commit on"
    warning = Finding(f"{said}; {start}, earlier commits were not seen", level="warning")
    log = read_log(repo, vms, base, head)
    return Range(base, head, [warning, *unseen(repo, log)], log)


def read_log(repo: Path, vms: str, since: str | None, head: str) -> Log:
    """The commits from `since` (left out) to `head`, read while git is still writing them."""
    revisions = [head, f"^{since}"] if since else [head]
    options = ("--topo-order", "--reverse", "--no-color", "--encoding=UTF-8", "--format=%H %P%n%B")
    start, follows = (since or "").encode(), since in (None, head)
    shallow = _shallow(repo)
    found, tagged, edge = [], [], []
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(_start(repo, "log", "-z", *options, *revisions, "--"))
        files = None
        for record in _records(process, b"" if shallow else start):
            # An ancestor is the parent of a commit of the range.
            follows = follows or (start in record and start in record.partition(b"\n")[0])
            if shallow and (commit := record.partition(b" ")[0].decode()) in shallow:
                edge.append(commit)
            lower = record.lower()
            if b"ansible" in lower or b"destroy" in lower or b"evert" in record or not record.isascii():
                ids, _, message = record.decode("utf-8", "replace").partition("\n")
                commit, *parents = ids.split()
                found.append(Commit(commit, parents, message, *tags.read(message)))
                if found[-1].tags:
                    tagged.append(commit)
                    files = files or stack.enter_context(_start_files(repo, vms))
                    if len(tagged) <= EARLY and len(tagged) % BATCH == 0:
                        files.stdin.write(_lines(tagged[-BATCH:]))
        late = _lines(tagged[min(len(tagged) // BATCH * BATCH, EARLY) :])
        changed = _machines(_finish(files, "diff-tree", late), tagged, vms) if files else {}
    return Log(found, changed | {commit: [] for commit in edge}, edge, follows)


def unseen(repo: Path, log: Log) -> list[Finding]:
    """A warning that names the commits which a shallow clone lacks before those of the log."""
    missing = []
    for commit in log.edge:  # git log hides the parents, the object itself still names them
        headers = git(repo, "cat-file", "commit", commit).partition("\n\n")[0]
        missing += [line[7:17] for line in headers.split("\n") if line.startswith("parent ")]
    if not missing:
        return []
    said = f"a shallow clone: {_listed(missing)} and what came before could not be seen"
    return [Finding(f"{said}; run git fetch --unshallow", level="warning")]


def withdrawn(repo: Path, found: list[Commit]) -> dict[str, Commit]:
    """The commits that a later one reverts, with that later one. A reverted revert counts no more."""
    index: dict[str, Commit] = {}
    alike: dict[str, list[Commit]] = {}  # by what git allows to shorten an id to
    for commit in found:
        index[commit.id] = commit
        alike.setdefault(commit.id[:7], []).append(commit)
    taken_back: dict[str, Commit] = {}
    for place in range(len(found) - 1, -1, -1):
        commit = found[place]
        if commit.id in taken_back or "evert" not in commit.message:
            continue
        named = tags.reverted(commit.message)
        targets = [
            other.id for part in named for other in alike.get(part[:7], ()) if other.id.startswith(part)
        ]
        if not named and commit.title.startswith(
            'Revert "'
        ):  # by the forge's button: no id, only the subject
            reverted = commit.title.removeprefix('Revert "').rpartition('"')[0]
            targets = [other.id for other in found[:place] if other.title == reverted][-1:]
        for target in targets:
            taken_back.update(dict.fromkeys(_brought_in(repo, index[target]) - {commit.id}, commit))
    return taken_back


def pushed_earlier(repo: Path, reach: Range, before: str | None) -> frozenset[str]:
    """The commits of a range that came before the push of this run, whose old head is `before`.

    All of them when it is "", as in a run that was started by hand; none when it is not known.
    """
    if before == "":
        return frozenset(commit.id for commit in reach.log.commits)
    if not before or not (head := resolve(repo, before)[0]):
        return frozenset()
    return frozenset(git(repo, "rev-list", head, *([f"^{reach.since}"] if reach.since else [])).split())


def touched(repo: Path, path: str, head: str | None, *without: str) -> bool:
    """Whether a commit up to `head` touched the file; False without commits."""
    args = ("rev-list", "--max-count=1", head, *without, "--", f":(top,literal){path}")
    return bool(head and git(repo, *args))


def inside(repo: Path, folder: Path) -> str | None:
    """A folder as git names it in this repository; None when it lies elsewhere."""
    try:
        return folder.resolve().relative_to((repo / _layout(repo)[0]).resolve()).as_posix()
    except (Fault, ValueError):
        return None


def git(repo: Path, *args: str, check: bool = True) -> str:
    """What git prints, without the last line end. Raises Fault with git's own words."""
    with _start(repo, *args) as process:
        out = _finish(process, args[0], check=check)
    return out.decode("utf-8", "replace").removesuffix("\n")


def resolve(repo: Path, *revisions: str) -> list[str | None]:
    """The ids of commits by one call of git, None for those that are not in the clone."""
    asked = "".join(f"{' '.join(revision.split())}^{{commit}}\n" for revision in revisions)
    with _start(repo, "cat-file", "--batch-check") as process:
        answers = _finish(process, "cat-file", asked.encode()).decode().splitlines()
    return [line.split()[0] if re.fullmatch(r"[0-9a-f]+ commit \d+", line) else None for line in answers]


def _from(repo: Path, vms: str, since: str, head: str, what: str) -> Range:
    log = read_log(repo, vms, since, head)
    if log.follows:
        return Range(since, head, unseen(repo, log), log)
    base = git(repo, "merge-base", since, head, check=False).partition("\n")[0] or None
    if base == head:
        message = f"HEAD {head[:10]} is older than {what}, {since[:10]}: nothing is open"
        return Range(since, head, [Finding(message, level="notice")], log)
    gone = git(repo, "rev-list", "--max-count=1000", since, f"^{head}").split()
    said = f"{what}, {since[:10]}, is not in this branch's history: it was rewritten, or the clone is shallow"
    start = f"read from {base[:10]} on, where both agree" if base else "read from the first commit on"
    lost = f"commits that could not be seen in it: {_listed([commit[:10] for commit in gone])}"
    warning = Finding(f"{said}; {start}; {lost}", level="warning")
    return Range(base, head, [warning, *unseen(repo, log)], log)


def _fork_point(repo: Path, head: str) -> str | None:
    """Where a new branch left the default branch; None on that branch itself."""
    for name in ("HEAD", "main", "master"):
        if default := resolve(repo, f"refs/remotes/origin/{name}")[0]:
            base = git(repo, "merge-base", default, head, check=False).partition("\n")[0]
            return base if base and base != head else None
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
    return set(Path(repo, where).read_text().split()) if shallow else set()


def _start(repo: Path, *args: str) -> subprocess.Popen[bytes]:
    command = ["git", "-C", str(repo), "-c", "log.showSignature=false", *args]
    env = os.environ | {"GIT_FLUSH": "0"}  # else it writes to a pipe commit by commit
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    except FileNotFoundError:
        raise Fault("git is not installed", code=2) from None


def _start_files(repo: Path, vms: str) -> subprocess.Popen[bytes]:
    options = ("--stdin", "-z", "-r", "--root", "--diff-merges=first-parent", "--no-renames", "--name-only")
    return _start(repo, "diff-tree", *options, "--", f":(top,literal){vms}")


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{commit}\n" for commit in ids).encode()


def _finish(process: subprocess.Popen[bytes], name: str, stdin: bytes = b"", check: bool = True) -> bytes:
    out, err = process.communicate(stdin)
    if process.returncode and check:
        raise Fault(f"git {name}: {tags.printable(err.decode(errors='replace'))}", code=2)
    return out


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
    _finish(process, "log")


def _notable(text: bytes, start: bytes) -> list[bytes]:
    # Looked for in all records at once: most hold nothing, and are not even cut out.
    lower, places = text.lower(), set()
    for word in (start, b"ansible", b"destroy", b"evert"):
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


def _commit_id(repo: Path, revision: str) -> str:
    if found := resolve(repo, revision)[0]:
        return found
    raise Fault(f"'{tags.printable(revision)}' is no commit of this clone", code=2)


def _brought_in(repo: Path, commit: Commit) -> set[str]:
    """What a commit added to its first parent's history: a merge its whole branch."""
    if len(commit.parents) < 2:
        return {commit.id}
    return set(git(repo, "rev-list", commit.id, f"^{commit.parents[0]}").split())


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more
