"""What inventory and queue become with Terraform's outputs: machines that are new, changed or gone."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fleet.ansible import command as ansible
from fleet.ansible import queue
from fleet.ansible.edit import change
from fleet.ansible.inventory import Host, parse
from fleet.files import read_text, write_text
from fleet.findings import Finding
from fleet.names import EXCLUDED, group_of, playbook_of
from fleet.paths import INVENTORY, QUEUE, shown
from fleet.terraform import outputs

NEVER_LEAVE = frozenset(Path(name).stem for name in EXCLUDED)


class Result(NamedTuple):
    """The new texts (the old ones when an error is found), and what became of which machine."""

    inventory_text: str
    queue_text: str
    added: list[str]
    changed: dict[str, str]  # name to what changed
    removed: list[str]
    kept: dict[str, str]  # name to the reason why it stays, or stays as it is
    queued: list[str]
    findings: list[Finding]


def update(
    inventory_text: str,
    queue_text: str,
    terraform: dict,
    keep: Iterable[str] = (),
    approved: Iterable[str] = (),
    inventory_path: str = "",
    queue_path: str = "",
) -> Result:
    """What inventory and queue become with the outputs `terraform`. Pure: reads and writes no file.

    `keep`: machines whose inventory lines must not leave yet; `approved`: those whose removal was asked for,
    so that no machine at all is no lost state. Errors are in `findings`, the texts are old
    then; raises Fault for outputs that are none.
    """
    machines = outputs.machines(terraform)
    before = parse(inventory_text, inventory_path)
    entries, broken = queue.parse(queue_text, queue_path)
    found = list(before.findings)
    managed = before.managed()
    gone = [name for name in managed if name not in machines and name not in NEVER_LEAVE]
    unapproved = set(gone) - set(approved)
    if unapproved and (not machines or len(unapproved) > max(1, len(managed) / 2)):
        message = (
            f"Terraform's outputs have {len(machines) or 'no'} machine{'s' * (len(machines) > 1)}, and"
            f" {len(gone)} of the inventory would leave: this looks like a lost state; if they are truly"
            " gone, say so by --approve-destroy, or take their lines out by hand"
        )
        found.append(Finding(message, inventory_path, managed[gone[0]].line + 1))
    if found:
        return Result(inventory_text, queue_text, [], {}, [], {}, [], found)
    found += [finding._replace(level="warning") for finding in broken]  # such a line stays as it is

    kept = {name: "asked to keep" for name in gone if name in keep}
    by_hand: dict[str, Host] = {}
    for host in before.hosts:
        strange = not any(name in machines or name in managed for name in host.names)
        if (host.defines or strange) and not host.managed:
            kept[host.pattern] = "written by hand"
            names = [name for name in host.names if name in machines and name not in managed]
            by_hand |= dict.fromkeys(names, host)
    for name, host in by_hand.items():
        if (there := host.variables.get("ansible_host", name)) != machines[name].address:
            message = f"{name} is at {there} by hand, but Terraform has it at {machines[name].address}"
            found.append(Finding(message, inventory_path, host.line + 1, level="warning"))

    put = {name: machine for name, machine in machines.items() if name not in by_hand}
    added = sorted(put.keys() - managed.keys())
    present = sorted(put.keys() & managed.keys())
    differences = {name: _differences(managed[name], put[name]) for name in present}
    members = before.members()
    for name in present:
        if (group := group_of(name)) and name not in members.get(group, ()):
            differences[name]["group"] = f"back in [{group}]"
    removed = sorted(set(gone) - kept.keys())
    text = change(before, put, removed)
    found += _left_behind(text, removed, inventory_path)

    macs = {name: managed[name].marks.get("mac") for name in present}
    remade = [name for name in present if macs[name] and macs[name].lower() != put[name].mac.lower()]
    waiting = {(entry.host, entry.playbook) for _, entry in entries}
    queued = [name for name in added + remade if not {(name, None), (name, playbook_of(name))} & waiting]
    addresses = {name: keys.get("ansible_host", name) for name, keys in before.variables().items()}
    addresses |= {name: machine.address for name, machine in put.items()}
    for number, entry in entries:
        if entry.host not in addresses:
            message = f"{entry.host} is queued, but no machine of the inventory; the line stays"
            found.append(Finding(message, queue_path, number, level="warning"))
    leaving = set(gone)

    def current(entry: queue.Entry) -> queue.Entry | None:
        address = addresses.get(entry.host, entry.address)
        return None if entry.host in leaving else entry._replace(address=address)

    new_queue = queue.edit(queue_text, current, [queue.Entry(addresses[name], name) for name in queued])
    changed = {name: ", ".join(keys.values()) for name, keys in differences.items() if keys}
    return Result(text, new_queue, added, changed, removed, kept, queued, found)


def update_files(
    terraform: dict,
    inventory: Path = INVENTORY,
    queue_file: Path = QUEUE,
    keep: Iterable[str] = (),
    dry_run: bool = False,
    approved: Iterable[str] = (),
) -> Result:
    """`update` on the files, with ansible-inventory's check of the new text before anything is written."""
    old, waiting = read_text(inventory), read_text(queue_file)
    result = update(old, waiting, terraform, keep, approved, shown(inventory), shown(queue_file))
    if result.inventory_text != old:
        machines = outputs.machines(terraform)
        addresses = {name: machines[name].address for name in [*result.added, *result.changed]}
        problems = ansible.check_inventory(result.inventory_text, addresses, shown(inventory))
        result = result._replace(findings=result.findings + problems)
    if any(finding.level == "error" for finding in result.findings):
        return result._replace(inventory_text=old, queue_text=waiting)
    if not dry_run:
        # The queue first: killed between the two, the next run still finds the machine new.
        write_text(queue_file, result.queue_text)
        write_text(inventory, result.inventory_text, backup=f"{inventory}.bak")
    return result


def _differences(host: Host, machine: outputs.Machine) -> dict[str, str]:
    """What a managed line says otherwise than Terraform, as key to text."""
    had = host.variables | host.marks
    wanted = machine.variables() | {"mac": machine.mac, "instance": machine.instance}
    wanted.setdefault("disk_mounts", "")
    return {
        key: f"{key} {had.get(key, 'none')} -> {value or 'none'}"
        for key, value in wanted.items()
        if had.get(key, "") != value and (value or key == "disk_mounts")
    }


def _left_behind(text: str, removed: list[str], path: str) -> list[Finding]:
    gone, message = set(removed), "is gone, but a person named it here; take it out"
    return [
        Finding(f"{name} {message}", path, host.line + 1, level="warning")
        for host in (parse(text).hosts if gone else ())
        for name in host.names
        if name in gone
    ]
