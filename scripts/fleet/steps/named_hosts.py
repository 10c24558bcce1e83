"""The machines that a person, or the nightly run, names for a playbook."""

from pathlib import Path

from fleet.ansible.inventory import parse
from fleet.files import read_text
from fleet.names import GROUPS, RESERVED, managed
from fleet.paths import VMS_DIR
from fleet.rules import file as rules
from fleet.vms import files
from fleet.vms.machine import machine


def hosts_of(text: str, inventory: Path) -> list[str]:
    """The hosts of `A,B`, each once; a group stands for its managed machines that run and that plays may run on.

    A host that a person wrote into the group is played only by its own name.
    """
    hosts = parse(read_text(inventory))
    groups = dict.fromkeys(GROUPS, frozenset()) | hosts.members()
    found: list[str] = []
    for name in text.replace(",", " ").split():
        if name in hosts.variables() or name in RESERVED or name not in groups:
            found.append(name)
        else:
            ours = filter(managed, groups[name] & hosts.managed().keys())
            found += sorted(host for host in ours if not _is_left_out(inventory.parent / VMS_DIR.name, host))
    return list(dict.fromkeys(found))


def _is_left_out(vms_dir: Path, host: str) -> bool:
    path = vms_dir / f"{host}.yaml"
    vm, findings = files.load_file(path) if path.is_file() else (None, [])
    if vm is None or any(found.level == "error" for found in [*findings, *rules.check(vm, findings)]):
        return False
    return bool(vm.unplayed) or machine(vm).vm_state == "stopped"
