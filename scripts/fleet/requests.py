"""Open requests: the tags of the commits since the last served one, and what each of them asks to be run."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fleet import tags
from fleet.findings import Fault, Finding
from fleet.names import EXCLUDED, is_k8s, playbook_of
from fleet.repository import SERVED, git, is_ancestor, resolve

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
    head = _commit_id(repo, "HEAD")
    if served := resolve(repo, SERVED):
        return _from(repo, served, head, SERVED)
    if _exists(repo, SERVED):
        said = f"the commit of {SERVED} is not in this clone; run git fetch --unshallow"
    elif before and before.strip("0"):
        if found := resolve(repo, before):
            return _from(repo, found, head, "the head before the push")
        said = (
            f"the head before the push, {tags.printable(before)[:64]}, is not in this clone (a force push?)"
        )
    else:
        said = f"{SERVED} is not here yet" + (" and the branch is new" if before else "")
    base = _fork_point(repo, head) or resolve(repo, f"{head}^")
    start = f"read from {base[:10]} on" if base else "read from the first commit on"
    return Range(base, head, [Finding(f"{said}; {start}, earlier commits were not seen", level="warning")])


def given_range(repo: Path, text: str) -> Range:
    """A range as a person writes it: `A..B`, `A..` (to HEAD) or one commit."""
    older, dots, newer = text.partition("..")
    if newer.startswith("."):
        raise Fault(f"'{text}': write the range with two dots, A..B", code=2)
    head = _commit_id(repo, newer or "HEAD") if dots else _commit_id(repo, older)
    since = _commit_id(repo, older or "HEAD") if dots else resolve(repo, f"{head}^")
    return Range(since, head, [])


def commits(repo: Path, since: str | None, head: str) -> list[Commit]:
    """The commits from `since` (left out) to `head`, the oldest first, by one call of git."""
    revisions = [head, f"^{since}"] if since else [head]
    options = ("--topo-order", "--reverse", "--no-color", "--encoding=UTF-8", "--format=%H %P%n%B")
    found = []
    for record in filter(None, _read(repo, "log", "-z", *options, *revisions, "--").split("\0")):
        ids, _, message = record.partition("\n")
        commit, *parents = ids.split()
        found.append(Commit(commit, parents, message))
    return found


def unseen(repo: Path, found: list[Commit]) -> tuple[set[str], list[Finding]]:
    """The commits of a shallow clone whose parents it lacks, and a warning that names those parents."""
    if git(repo, "rev-parse", "--is-shallow-repository") != "true":
        return set(), []
    shallow = Path(repo, git(repo, "rev-parse", "--git-path", "shallow"))
    edge = set(shallow.read_text().split()) & {commit.id for commit in found}
    missing = []
    for commit in sorted(edge):  # git log hides the parents, the object itself still names them
        headers = _read(repo, "cat-file", "commit", commit).partition("\n\n")[0]
        missing += [line[7:17] for line in headers.split("\n") if line.startswith("parent ")]
    if not missing:
        return edge, []
    said = f"a shallow clone: {_listed(missing)} and what came before could not be seen"
    return edge, [Finding(f"{said}; run git fetch --unshallow", level="warning")]


def withdrawn(found: list[Commit]) -> dict[str, Commit]:
    """The commits that a later one reverts, with that later one. A reverted revert counts no more."""
    index = {commit.id: commit for commit in found}
    ids = sorted(index)
    taken_back: dict[str, Commit] = {}
    for place in range(len(found) - 1, -1, -1):
        commit = found[place]
        if commit.id in taken_back or "evert" not in commit.message:
            continue
        targets = [full for part in tags.reverted(commit.message) for full in _starting_with(ids, part)]
        subject = commit.message.partition("\n")[0].strip()
        if not targets and subject.startswith('Revert "'):  # by the forge's button: no id, only the subject
            reverted = subject[len('Revert "') :].rpartition('"')[0]
            same = (c.id for c in reversed(found[:place]) if c.message.partition("\n")[0].strip() == reverted)
            targets = [first] if (first := next(same, None)) else []
        for target in targets:
            merged = _brought_in(index, index[target]) if len(index[target].parents) > 1 else {target}
            taken_back.update(dict.fromkeys(merged - {commit.id}, commit))
    return taken_back


def changed_machines(repo: Path, ids: Iterable[str], vms: str) -> dict[str, list[str]]:
    """For each commit the machines whose files it touched, a merge compared with its first parent."""
    ids = list(ids)
    if not ids:
        return {}
    options = ("-m", "--first-parent", "--no-renames", "--name-only", "--format=%H")
    revisions = "".join(f"{commit}\n" for commit in ids)
    place = f":(top,literal){vms}"
    out = _read(repo, "log", "-z", "--no-walk=unsorted", *options, "--stdin", "--", place, stdin=revisions)
    changed: dict[str, set[str]] = {commit: set() for commit in ids}
    machines: set[str] = set()
    for word in out.split("\0"):  # a commit's id, then its files
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


def _from(repo: Path, since: str, head: str, what: str) -> Range:
    if is_ancestor(repo, since, head):
        return Range(since, head, [])
    base = git(repo, "merge-base", since, head, check=False).partition("\n")[0] or None
    if base == head:
        message = f"HEAD {head[:10]} is older than {what}, {since[:10]}: nothing is open"
        return Range(since, head, [Finding(message, level="notice")])
    gone = git(repo, "rev-list", "--max-count=1000", since, f"^{head}").split()
    said = f"{what}, {since[:10]}, is not in this branch's history: it was rewritten, or the clone is shallow"
    start = f"read from {base[:10]} on, where both agree" if base else "read from the first commit on"
    lost = f"commits that could not be seen in it: {_listed([commit[:10] for commit in gone])}"
    return Range(base, head, [Finding(f"{said}; {start}; {lost}", level="warning")])


def _fork_point(repo: Path, head: str) -> str | None:
    """Where a new branch left the default branch; None on that branch itself."""
    for name in ("HEAD", "main", "master"):
        if default := resolve(repo, f"refs/remotes/origin/{name}"):
            base = git(repo, "merge-base", default, head, check=False).partition("\n")[0]
            return base if base and base != head else None
    return None


def _read(repo: Path, *args: str, stdin: str | None = None) -> str:
    """What git prints. Messages and paths need not be UTF-8."""
    command = ["git", "-C", str(repo), "-c", "log.showSignature=false", "-c", "log.showRoot=true", *args]
    done = subprocess.run(command, input=stdin and stdin.encode(), capture_output=True, check=False)
    if done.returncode:
        raise Fault(f"git {args[0]}: {tags.printable(done.stderr.decode(errors='replace'))}", code=2)
    return done.stdout.decode("utf-8", "replace")


def _commit_id(repo: Path, revision: str) -> str:
    if found := resolve(repo, revision):
        return found
    git(repo, "rev-parse", "--git-dir")  # no repository at all is told in git's own words
    raise Fault(f"'{tags.printable(revision)}' is no commit of this clone", code=2)


def _exists(repo: Path, ref: str) -> bool:
    return bool(git(repo, "for-each-ref", ref))


def _starting_with(ids: list[str], part: str) -> list[str]:
    from bisect import bisect_left

    place = bisect_left(ids, part)
    return [ids[place]] if place < len(ids) and ids[place].startswith(part) else []


def _brought_in(index: dict[str, Commit], merge: Commit) -> set[str]:
    """What a merge added to its first parent's history, as far as the range goes."""

    def reach(start: Iterable[str]) -> set[str]:
        seen, waiting = set(), [commit for commit in start if commit in index]
        while waiting:
            commit = waiting.pop()
            if commit not in seen:
                seen.add(commit)
                waiting += [parent for parent in index[commit].parents if parent in index]
        return seen

    return {merge.id} | (reach(merge.parents[1:]) - reach(merge.parents[:1]))


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
