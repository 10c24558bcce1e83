"""What a run writes into inventory and queue, as a change that can be made again on each new head."""

from collections.abc import Iterable
from pathlib import Path

from fleet.ansible import assign, compare, inventory, queue, update
from fleet.clusters import shared_kubeconfig
from fleet.contexts import renamed as contexts
from fleet.files import read_text, write_text
from fleet.findings import Fault, Finding, report
from fleet.git import command as git
from fleet.hosts import known_hosts
from fleet.members import tokens
from fleet.names import cluster_of, contexts_of, is_member, managed, vm_names
from fleet.paths import INVENTORY, KNOWN_HOSTS, QUEUE, ROOT, VMS_DIR, shown
from fleet.terraform import outputs
from fleet.vms import files as vms


class InventoryCommit:
    """The change of one run, made again on each new head until it is published."""

    def __init__(self, repo: Path, terraform: dict | None, requests: list[dict]):
        self.repo, self.terraform, self.requests = repo, terraform, requests
        self.inventory, self.queue, self.known_hosts = (
            repo / path.relative_to(ROOT) for path in (INVENTORY, QUEUE, KNOWN_HOSTS)
        )
        self.removed: dict[str, Finding | None] = {}  # context removed from Vault, or why it was not
        self.renamed: dict[str, Finding | None] = {}  # machine whose context has its name, or why it has not
        self.findings: list[Finding] = []

    def __call__(self) -> str | None:
        """Write both files; the commit's subject with the tags that it records. Raises Fault."""
        self.findings = []
        if self.terraform is not None:
            self._update()
        served = git.resolve(self.repo, git.SERVED)
        open_requests = [one for one in self.requests if not self._is_served(one, served)]
        self._assign([one for one in open_requests if one["action"] == "ansible"])
        tags = dict.fromkeys(
            f"[ansible {one['name']}]" for one in open_requests if one["action"] == "ansible"
        )
        return " ".join(["Auto-update Ansible inventory", *tags])

    def _update(self) -> None:
        approved, adopt = (
            [one["name"] for one in self.requests if one["action"] == action]
            for action in ("destroy", "adopt")
        )
        texts = [read_text(path) for path in (self.inventory, self.queue)]
        folder, lines = self.repo / VMS_DIR.relative_to(ROOT), inventory.parse(texts[0])
        expected, formerly = vm_names(folder), vms.formerly(folder)
        machines = outputs.machines(self.terraform)
        for name, old in compare.renames(lines, machines, formerly).items():
            if name not in self.renamed:
                self.renamed[name] = contexts.rename(old, name)
        kept = {
            name: formerly[name] for name, problem in self.renamed.items() if problem and name in formerly
        }
        terraform = outputs.under(self.terraform, kept)
        given = {"approved": approved, "adopt": adopt}
        planned = update.update(*texts, terraform, expected=expected, formerly=formerly, **given)
        staying = {*lines.variables(), *outputs.machines(terraform)}
        needed = needed_contexts(staying.difference(planned.removed))
        for name in planned.removed:
            for context in contexts_of(name):
                if owner := needed.get(context):
                    print(f"{name}: context {context} stays in Vault, {owner} uses it")
                elif managed(context) and context not in self.removed:
                    self.removed[context] = remove_context(context, name)
        keep = [name for name in planned.removed if any(map(self.removed.get, contexts_of(name)))]
        files = (self.inventory, self.queue)
        result = update.update_files(terraform, *files, keep, **given)
        keys = read_text(self.known_hosts)
        left = known_hosts.without(known_hosts.renamed(keys, result.renamed), result.removed)
        if left != keys:
            write_text(self.known_hosts, left)
        for name, old in result.renamed.items():
            print(f"{old} is called {name} from now on")
        if result.adopted:
            print(f"adopted: {', '.join(result.adopted)}; Terraform manages their lines from now on")
        self.findings += [*filter(None, [*self.removed.values(), *self.renamed.values()]), *result.missing]
        self._note(result.findings)

    def _assign(self, requests: list[dict]) -> None:
        inventory_text, queue_text = (read_text(path) for path in (self.inventory, self.queue))
        # A machine that could not be made yet is given its playbook too, or the request would be lost.
        known = inventory.parse(inventory_text).variables()
        addresses = {name: one for name, one in self._addresses().items() if name not in known}
        waiting = {entry.host for _, entry in queue.parse(queue_text)[0] if entry.playbook is None}
        added = [queue.Entry(one, name) for name, one in addresses.items() if name not in waiting]
        text = queue.edit(queue_text, lambda entry: entry, added)
        result = assign.assign(inventory_text, text, requests, shown(self.inventory), shown(self.queue))
        new = set(added)
        text = queue.edit(result.queue_text, lambda entry: None if entry in new else entry)
        self._note([one for one in result.findings if one.message.split(" ")[0] not in addresses])
        if text != queue_text:
            write_text(self.queue, text)

    def _addresses(self) -> dict[str, str]:
        """The machines of the VM files with their addresses; a broken file is the next run's to refuse.

        One whose address only its guest agent knows waits under its name, which becomes the address that is told.
        """
        made = outputs.machines(self.terraform) if self.terraform else {}
        silent = {name for name, one in made.items() if not one.plays}
        found = {}
        for vm in vms.load_dir(self.repo / VMS_DIR.relative_to(ROOT))[0].values():
            address = vm.name if vm.is_leased else vm.address()
            if vm.managed and address and not vm.unplayed and vm.name not in silent:
                found[vm.name] = address
        return found

    def _note(self, findings: list[Finding]) -> None:
        errors = [finding for finding in findings if finding.level == "error"]
        if errors:
            report(findings)
            raise Fault(f"nothing is published: fix the {len(errors)} findings above first")
        self.findings += findings

    def _is_served(self, request: dict, served: str | None) -> bool:
        """Whether another run served it since it was read."""
        commit = request.get("commit")
        return bool(served and commit and git.is_ancestor(self.repo, commit, served))


def needed_contexts(machines: Iterable[str]) -> dict[str, str]:
    """The contexts of these machines and their clusters, each with a machine that uses it."""
    return {context: name for name in sorted(machines) for context in contexts_of(name)}


def remove_context(context: str, machine: str) -> Finding | None:
    """Remove a context of a machine that is gone from Vault's kubeconfig; why that failed, or None.

    With the context of a cluster of several machines goes what Vault keeps to bring members in.
    """
    try:
        result = shared_kubeconfig.remove(context)
        retired = is_member(machine) and context == cluster_of(machine) and tokens.retire(context)
    except Fault as fault:
        said = f"{machine} is gone, but its context {context} could not be removed from Vault, so its"
        return Finding(f"{said} inventory line stays: {fault}")
    print(f"{machine}: {'removed' if result.changed else 'Vault has no'} context {context}")
    if retired:
        print(f"{context}: its tokens left Vault; for its snapshots, `vault kv rollback` brings them back")
    return None
