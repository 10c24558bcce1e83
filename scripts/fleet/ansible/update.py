"""What inventory and queue become with Terraform's outputs: machines that are new, changed or gone."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fleet.ansible import by_hand, compare, edit, queue
from fleet.ansible import command as ansible
from fleet.ansible.assign import following
from fleet.ansible.groups import contradictions
from fleet.ansible.host import addresses_of
from fleet.ansible.inventory import parse
from fleet.files import read_text, write_text
from fleet.findings import Finding
from fleet.names import playbook_of, vm_names
from fleet.paths import INVENTORY, QUEUE, VMS_DIR, shown
from fleet.terraform import outputs
from fleet.vms import files


class Result(NamedTuple):
    """The new texts (the old ones when an error is found), and what became of which machine."""

    inventory_text: str
    queue_text: str
    added: list[str]
    changed: dict[str, str]  # name to what changed
    removed: list[str]
    adopted: list[str]  # machines whose lines a person wrote and Terraform manages from now on
    kept: dict[str, str]  # name to the reason why it stays, or stays as it is
    queued: list[str]
    findings: list[Finding]  # with an error among them nothing is changed
    missing: list[Finding]  # errors that stop no change: machines that Terraform should have
    renamed: Mapping[str, str] = {}  # machines to the names that their lines had


def update(
    inventory_text: str,
    queue_text: str,
    terraform: dict,
    keep: Iterable[str] = (),
    approved: Iterable[str] = (),
    adopt: Collection[str] = (),
    expected: Collection[str] = (),
    formerly: Mapping[str, str] = {},
    inventory_path: str = "",
    queue_path: str = "",
) -> Result:
    """What inventory and queue become with the outputs `terraform`. Pure: reads and writes no file.

    `keep`: machines whose inventory lines must not leave yet; `approved`: those whose removal was asked for,
    so that no machine at all is no lost state; `adopt`: those whose lines by hand take Terraform's values
    ("all": every one); `expected`: those that have a VM file, and leave only when that was approved; `formerly`:
    machines to their earlier names, by their files. Errors are in `findings`, the texts are old then; raises Fault for
    outputs that are none.
    """
    there = outputs.machines(terraform)
    # Without an address, or without plays, a machine is neither new nor changed nor gone: what is written of it stays.
    machines = {name: one for name, one in there.items() if one.address and one.plays}
    renamed = compare.renames(parse(inventory_text), there, formerly)
    before = parse(edit.renamed(inventory_text, renamed), inventory_path)
    entries, broken = queue.parse(waiting := queue.renamed(queue_text, renamed), queue_path)
    managed = before.managed()
    gone = compare.leaving(managed, there)
    lines, patterns = by_hand.lines_of(before, machines)
    adopted, differing = by_hand.adoptable(before, lines, machines, adopt, inventory_path)
    found = [
        *before.findings,
        *compare.lost_state(gone, managed, there, approved, inventory_path),
        *compare.shared(machines, before, inventory_path),
        *contradictions(before.hosts, before.children, machines, inventory_path),
        *differing,
    ]
    if found:
        return Result(inventory_text, queue_text, [], {}, [], [], {}, [], found, [])
    expected = {*expected, *formerly.values()}
    missing = [name for name in gone if name in expected and name not in approved]
    gone = [name for name in gone if name not in missing]
    kept = dict.fromkeys(missing, "missing in Terraform's outputs")
    kept |= {name: "asked to keep" for name in gone if name in keep}
    kept |= compare.left_alone(managed, there.keys() - machines.keys(), there)
    taken = {host.pattern for host in adopted.values()}
    kept |= {pattern: "written by hand" for pattern in patterns if pattern not in taken}
    added = sorted(machines.keys() - managed.keys() - adopted.keys())
    removed = sorted(set(gone) - kept.keys())
    text = edit.change(before, machines, removed, adopted)

    # A machine that somebody else made is as that person wants it, until a tag asks for a play.
    fresh = [name for name in added if name not in outputs.adopted(terraform)]
    queued = _queued(fresh + compare.remade(before, machines), entries)
    addresses = addresses_of(before.variables()) | {name: one.address for name, one in machines.items()}
    leaving = set(gone)

    def current(entry: queue.Entry) -> queue.Entry | None:
        address = addresses.get(entry.host, entry.address)
        return None if entry.host in leaving else entry._replace(address=address)

    new_queue = queue.edit(waiting, current, [queue.Entry(addresses[name], name) for name in queued])
    follow, told = following(before, parse(text), new_queue, outputs.adopted(terraform))
    new_queue = queue.edit(new_queue, lambda entry: entry, follow)
    found = [finding._replace(level="warning") for finding in broken]  # such a line stays as it is
    found += told + compare.left_behind(text, [*removed, *renamed.values()], inventory_path)
    found += compare.unknown(entries, addresses, queue_path)
    unknown = there.keys() - machines.keys() - before.variables().keys()
    found += compare.without_address(name for name in unknown if there[name].plays)
    changed, queued = compare.differences(before, machines), queued + [entry.host for entry in follow]
    without = compare.missing(missing, managed, inventory_path)
    return Result(
        text, new_queue, added, changed, removed, sorted(adopted), kept, queued, found, without, renamed
    )


def _queued(fresh: Iterable[str], entries: list[tuple[int, queue.Entry]]) -> list[str]:
    """The new machines that do not wait already, for no playbook or for their own."""
    waiting = {(entry.host, entry.playbook) for _, entry in entries}
    return [name for name in fresh if not {(name, None), (name, playbook_of(name))} & waiting]


def update_files(
    terraform: dict,
    inventory: Path = INVENTORY,
    queue_file: Path = QUEUE,
    keep: Iterable[str] = (),
    dry_run: bool = False,
    approved: Iterable[str] = (),
    adopt: Collection[str] = (),
) -> Result:
    """`update` on the files, with ansible-inventory's check of the new text before anything is written.

    The VM files are those beside the inventory.
    """
    old, waiting = read_text(inventory), read_text(queue_file)
    folder = inventory.parent / VMS_DIR.name
    expected, formerly = vm_names(folder), files.formerly(folder)
    paths = map(shown, (inventory, queue_file))
    result = update(old, waiting, terraform, keep, approved, adopt, expected, formerly, *paths)
    if not any(finding.level == "error" for finding in result.findings):
        folder, same = inventory.resolve().parent, result.inventory_text == old
        problems = ansible.check_inventory(result.inventory_text, folder, shown(inventory), same)
        result = result._replace(findings=result.findings + problems)
    if any(finding.level == "error" for finding in result.findings):
        return result._replace(inventory_text=old, queue_text=waiting)
    if not dry_run:
        # The queue first: killed between the two, the next run still finds the machine new.
        # A file that does not exist is made only when there is something to put into it.
        if result.queue_text != waiting:
            write_text(queue_file, result.queue_text)
        if result.inventory_text != old:
            write_text(inventory, result.inventory_text, backup=f"{inventory}.bak")
    return result
