"""Split the queue into entries that can run now and findings that explain why the rest cannot."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fleet.ansible import queue
from fleet.ansible.host import used
from fleet.ansible.inventory import Inventory
from fleet.ansible.queue import Entry
from fleet.findings import Finding
from fleet.names import RESERVED, playbook_names


def playable(
    entries: Sequence[tuple[int, Entry]], inventory: Inventory, playbooks_dir: Path, path: str = ""
) -> tuple[list[Entry], list[Finding]]:
    """The entries that can run now, and findings that explain why the rest cannot."""
    good: list[Entry] = []
    found: list[Finding] = []
    known, refused = inventory.variables(), refusing(inventory, playbooks_dir)
    waiting = [entry.host for _, entry in entries if entry.playbook is None]
    if waiting:
        said = (
            f"{', '.join(waiting)} {'wait' if waiting[1:] else 'waits'}: no commit asked for a playbook yet"
        )
        found.append(Finding(said, path, level="notice"))
    for number, entry in entries:
        level, problem = "error", ""
        if entry.playbook is None:
            continue
        if entry.host not in known:
            why, way_out = (
                "is not in the inventory",
                "see why Terraform did not create it, or remove the line",
            )
            if entry.address == entry.host:
                why, way_out = "has no known address yet", "the next apply asks its guest agent again"
            problem = f"{entry.host} waits for {entry.playbook}.yml but {why}, so nothing was run; its line is kept:"
            problem += f" {way_out}"
        elif not (problem := refused(entry.host, entry.playbook)):
            good.append(entry)
            address = used(known[entry.host]).get("ansible_host", entry.host)
            if address != entry.address:
                level = "warning"
                problem = (
                    f"{entry.host} is {entry.address} here, but {address} in the inventory, which is used"
                )
        if problem:
            found.append(Finding(problem, path, number, level=level))
    return good, found


def refusing(inventory: Inventory, playbooks_dir: Path) -> Callable[[str, str], str]:
    """A function of host and playbook that says why the one is not run on the other; "" when it can be."""
    existing = sorted(playbook_names(playbooks_dir))
    members, known = inventory.members(), inventory.variables()

    def refused(host: str, playbook: str) -> str:
        if not queue.NAME.fullmatch(playbook) or playbook not in existing:
            return f"playbook {playbook!r} does not exist; there are: {', '.join(existing) or 'none'}"
        if not queue.HOST.fullmatch(host) or host in RESERVED:
            return f"{host!r} is not a machine's name"
        if host not in known:
            return f"{host} is not in the inventory"
        if host in inventory.children or host not in members.get(host, {host}):
            return f"{host} is also the name of a group, which Ansible would use; rename one of the two"
        return ""

    return refused
