"""What the tags of commits ask for: a playbook, on one machine or on those that wait for it, or an approval."""

import functools
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding, listed
from fleet.names import KINDS, cluster_of, playbook_of, tag_playbook_of
from fleet.tags import ranges
from fleet.tags.approvals import approvable, guess, machine_of
from fleet.tags.message import Tag
from fleet.tags.reverts import reverted_by

WAY_OUT = (
    "to withdraw it, push a commit with the line `This reverts commit {}.` in its body"
    " (git revert, or git commit --allow-empty)"
)


class Request(NamedTuple):
    action: str  # "ansible", "destroy", "adopt" or "drop-disk"
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
    unplayed: Callable[[str], str] = lambda name: ""  # what of a machine's file says that no play runs on it
    workspaces: Callable[[], Collection[str]] = tuple  # of clusters/


def collect(
    repo: Path, vms: str, commits: ranges.Range, known: Known, before: str | None = None
) -> tuple[list[Request], list[Finding]]:
    """All requests of a range of commits, the oldest first, and what is wrong with the others.

    `vms` is the folder of VM files as git names it. `before`, the head before the push of this run: what is
    wrong up to there is a warning, for the run of that push was red, and a slip must not stop all others.
    """
    result: list[Request] = []
    findings: list[Finding] = []
    taken_back = reverted_by(repo, commits.log.commits) if commits.head else {}
    refused = ranges.pushed_earlier(repo, commits, before) if commits.head else frozenset()
    for commit in commits.log.commits:
        if not commit.tags and not commit.findings:
            continue
        if commit.id in taken_back:
            text = " ".join(map(str, commit.tags)) or "what it asks for"
            said = f"{text}: commit {commit} was reverted by {taken_back[commit.id]}"
            findings.append(Finding(said, level="notice"))
            continue
        level, out = "error", f"; {WAY_OUT.format(commit.id)}" if commit.id else ""
        if commit.id in refused:
            level, out = "warning", "; it was refused by the run of its own push and is not read again"
        for one in commit.findings:
            wrong = one.level == "error"
            message = f"commit {commit}: {one.message}{out if wrong else ''}"
            findings.append(Finding(message, level=level if wrong else one.level))
        if commit.tags and commit.id in commits.log.edge:
            said = f"commit {commit} is the edge of a shallow clone: its changed files could not be read"
            findings.append(Finding(said, level="warning"))
        for tag in commit.tags:
            file = f"{vms}/{machine_of(tag)}.yaml"
            try:
                if tag.action != "ansible":
                    was_there = functools.partial(ranges.touched, repo, file, commits.head)
                    approvable(tag, known.machines, known.workspaces, was_there)
                playbook, machine = resolve_tag(tag, known)
            except Fault as fault:
                if tag.action != "destroy" and ranges.touched(repo, file, commits.head, f"^{commit.id}"):
                    said = (
                        f"{tag} of commit {commit}: a later commit removed the machine, so it has no effect"
                    )
                    findings.append(Finding(said, level="notice"))
                else:
                    findings.append(Finding(f"commit {commit}: {tag} {fault}{out}", level=level))
                continue
            changed = commits.log.changed.get(commit.id, [])
            result.append(Request(*tag, playbook, machine, commit.id, commit.subject, changed))
    return result, findings


def resolve_tag(tag: Tag, known: Known) -> tuple[str | None, str | None]:
    """(playbook, machine) of a tag. Raises Fault, with what exists, for one that names nothing."""
    if tag.action != "ansible":
        return None, None if "/" in tag.name else machine_of(tag)
    if tag.name in known.playbooks:
        return tag.name, None
    if own := tag_playbook_of(tag.name):
        if own not in known.playbooks:
            raise Fault(f"asks for playbooks/{own}.yml, which does not exist")
        if tag.name in known.machines:
            if said := known.unplayed(tag.name):
                raise Fault(
                    f"names a machine on which no play runs: {said}; correct that, or take the tag back"
                )
            return own, tag.name
        nameable = sorted(filter(tag_playbook_of, known.machines))
        members = [name for name in nameable if cluster_of(name) == tag.name]
        if members and (playbook := tag_playbook_of(members[0])) in known.playbooks:
            raise Fault(
                f"names a cluster; [ansible {playbook}] is for its waiting machines, [ansible {members[0]}] for one"
            )
        said = "names a machine that neither the inventory nor vms/ has; a tag can name:"
        raise Fault(f"{said} {listed(nameable)}{guess(tag.name, nameable)}")
    suggestion = playbook_of(tag.name)
    hint = f"; did you mean [ansible {suggestion}]?" if suggestion in known.playbooks else ""
    if tag.name in known.machines:
        patterns = [pattern for kind in KINDS if kind.tag_playbook for pattern in kind.patterns]
        said = f"names a machine, and of these a tag can only name {', '.join(patterns)}"
    else:
        said = "names neither a playbook nor a machine that a tag can name"
        hint = hint or guess(tag.name, [*known.playbooks, *filter(tag_playbook_of, known.machines)])
    raise Fault(f"{said}; playbooks: {listed(sorted(known.playbooks))}{hint}")
