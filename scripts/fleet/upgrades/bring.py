"""One upgrade: whether there is one, the merge, its branch, and what the new version says of the result."""

from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding, report
from fleet.forge import step
from fleet.git import command as git
from fleet.upgrades import branch, check, merge, scratch, upstream, version


def goal(
    repo: Path, asked: str, releases: dict[upstream.Version, str], base: version.Base
) -> upstream.Version | None:
    """The release to go to, or None when the fleet has it. Raises Fault."""
    wanted = upstream.parse(asked) if asked else list(releases)[-1]
    if wanted not in releases:
        raise Fault(f"the project has no release {asked!r}; it has {version.known(releases)}", code=2)
    commit = releases[wanted]
    if base.commit == commit or (not asked and git.is_ancestor(repo, commit, base.commit)):
        return None
    upstream.check(repo, commit, wanted)
    if git.is_ancestor(repo, commit, base.commit):
        way_out = "to go back, revert the commit of the upgrade"
        raise Fault(f"the fleet has {base.name}, and {wanted} is older; {way_out}")
    if not git.is_ancestor(repo, base.commit, commit):
        raise Fault(f"{wanted} was not made from {base.name}, which the fleet has; give --from VERSION")
    return wanted


class Job(NamedTuple):
    repo: Path
    base: version.Base
    to: upstream.Version
    commit: str
    url: str  # to be recorded, or ""
    keep: bool  # make the branch in spite of conflicts
    checks: bool


def bring(job: Job) -> int:
    """Merge, make the branch, and let the new version check it."""
    repo, to = job.repo, job.to
    head = git.resolve(repo, "HEAD")
    if not head:
        raise Fault("the repository has no commit yet", code=2)
    with scratch.worktree(repo, head) as tree:
        merged = merge.merge(repo, tree, head, job.base.commit, job.commit)
        report(
            Finding("you deleted it, so what the project changed there is left out", path, level="notice")
            for path in merged.gone
        )
        if report(conflict.finding(str(to)) for conflict in merged.conflicts) and not job.keep:
            raise Fault(f"{len(merged.conflicts)} files conflict, and no branch was made; run it again with"
                        f" --keep-conflicts, and mend them on the branch {branch.PREFIX}{to}")  # fmt: skip
        entries = merged.entries | {
            version.RECORD: scratch.store(repo, version.text(to, job.commit, job.url))
        }
        subject = f"feat(upgrade): {to} of {upstream.PROJECT}"
        body = f"The fleet had {job.base.name}."
        made = branch.commit(tree, scratch.write(tree, entries), head, subject, body)
        name = f"{branch.PREFIX}{to}"
        fresh = branch.put(repo, name, made)
        print(f"the branch {name} {'is made' if fresh else 'is there already'}:"
              f" {git.git(repo, 'diff', '--shortstat', head, made).strip()}")  # fmt: skip
        step.output("branch", name)
        if merged.conflicts:
            return 1
        findings = check.check(repo, tree, made) if job.checks else []
    print(f"look at it: git diff HEAD {name}\ntake it: git merge {name}, or push it and open a pull request")
    return report(findings)
