"""Which commits are open: those since the last served one, or a range that a person gives."""

from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding, listed, printable
from fleet.git.command import SERVED, git, resolve, resolve_all
from fleet.tags.commits import Commit, Log, read_log
from fleet.tags.message import read

SHOWN = 5  # commits that one message lists before it only counts them


class Range(NamedTuple):
    since: str | None  # None: from the first commit on
    head: str | None  # None: messages without commits
    findings: list[Finding]
    log: Log


def of_messages(text: str) -> Range:
    """Messages alone, separated by NUL."""
    messages = [message for message in text.split("\0") if message.strip()]
    commits = [Commit(None, [], message, *read(message)) for message in messages]
    return Range(None, None, [], Log(commits, {}, [], True))


def messages(repo: Path, since: str, head: str) -> list[str]:
    """Every message of a range, the oldest first; merges are left out, as a squash or rebase leaves them out."""
    options = ("-z", "--no-merges", "--topo-order", "--reverse", "--encoding=UTF-8", "--format=%B")
    text = git(repo, "log", *options, _commit_id(repo, head), f"^{_commit_id(repo, since)}", "--")
    return [message for message in text.split("\0") if message.strip()]


def given_range(repo: Path, vms: str, text: str) -> Range:
    """A range as a person writes it: `A..B`, `A..` (to HEAD) or one commit."""
    older, dots, newer = text.partition("..")
    if newer.startswith("."):
        raise Fault(f"'{printable(text)}': write the range with two dots, A..B", code=2)
    head = _commit_id(repo, newer or "HEAD") if dots else _commit_id(repo, older)
    since = _commit_id(repo, older or "HEAD") if dots else resolve(repo, f"{head}^")
    log = read_log(repo, vms, since, head)
    return Range(since, head, unseen(repo, log), log)


def open_range(repo: Path, vms: str, before: str | None = None) -> Range:
    """From the last served commit to HEAD; `before` (the push's old head) counts where no such ref is yet.

    After a force push or in a shallow clone it starts where both histories still agree, and says so.
    """
    head, served = resolve_all(repo, "HEAD", SERVED)
    if head is None:
        raise Fault("this clone has no commit yet", code=2)
    if served:
        return _from(repo, vms, served, head, SERVED)
    if git(repo, "for-each-ref", SERVED):
        said = f"the commit of {SERVED} is not in this clone, run git fetch --unshallow"
    elif before and before.strip("0"):
        if found := resolve(repo, before):
            return _from(repo, vms, found, head, "the head before the push")
        shown = printable(before)[:64]
        said = f"the head before the push, {shown}, is not in this clone (a force push?)"
    else:
        said = f"{SERVED} does not exist yet" + (" and the branch is new" if before else "")
    base = _fork_point(repo, head) or resolve(repo, f"{head}^")
    start = f"reading from {base[:10]} on" if base else "reading from the first commit on"
    warning = Finding(f"{said}; {start}, earlier commits were not read", level="warning")
    log = read_log(repo, vms, base, head)
    return Range(base, head, [warning, *unseen(repo, log)], log)


def unseen(repo: Path, log: Log) -> list[Finding]:
    """A warning that names the commits which a shallow clone lacks before those of the log."""
    missing = []
    for commit in log.edge:  # git log hides the parents, the object itself still names them
        headers = git(repo, "cat-file", "commit", commit).partition("\n\n")[0]
        missing += [line[7:17] for line in headers.split("\n") if line.startswith("parent ")]
    if not missing:
        return []
    said = f"this clone is shallow: {listed(missing, SHOWN)} and earlier commits could not be read"
    return [Finding(f"{said}; run git fetch --unshallow", level="warning")]


def pushed_earlier(repo: Path, commits: Range, before: str | None) -> frozenset[str]:
    """The commits of a range that came before the push of this run, whose old head is `before`.

    All of them when it is "", as in a run that was started by hand; none when it is not known.
    """
    if before == "":
        return frozenset(commit.id for commit in commits.log.commits)
    if not before or not (head := resolve(repo, before)):
        return frozenset()
    return frozenset(git(repo, "rev-list", head, *([f"^{commits.since}"] if commits.since else [])).split())


def touched(repo: Path, path: str, head: str | None, *without: str) -> bool:
    """Whether a commit up to `head` touched the file; False without commits."""
    args = ("rev-list", "--max-count=1", head, *without, "--", f":(top,literal){path}")
    return bool(head and git(repo, *args))


def _from(repo: Path, vms: str, since: str, head: str, what: str) -> Range:
    log = read_log(repo, vms, since, head)
    if log.follows:
        return Range(since, head, unseen(repo, log), log)
    base = git(repo, "merge-base", since, head, check=False).partition("\n")[0] or None
    if base == head:
        message = f"HEAD {head[:10]} is older than {what}, {since[:10]}; no requests are open"
        return Range(since, head, [Finding(message, level="notice")], log)
    gone = git(repo, "rev-list", "--max-count=1000", since, f"^{head}").split()
    said = f"{what}, {since[:10]}, is not in this branch's history: it was rewritten, or the clone is shallow"
    start = f"reading from {base[:10]} on, where both agree" if base else "reading from the first commit on"
    lost = f"commits that could not be read: {listed([commit[:10] for commit in gone], SHOWN)}"
    warning = Finding(f"{said}; {start}; {lost}", level="warning")
    return Range(base, head, [warning, *unseen(repo, log)], log)


def _fork_point(repo: Path, head: str) -> str | None:
    """Where a new branch left the default branch; None on that branch itself."""
    for name in ("HEAD", "main", "master"):
        if default := resolve(repo, f"refs/remotes/origin/{name}"):
            base = git(repo, "merge-base", default, head, check=False).partition("\n")[0]
            return base if base and base != head else None
    return None


def _commit_id(repo: Path, revision: str) -> str:
    if found := resolve(repo, revision):
        return found
    raise Fault(f"'{printable(revision)}' is not a commit of this clone", code=2)
