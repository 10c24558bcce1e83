#!/usr/bin/env python3
"""Publish what a run found out: inventory and queue in one commit, and how far requests are served.

Reads Terraform's outputs and the requests of `extract_ansible_tag.py --format json`; writes k8s.ini and
new_hosts.txt on the head of the default branch, and refs/gitops/served. A removed cluster leaves Vault first:
where that fails, its inventory line stays and the exit is 1, after everything else has been published. When
others push meanwhile it starts again from the new head, so it can be killed and run again at any time.

Without --outputs no Terraform has run: when the open commits change machines or ask to destroy one, all is
left to the workflow terraform-apply, and the step's output `left` says so. Else its output `published` says
that later jobs may go on.

Exit: 0 published or nothing to do, 1 refused or a cluster could not leave Vault, 2 git or origin failed.
"""

import argparse
import contextlib
import json
from pathlib import Path

import assign_playbooks
import update_inventory
from fleet import inventory, outputs, queue, repository, summary, tfvars, vms
from fleet.files import write_atomic
from fleet.findings import Fault, Finding, guarded, report
from fleet.names import is_k8s
from fleet.paths import INVENTORY, QUEUE, ROOT, VMS_DIR, shown

# What only Terraform may serve: any change here but that of the automation's own files and the playbooks.
TERRAFORM = (
    "proxmox",
    f":!{INVENTORY.relative_to(ROOT)}",
    f":!{QUEUE.relative_to(ROOT)}",
    ":!proxmox/playbooks",
)


class Inventory:
    """The change of one run, made again on each new head until it is published."""

    def __init__(self, repo: Path, terraform: dict | None, requests: list[dict]):
        self.repo, self.terraform, self.requests = repo, terraform, requests
        self.inventory, self.queue = (repo / path.relative_to(ROOT) for path in (INVENTORY, QUEUE))
        self.removed: dict[str, Finding | None] = {}  # cluster that left Vault, or why it did not
        self.findings: list[Finding] = []

    def __call__(self) -> str | None:
        """Write both files; the commit's subject with the tags that it records. Raises Fault."""
        self.findings = []
        if self.terraform is not None:
            self._update()
        served = repository.resolve(self.repo, repository.SERVED)
        open_requests = [one for one in self.requests if not self._is_served(one, served)]
        self._assign([one for one in open_requests if one["action"] == "ansible"])
        tags = dict.fromkeys(
            f"[ansible {one['name']}]" for one in open_requests if one["action"] == "ansible"
        )
        return " ".join(["Auto-update Ansible inventory", *tags])

    def _update(self) -> None:
        approved = [one["name"] for one in self.requests if one["action"] == "destroy"]
        texts = (update_inventory.read(path) for path in (self.inventory, self.queue))
        planned = update_inventory.update(*texts, self.terraform, approved=approved)
        for name in filter(is_k8s, planned.removed):
            if name not in self.removed:
                self.removed[name] = remove_cluster(name)
        keep = [name for name, problem in self.removed.items() if problem]
        result = update_inventory.update_files(
            self.terraform, self.inventory, self.queue, keep, approved=approved
        )
        self.findings += [problem for problem in self.removed.values() if problem]
        self._note(result.findings)

    def _assign(self, requests: list[dict]) -> None:
        inventory_text, queue_text = (update_inventory.read(path) for path in (self.inventory, self.queue))
        # A machine that could not be made yet is given its playbook too, or the request would be lost.
        known = inventory.parse(inventory_text).variables()
        addresses = {name: one for name, one in self._addresses().items() if name not in known}
        waiting = {entry.host for _, entry in queue.parse(queue_text)[0] if entry.playbook is None}
        added = [queue.Entry(one, name) for name, one in addresses.items() if name not in waiting]
        text = queue.edit(queue_text, lambda entry: entry, added)
        result = assign_playbooks.assign(
            inventory_text, text, requests, shown(self.inventory), shown(self.queue)
        )
        new = set(added)
        text = queue.edit(result.queue_text, lambda entry: None if entry in new else entry)
        self._note([one for one in result.findings if one.message.split(" ")[0] not in addresses])
        write_atomic(self.queue, text)

    def _addresses(self) -> dict[str, str]:
        """The machines of the VM files with their addresses; a broken file is the next run's to refuse."""
        found = {}
        for vm in vms.load_dir(self.repo / VMS_DIR.relative_to(ROOT))[0].values():
            with contextlib.suppress(KeyError, ValueError, AttributeError):
                address = tfvars.ipconfig(vm.data["ipconfig0"])["ip"].partition("/")[0]
                found |= {vm.name: address} if vm.managed else {}
        return found

    def _note(self, findings: list[Finding]) -> None:
        errors = [finding for finding in findings if finding.level == "error"]
        if errors:
            report(findings)
            raise Fault(f"nothing is published: {len(errors)} findings above are to be mended first")
        self.findings += findings

    def _is_served(self, request: dict, served: str | None) -> bool:
        """Whether another run served it since it was read."""
        commit = request.get("commit")
        return bool(served and commit and repository.is_ancestor(self.repo, commit, served))


def remove_cluster(name: str) -> Finding | None:
    """Take a machine's cluster out of Vault's kubeconfig; why that failed, or None."""
    import update_kubeconfig  # Vault's client is needed by few runs

    try:
        result = update_kubeconfig.remove(name)
    except Fault as fault:
        said = f"{name} is gone, but its cluster could not leave Vault, so its inventory line stays"
        return Finding(f"{said}: {fault}")
    print(f"{name}: {'its cluster left Vault' if result.changed else 'no cluster in Vault'}")
    return None


def needs_terraform(repo: Path, asked: dict) -> str | None:
    """Why only terraform-apply may serve the open commits, or None."""
    for request in asked["requests"]:
        if request["action"] == "destroy":
            return f"[destroy {request['name']}] is open"
    since, head = asked.get("since"), asked["head"]
    if since:
        changed = repository.git(repo, "diff", "--name-only", since, head, "--", *TERRAFORM).splitlines()
        if changed:
            return f"{changed[0]}{' and others' if len(changed) > 1 else ''} changed"
    return None


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["inventory"])
    parser.add_argument("--requests", type=Path, required=True, metavar="FILE", help="open requests, as JSON")
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="a saved `terraform output -json`")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_args(argv)
    try:
        asked = json.loads(options.requests.read_text())
        head, requests = asked["head"], asked["requests"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"no requests of extract_ansible_tag.py --format json: {error}"
        raise Fault(message, shown(options.requests), code=2) from None
    if options.outputs is None:
        if reason := needs_terraform(options.repo, asked):
            print(f"left to terraform-apply: {reason}")
            summary.output("left", "true")
            return 0
        if not requests:
            print("no open requests")
            return 0
    change = Inventory(options.repo, outputs.load(options.outputs) if options.outputs else None, requests)
    commit = repository.publish(options.repo, change, served=head)
    summary.output("published", "true")
    code = report(change.findings)
    said = (
        repository.git(options.repo, "log", "-1", "--format=%h %s", commit) if commit else "nothing to commit"
    )
    print(f"published: {said}")
    summary.note(f"Inventory: {said}" + "".join(f"\n- {finding.message}" for finding in change.findings))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
