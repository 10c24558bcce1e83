#!/usr/bin/env python3
"""Read the open requests, as `[ansible X]` and `[destroy NAME]`, from the commits since the last served one.

The others are `[adopt NAME]`, `[drop-disk NAME SLOT]` and `[destroy WORKSPACE/RELEASE]`; docs/use.md has them all.
Reads: the commit messages from refs/gitops/served to HEAD (or --range, or standard input with `-`), the names
in playbooks/, vms/ and the inventory. Writes nothing. Prints each request with what it runs, or JSON.
Exit codes: 0 read, 1 a tag that was refused or names nothing, 2 wrong usage or no repository.
"""

import argparse
import sys
from pathlib import Path

from fleet import cli
from fleet.findings import Finding, guarded, report
from fleet.paths import ROOT
from fleet.tags import ranges
from fleet.tags.commits import inside

EXAMPLES = """examples:
  extract_ansible_tag.py                              what is open in this clone
  extract_ansible_tag.py --range origin/main..HEAD    what my branch asks for
  extract_ansible_tag.py --range HEAD                 what the last commit asks for
  git log -1 --format=%B | extract_ansible_tag.py -   one message; several are separated by NUL (git log -z)
  extract_ansible_tag.py --repo ../other-clone --format json
"""


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    option = options.add_argument
    option("messages", nargs="?", choices=["-"], help="read commit messages from standard input")
    option("--range", help="commits A..B, A.. or one commit, instead of what is not served yet")
    option("--before", help="the branch's head before the push, or ''; faults up to there only warn")
    option("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    option("--vms-dir", type=Path, help="VM files (default: proxmox/vms of the clone)")
    option("--inventory", type=Path, help="Ansible inventory (default: proxmox/k8s.ini of the clone)")
    option("--playbooks-dir", type=Path, help="playbooks (default: proxmox/playbooks of the clone)")
    option("--format", choices=["text", "json"], default="text", help="default: %(default)s")
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    repo = options.repo
    vms_dir = options.vms_dir or repo / "proxmox/vms"
    vms = inside(repo, vms_dir) or "proxmox/vms"
    if options.messages:
        commits = ranges.of_messages(sys.stdin.buffer.read().decode("utf-8", "replace"))
    elif options.range is not None:
        commits = ranges.given_range(repo, vms, options.range)
    else:
        commits = ranges.open_range(repo, vms, options.before)
    found, findings = [], commits.findings
    if any(commit.tags or commit.findings for commit in commits.log.commits):
        from fleet.steps.requests import what_exists  # most runs end before this
        from fleet.tags import requests

        inventory = options.inventory or repo / "proxmox/k8s.ini"
        playbooks = options.playbooks_dir or repo / "proxmox/playbooks"
        known = what_exists(vms_dir, inventory, playbooks, repo / "clusters")
        found, wrong = requests.collect(repo, vms, commits, known, options.before)
        findings = findings + wrong
    print(as_json(commits, found, findings) if options.format == "json" else as_text(commits, found))
    return report(findings)


def as_text(commits: ranges.Range, found: list) -> str:
    lines = []
    for request in found:
        gone = "may be uninstalled" if "/" in request.name else "may be destroyed"
        approves = {"destroy": gone, "adopt": "may be changed to what its VM file says",
                    "drop-disk": "may be detached; its volume stays as an unused disk"}  # fmt: skip
        waiting = f"what is queued for it (changed: {', '.join(request.changed) or 'no VM file'})"
        runs = (
            f"{request.playbook}.yml on {request.machine or waiting}"
            if request.playbook
            else approves[request.action]
        )
        origin = f"  {request.commit[:10]} {request.subject}" if request.commit else ""
        lines.append(f"[{request.action} {request.name}]  {runs}{origin}")
    return "\n".join(lines) or f"no requests{f' since {commits.since[:10]}' if commits.since else ''}"


def as_json(commits: ranges.Range, found: list, findings: list[Finding]) -> str:
    import json

    answer = {"head": commits.head, "since": commits.since, "notes": [finding.text() for finding in findings]}
    # A request on each line; with an indent json is ten times as slow.
    listed = ",\n    ".join(json.dumps(request._asdict()) for request in found)
    listed = f"\n    {listed}\n  " if found else ""
    return f'{json.dumps(answer, indent=2)[:-2]},\n  "requests": [{listed}]\n}}'


if __name__ == "__main__":
    raise SystemExit(main())
