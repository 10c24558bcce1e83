#!/usr/bin/env python3
"""Bring a fleet's repository to a newer version of this project, by a three-way merge on a branch of its own.

Reads the repository's HEAD, its .gitops-version and the releases of the project's repository; of .github/paths.toml,
which files are the project's. Writes the branch upgrade/VERSION, one commit on HEAD, and the project's tags below
refs/upstream/; prints what changes and the notes of the releases between. Checkout, index, other branches and tags
stay as they are. Nothing of the new version is run, except with --check: then its setup_venv.sh and validators, without
secrets, and its plan, with the environment's or `.env`'s secrets where PG_CONN_STR and Proxmox's are set.
Exit codes: 0 the branch is there, or nothing is newer, 1 refused, conflicts, or --check found something, 2 wrong
usage, git or the project's repository failed.
"""

import os
from pathlib import Path

from fleet import cli
from fleet.findings import Finding, guarded, report
from fleet.git import command as git
from fleet.paths import ROOT
from fleet.upgrades import notes, upstream, version
from fleet.upgrades.bring import Job, bring, goal


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
    repo = Path(git.git(options.repo, "rev-parse", "--show-toplevel"))
    recorded = version.read(repo)
    url = upstream.address(repo, options.upstream or recorded.upstream)
    if not url:
        way_out = f'give --upstream URL, or write upstream = "URL" into {version.RECORD}'
        weekly = os.environ.get("GITHUB_EVENT_NAME") == "schedule"
        report([Finding(f"where is the project? {way_out}", level="notice" if weekly else "error")])
        return 0 if weekly else 2
    releases = upstream.fetch(repo, url)
    base = version.find(repo, options.have, recorded, releases)
    print(f"the fleet has {base.name} ({base.how})")
    to = goal(repo, options.to, releases, base)
    if to is None:
        print("nothing is newer" if not options.to else "nothing to do")
        return 0
    old = next((one for one, commit in releases.items() if commit == base.commit), upstream.parse(base.name))
    print(f"it goes to {to}\n\n{notes.between(repo, releases[to], old, to)}".rstrip() + "\n", flush=True)
    known = url if upstream.is_for_all(url) else recorded.upstream
    return bring(Job(repo, base, to, releases[to], known, options.keep_conflicts, options.check))


if __name__ == "__main__":
    raise SystemExit(main())
