"""Open requests: the tags of the commits since the last served one, and what each of them asks to be run."""

import functools
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fleet import tags
from fleet.findings import Fault, Finding
from fleet.names import EXCLUDED, is_k8s, playbook_of

SERVED = "refs/gitops/served"  # as in fleet.repository, whose import would take as long as git itself
SHOWN = 5  # commits that one message lists before it only counts them


class Commit(NamedTuple):
    id: str | None  # None: a message without a commit, as on standard input
    parents: list[str]
    message: str

    @property
    def subject(self) -> str:
        return tags.printable(self.message.strip().partition("\n")[0])

    def __str__(self) -> str:
        subject = self.subject if len(self.subject) <= 72 else self.subject[:69] + "..."
        return f"{self.id[:10]} ({subject})" if self.id else f"message ({subject})"


class Range(NamedTuple):
    since: str | None  # None: from the first commit on
    head: str
    findings: list[Finding]
    commits: list[Commit]  # the oldest first; of thousands only those that can hold a tag or a revert
    records: list[bytes]  # all of them as git gives them, id first


class Request(NamedTuple):
    action: str  # "ansible" or "destroy"
    name: str  # as in the tag
    playbook: str | None
    machine: str | None
    commit: str | None
    subject: str
    changed: list[str]  # machines whose VM files that commit touched


class Known(NamedTuple):
    """What a tag may name, as the checkout has it."""

    playbooks: set[str]
    machines: set[str]  # of the inventory and of vms/


def open_range(repo: Path, before: str | None = None) -> Range:
    """From the last served commit to HEAD; `before` (the push's old head) counts where no such ref is yet.

    After a force push or in a shallow clone it starts where both histories still agree, and says so.
    """
    head, served = resolve(repo, "HEAD", SERVED)
    if head is None:
        raise Fault("this clone has no commit yet", code=2)
    if served:
        return _from(repo, served, head, SERVED)
    if git(repo, "for-each-ref", SERVED):
        said = f"the commit of {SERVED} is not in this clone, run git fetch --unshallow"
    elif before and before.strip("0"):
        if found := resolve(repo, before)[0]:
            return _from(repo, found, head, "the head before the push")
        said = (
            f"the head before the push, {tags.printable(before)[:64]}, is not in this clone (a force push?)"
        )
    else:
        said = f"{SERVED} is not here yet" + (" and the branch is new" if before else "")
    base = _fork_point(repo, head) or resolve(repo, f"{head}^")[0]
    start = f"read from {base[:10]} on" if base else "read from the first commit on"
    warning = Finding(f"{said}; {start}, earlier commits were not seen", level="warning")
    return Range(base, head, [warning], *_log(repo, base, head)[:2])


def given_range(repo: Path, text: str) -> Range:
    """A range as a person writes it: `A..B`, `A..` (to HEAD) or one commit."""
    older, dots, newer = text.partition("..")
    if newer.startswith("."):
        raise Fault(f"'{tags.printable(text)}': write the range with two dots, A..B", code=2)
    head = _commit_id(repo, newer or "HEAD") if dots else _commit_id(repo, older)
    since = _commit_id(repo, older or "HEAD") if dots else resolve(repo, f"{head}^")[0]
    return Range(since, head, [], *_log(repo, since, head)[:2])


@functools.cache
def layout(repo: Path) -> tuple[str, bool, str]:
    """The way up to the checkout's top, whether it is shallow, and the file that lists where it ends."""
    if (repo / ".git").is_dir():
        return "", (repo / ".git/shallow").exists(), ".git/shallow"
    asked = ("--show-cdup", "--is-shallow-repository", "--git-path", "shallow")
    *up, shallow, where = git(repo, "rev-parse", *asked).split("\n")  # a bare one says nothing of its top
    return "".join(up), shallow == "true", where


def unseen(repo: Path, records: list[bytes]) -> tuple[set[str], list[Finding]]:
    """The commits of a shallow clone whose parents it lacks, and a warning that names those parents."""
    _, shallow, where = layout(repo)
    if not shallow:
        return set(), []
    edge = set(Path(repo, where).read_text().split())
    edge &= {record.partition(b" ")[0].decode() for record in records}
    missing = []
    for commit in sorted(edge):  # git log hides the parents, the object itself still names them
        headers = _read(repo, "cat-file", "commit", commit).partition(b"\n\n")[0]
        missing += [line[7:17].decode() for line in headers.split(b"\n") if line.startswith(b"parent ")]
    if not missing:
        return edge, []
    said = f"a shallow clone: {_listed(missing)} and what came before could not be seen"
    return edge, [Finding(f"{said}; run git fetch --unshallow", level="warning")]


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
        subject = commit.message.partition("\n")[0].strip()
        if not named and subject.startswith('Revert "'):  # by the forge's button: no id, only the subject
            reverted = subject.removeprefix('Revert "').rpartition('"')[0]
            same = [c.id for c in found[:place] if c.message.partition("\n")[0].strip() == reverted]
            targets = same[-1:]
        for target in targets:
            taken_back.update(dict.fromkeys(_brought_in(repo, index[target]) - {commit.id}, commit))
    return taken_back


def changed_machines(repo: Path, ids: Iterable[str], vms: str) -> dict[str, list[str]]:
    """For each commit the machines whose files it touched, a merge compared with its first parent."""
    ids = list(ids)
    if not ids:
        return {}
    options = ("-m", "--first-parent", "--no-renames", "--name-only", "--format=%H")
    revisions = "".join(f"{commit}\n" for commit in ids).encode()
    place = f":(top,literal){vms}"
    out = _read(repo, "log", "-z", "--no-walk=unsorted", *options, "--stdin", "--", place, stdin=revisions)
    changed: dict[str, set[str]] = {commit: set() for commit in ids}
    machines: set[str] = set()
    for word in out.decode("utf-8", "replace").split("\0"):  # a commit's id, then its files
        if word.strip("\n") in changed:
            machines = changed[word.strip("\n")]
        elif word.endswith(".yaml") and (path := Path(word.lstrip("\n"))).parent == Path(vms):
            machines.add(path.stem)
    return {commit: sorted(machines) for commit, machines in changed.items()}


def resolve_tag(tag: tags.Tag, known: Known) -> tuple[str | None, str | None]:
    """(playbook, machine) of a tag. Raises Fault, with what exists, for one that names nothing."""
    if tag.action == "destroy":
        return None, tag.name
    if tag.name in known.playbooks:
        return tag.name, None
    if is_k8s(tag.name):
        if "k8s" not in known.playbooks:
            raise Fault("asks for playbooks/k8s.yml, which does not exist")
        if tag.name in known.machines:
            return "k8s", tag.name
        machines = sorted(filter(is_k8s, known.machines))
        said = f"names a machine that neither the inventory nor vms/ has; k8s machines: {_some(machines)}"
        raise Fault(said + _guess(tag.name, machines))
    suggestion = playbook_of(tag.name)
    hint = f"; did you mean [ansible {suggestion}]?" if suggestion in known.playbooks else ""
    raise Fault(
        f"names no playbook and no k8s machine; playbooks: {_some(sorted(known.playbooks))}"
        + (hint or _guess(tag.name, [*known.playbooks, *filter(is_k8s, known.machines)]))
    )


def destroyable(tag: tags.Tag, known: Known, was_there: bool) -> None:
    """Raises Fault for a `[destroy NAME]` that can mean no machine of this fleet."""
    if f"{tag.name}.yaml" in EXCLUDED:
        raise Fault("names a machine that is not managed here and is never destroyed")
    if tag.name not in known.machines and not was_there:
        said = "names a machine that neither the inventory has nor vms/ ever had; there are:"
        raise Fault(f"{said} {_some(sorted(known.machines))}{_guess(tag.name, known.machines)}")


def _log(repo: Path, since: str | None, head: str) -> tuple[list[Commit], list[bytes], bool]:
    """By one call of git: the commits worth reading, all of them raw, whether they follow `since`."""
    revisions = [head, f"^{since}"] if since else [head]
    options = ("--topo-order", "--reverse", "--no-color", "--encoding=UTF-8", "--format=%H %P%n%B")
    start, follows = (since or "").encode(), since in (None, head)
    found, records = [], []
    with _start(repo, "log", "-z", *options, *revisions, "--") as process:
        for record in _records(process):
            records.append(record)
            # An ancestor is the parent of a commit of the range.
            follows = follows or (start in record and start in record.partition(b"\n")[0])
            lower = record.lower()
            if b"ansible" in lower or b"destroy" in lower or b"evert" in record or not record.isascii():
                ids, _, message = record.decode("utf-8", "replace").partition("\n")
                commit, *parents = ids.split()
                found.append(Commit(commit, parents, message))
    return found, records, follows


def _records(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What git ends with NUL, while it still reads on."""
    pending: list[bytes] = []
    while part := process.stdout.read(1 << 18):
        *ended, rest = part.split(b"\0")
        if ended:
            yield b"".join([*pending, ended[0]])
            yield from ended[1:]
            pending = []
        pending.append(rest)
    if process.wait():
        raise Fault(f"git log: {tags.printable(process.stderr.read().decode(errors='replace'))}", code=2)


def _from(repo: Path, since: str, head: str, what: str) -> Range:
    found, records, follows = _log(repo, since, head)
    if follows:
        return Range(since, head, [], found, records)
    base = git(repo, "merge-base", since, head, check=False).partition("\n")[0] or None
    if base == head:
        message = f"HEAD {head[:10]} is older than {what}, {since[:10]}: nothing is open"
        return Range(since, head, [Finding(message, level="notice")], [], [])
    gone = git(repo, "rev-list", "--max-count=1000", since, f"^{head}").split()
    said = f"{what}, {since[:10]}, is not in this branch's history: it was rewritten, or the clone is shallow"
    start = f"read from {base[:10]} on, where both agree" if base else "read from the first commit on"
    lost = f"commits that could not be seen in it: {_listed([commit[:10] for commit in gone])}"
    return Range(base, head, [Finding(f"{said}; {start}; {lost}", level="warning")], found, records)


def _fork_point(repo: Path, head: str) -> str | None:
    """Where a new branch left the default branch; None on that branch itself."""
    for name in ("HEAD", "main", "master"):
        if default := resolve(repo, f"refs/remotes/origin/{name}")[0]:
            base = git(repo, "merge-base", default, head, check=False).partition("\n")[0]
            return base if base and base != head else None
    return None


def _start(repo: Path, *args: str) -> subprocess.Popen[bytes]:
    command = ["git", "-C", str(repo), "-c", "log.showSignature=false", "-c", "log.showRoot=true", *args]
    env = os.environ | {"GIT_FLUSH": "0"}  # else it writes to a pipe commit by commit
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


def _read(repo: Path, *args: str, stdin: bytes = b"", check: bool = True) -> bytes:
    """What git prints. Messages and paths need not be UTF-8."""
    with _start(repo, *args) as process:
        out, err = process.communicate(stdin)
    if process.returncode and check:
        raise Fault(f"git {args[0]}: {tags.printable(err.decode(errors='replace'))}", code=2)
    return out


def git(repo: Path, *args: str, check: bool = True) -> str:
    """The same as text, without the last line end."""
    return _read(repo, *args, check=check).decode("utf-8", "replace").removesuffix("\n")


def resolve(repo: Path, *revisions: str) -> list[str | None]:
    """The ids of commits by one call of git, None for those that are not in the clone."""
    asked = "".join(f"{' '.join(revision.split())}^{{commit}}\n" for revision in revisions)
    answers = _read(repo, "cat-file", "--batch-check", stdin=asked.encode()).decode().splitlines()
    return [line.split()[0] if re.fullmatch(r"[0-9a-f]+ commit \d+", line) else None for line in answers]


def _commit_id(repo: Path, revision: str) -> str:
    if found := resolve(repo, revision)[0]:
        return found
    raise Fault(f"'{tags.printable(revision)}' is no commit of this clone", code=2)


def _brought_in(repo: Path, commit: Commit) -> set[str]:
    """What a commit added to its first parent's history: a merge its whole branch."""
    if len(commit.parents) < 2:
        return {commit.id}
    return set(git(repo, "rev-list", commit.id, f"^{commit.parents[0]}").split())


def _guess(name: str, known: Iterable[str]) -> str:
    import difflib

    lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), lower, 1, 0.75)
    return f"; did you mean {lower[near[0]]}?" if near else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return (", ".join(names[:30]) or "none") + more


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more
