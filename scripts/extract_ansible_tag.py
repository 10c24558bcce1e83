#!/usr/bin/env python3
"""Read the open requests, `[ansible X]` and `[destroy NAME]`, from the commits since the last served one.

Reads: the commit messages from refs/gitops/served to HEAD (or --range, or standard input with `-`), the names
in playbooks/, vms/ and the inventory. Writes nothing. Prints each request with what it runs, or JSON.
Exit codes: 0 read, 1 a tag that was refused or names nothing, 2 wrong usage or no repository.
"""

import argparse
import sys
from pathlib import Path

from fleet import requests, tags
from fleet.findings import Fault, Finding, guarded, report
from fleet.paths import ROOT

EXAMPLES = """examples:
  extract_ansible_tag.py                              what is open in this clone
  extract_ansible_tag.py --range origin/main..HEAD    what my branch asks for
  extract_ansible_tag.py --range HEAD                 what the last commit asks for
  git log -1 --format=%B | extract_ansible_tag.py -   one message; several are separated by NUL (git log -z)
  extract_ansible_tag.py --repo ../other-clone --format json
"""
WAY_OUT = (
    "to withdraw the request, push a commit with the line `This reverts commit {}.` in its body"
    " (git revert, or git commit --allow-empty)"
)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = options.add_argument
    option("messages", nargs="?", choices=["-"], help="read commit messages from standard input")
    option("--range", help="commits A..B, A.. or one commit, instead of what is not served yet")
    option("--before", help="the branch's head before the push; used where nothing was served yet")
    option("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    option("--vms-dir", type=Path, help="VM files (default: proxmox/vms of the clone)")
    option("--inventory", type=Path, help="Ansible inventory (default: proxmox/k8s.ini of the clone)")
    option("--playbooks-dir", type=Path, help="playbooks (default: proxmox/playbooks of the clone)")
    option("--format", choices=["text", "json"], default="text")
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    repo = options.repo
    if options.messages:
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
        messages = [requests.Commit(None, [], message) for message in text.split("\0") if message.strip()]
        reach = requests.Range(None, None, [], messages, [])
    elif options.range is not None:
        reach = requests.given_range(repo, options.range)
    else:
        reach = requests.open_range(repo, options.before)
    places = (
        options.vms_dir or repo / "proxmox/vms",
        options.inventory or repo / "proxmox/k8s.ini",
        options.playbooks_dir or repo / "proxmox/playbooks",
    )
    found, findings = collect(repo, reach, *places)
    print(as_json(reach, found, findings) if options.format == "json" else as_text(reach, found))
    return report(findings)


def what_exists(vms_dir: Path, inventory_path: Path, playbooks_dir: Path) -> requests.Known:
    """The names that tags may use. A folder or an inventory that is not there holds none."""
    from fleet import inventory

    text = inventory_path.read_text(errors="replace") if inventory_path.is_file() else ""
    hosts = inventory.parse(text).variables()
    return requests.Known(
        {path.stem for path in playbooks_dir.glob("*.yml") if path.is_file()},
        {path.stem for path in vms_dir.glob("*.yaml")} | set(hosts),
    )


def collect(
    repo: Path, reach: requests.Range, vms_dir: Path, inventory_path: Path, playbooks_dir: Path
) -> tuple[list[requests.Request], list[Finding]]:
    """All requests of a range of commits, the oldest first, and what is wrong with the others."""
    head = reach.head
    edge, unseen = requests.unseen(repo, reach.records) if head else (set(), [])
    findings = [*reach.findings, *unseen]
    tagged = [(commit, *tags.read(commit.message)) for commit in reach.commits]
    tagged = [row for row in tagged if row[1] or row[2]]
    if not tagged:
        return [], findings
    known = what_exists(vms_dir, inventory_path, playbooks_dir)
    back = requests.withdrawn(repo, reach.commits) if head else {}
    vms = vms_in_repo(repo, vms_dir)
    ids = [commit.id for commit, found, _ in tagged if head and found and commit.id not in edge]
    changed = requests.changed_machines(repo, ids, vms)
    result = []
    for commit, found, wrong in tagged:
        if commit.id in back:
            text = " ".join(map(str, found)) or "what it asks for"
            findings.append(
                Finding(f"{text}: commit {commit} was reverted by {back[commit.id]}", level="notice")
            )
            continue
        findings += [item._replace(message=f"commit {commit}: {item.message}") for item in wrong]
        if found and commit.id in edge:
            said = f"commit {commit} is the edge of a shallow clone: its changed files could not be seen"
            findings.append(Finding(said, level="warning"))
        for tag in found:
            file = f"{vms}/{tag.name}.yaml"
            try:
                if tag.action == "destroy":
                    requests.destroyable(tag, known, touched(repo, file, head))
                playbook, machine = requests.resolve_tag(tag, known)
            except Fault as fault:
                if tag.action == "ansible" and touched(repo, file, head, f"^{commit.id}"):
                    said = f"{tag} of commit {commit}: a later commit removed the machine, nothing to run"
                    findings.append(Finding(said, level="notice"))
                else:
                    out = f"; {WAY_OUT.format(commit.id)}" if commit.id else ""
                    findings.append(Finding(f"commit {commit}: {tag} {fault}{out}"))
                continue
            origin = (commit.id, commit.subject, changed.get(commit.id, []))
            result.append(requests.Request(*tag, playbook, machine, *origin))
    return result, findings


def touched(repo: Path, path: str, head: str | None, *without: str) -> bool:
    """Whether a commit up to `head` touched the file; False without commits."""
    args = ("rev-list", "--max-count=1", head, *without, "--", f":(top,literal){path}")
    return bool(head and requests.git(repo, *args))


def vms_in_repo(repo: Path, vms_dir: Path) -> str:
    """The folder of VM files as git names it."""
    try:
        top = repo / requests.layout(repo)[0]
        return vms_dir.resolve().relative_to(top.resolve()).as_posix()
    except (Fault, ValueError):
        return "proxmox/vms"


def as_text(reach: requests.Range, found: list[requests.Request]) -> str:
    lines = []
    for request in found:
        waiting = f"what is queued for it (changed: {', '.join(request.changed) or 'no VM file'})"
        runs = (
            f"{request.playbook}.yml on {request.machine or waiting}"
            if request.playbook
            else "may be destroyed"
        )
        origin = f"  {request.commit[:10]} {request.subject}" if request.commit else ""
        lines.append(f"[{request.action} {request.name}]  {runs}{origin}")
    return "\n".join(lines) or f"no requests{f' since {reach.since[:10]}' if reach.since else ''}"


def as_json(reach: requests.Range, found: list[requests.Request], findings: list[Finding]) -> str:
    import json

    notes = [finding.text() for finding in findings]
    listed = [request._asdict() for request in found]
    answer = {"head": reach.head, "since": reach.since, "notes": notes, "requests": listed}
    return json.dumps(answer, indent=2)


if __name__ == "__main__":
    raise SystemExit(main())
