#!/usr/bin/env python3
"""Publish what a run found out: inventory and queue in one commit, and how far requests are served.

Reads Terraform's outputs and the requests of `extract_ansible_tag.py --format json`; writes k8s.ini,
new_hosts.txt and known_hosts, which a removed machine's host keys leave, on the head of the default branch,
and refs/gitops/served. A removed cluster leaves Vault first:
where that fails, its inventory line stays and the exit is 1, after everything else has been published. When
others push meanwhile it starts again from the new head, so it can be killed and run again at any time.

Without --outputs no Terraform has run: when the open commits change machines or ask to destroy one, all is
left to the workflow terraform-apply, and the step's output `left` says so. Else its output `published` says
that later jobs may go on.

Exit: 0 published or nothing to do, 1 refused or a cluster could not leave Vault, 2 git or origin failed.
"""

from pathlib import Path

from fleet import cli
from fleet.findings import guarded, report
from fleet.forge import step
from fleet.git import command as git
from fleet.git import publish
from fleet.paths import ROOT
from fleet.steps.publish import InventoryCommit
from fleet.tags import requests_file
from fleet.terraform import outputs

# What only Terraform may serve: any change here but that of the automation's own files and the playbooks.
TERRAFORM = ("proxmox", *(f":!{path}" for path in publish.PUBLISHED), ":!proxmox/playbooks")


def needs_terraform(repo: Path, opened: requests_file.RequestsFile) -> str | None:
    """Why only terraform-apply may serve the open commits, or None."""
    for request in opened.requests:
        if request["action"] != "ansible":
            return f"[{request['action']} {request['name']}] is open"
    if opened.since:
        between = ("diff", "--name-only", opened.since, opened.head, "--", *TERRAFORM)
        changed = git.git(repo, *between).splitlines()
        if changed:
            return f"{changed[0]}{' and others' if len(changed) > 1 else ''} changed"
    return None


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--requests", type=Path, required=True, metavar="FILE", help="open requests, as JSON")
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="a saved `terraform output -json`")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_args(argv)
    opened = requests_file.load(options.requests)
    if options.outputs is None:
        if reason := needs_terraform(options.repo, opened):
            print(f"left to terraform-apply: {reason}")
            step.output("left", "true")
            return 0
        if not opened.requests:
            print("no open requests")
            return 0
    terraform = outputs.load(options.outputs) if options.outputs else None
    change = InventoryCommit(options.repo, terraform, opened.requests)
    commit = publish.publish(options.repo, change, served=opened.head)
    step.output("published", "true")
    code = report(change.findings)
    show = ("log", "-1", "--format=%h %s")
    said = git.git(options.repo, *show, commit) if commit else "nothing to commit"
    print(f"published: {said}")
    step.note(f"Inventory: {said}" + "".join(f"\n- {finding.message}" for finding in change.findings))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
