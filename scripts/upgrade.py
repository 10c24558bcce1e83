#!/usr/bin/env python3
"""Bring a fleet's repository to a newer version of this project, by a three-way merge on a branch of its own.

Reads the repository's HEAD, its .gitops-version and the releases of the project at UPSTREAM; of .github/paths.toml,
which files are the project's. Writes the branch upgrade/VERSION, one commit on HEAD, and the project's tags below
refs/upstream/; prints what changes and the notes of the releases between. Checkout, index, other branches and tags
stay as they are. Nothing of the new version is run, except with --check: then its setup_venv.sh and validators, without
secrets, and its plan, with the environment's or `.env`'s secrets where PG_CONN_STR and Proxmox's are set.
Exit codes: 0 the branch is there, or nothing is newer, 1 refused, conflicts, or --check found something, 2 wrong
usage, git or the project's repository failed.
"""

from pathlib import Path

from fleet import cli, dotenv
from fleet.findings import Fault, Finding, guarded, report
from fleet.forge import step
from fleet.git import command as git
from fleet.paths import ROOT
from fleet.upgrades import branch, check, merge, notes, scratch, upstream, version


def steps_to(
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


def bring(repo: Path, base: version.Base, to: upstream.Version, commit: str, keep: bool, checks: bool) -> int:
    head = git.resolve(repo, "HEAD")
    if not head:
        raise Fault("the repository has no commit yet", code=2)
    with scratch.worktree(repo, head) as tree:
        merged = merge.merge(repo, tree, head, base.commit, commit)
        report(
            Finding("you deleted it, so what changed in it is left out", path, level="notice")
            for path in merged.gone
        )
        if report(conflict.finding(str(to)) for conflict in merged.conflicts) and not keep:
            raise Fault(f"{len(merged.conflicts)} files conflict, and no branch was made; run it again with"
                        f" --keep-conflicts, and mend them on the branch {branch.PREFIX}{to}")  # fmt: skip
        entries = merged.entries | {version.RECORD: scratch.store(repo, version.record(to, commit))}
        subject = f"feat(upgrade): {to} of {upstream.PROJECT}"
        body = f"The fleet had {base.name}."
        made = branch.commit(tree, scratch.write(tree, entries), head, subject, body)
        name = f"{branch.PREFIX}{to}"
        fresh = branch.put(repo, name, made)
        print(f"the branch {name} {'is made' if fresh else 'is there already'}:"
              f" {git.git(repo, 'diff', '--shortstat', head, made).strip()}")  # fmt: skip
        step.output("branch", name)
        if merged.conflicts:
            return 1
        findings = check.check(tree, made) if checks else []
    print(f"look at it: git diff HEAD {name}\ntake it: git merge {name}, or push it and open a pull request")
    return report(findings)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("to", nargs="?", default="", metavar="VERSION", help="default: the newest release")
    parser.add_argument("--from", dest="have", default="", metavar="VERSION", help="what the fleet has")
    parser.add_argument("--upstream", default="", metavar="URL", help="the project's repository")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the fleet's clone (default: this one)")
    parser.add_argument("--check", action="store_true", help="run the new version's validators, and its plan")
    parser.add_argument("--keep-conflicts", action="store_true", help="make the branch with the conflicts")
    options = parser.parse_args(argv)
    dotenv.load()
    repo = Path(git.git(options.repo, "rev-parse", "--show-toplevel"))
    releases = upstream.fetch(repo, upstream.address(repo, options.upstream))
    base = version.find(repo, options.have, releases)
    print(f"the fleet has {base.name} ({base.how})")
    to = steps_to(repo, options.to, releases, base)
    if to is None:
        print("nothing is newer" if not options.to else "nothing to do")
        return 0
    old = next((one for one, commit in releases.items() if commit == base.commit), upstream.parse(base.name))
    print(f"it goes to {to}\n\n{notes.between(repo, releases[to], old, to)}".rstrip() + "\n", flush=True)
    return bring(repo, base, to, releases[to], options.keep_conflicts, options.check)


if __name__ == "__main__":
    raise SystemExit(main())
