"""The machines that a person, or the nightly run, names for a playbook."""

from pathlib import Path

from fleet.ansible import queue
from fleet.ansible.inventory import parse
from fleet.files import read_text
from fleet.names import RESERVED
from fleet.paths import VMS_DIR
from fleet.rules import file as rules
from fleet.vms import files
from fleet.vms.machine import machine


def hosts_of(text: str, inventory: Path, queued: Path) -> list[str]:
    """The hosts of `A,B`, each once; a group stands for its machines that are provisioned and meant to run.

    Those still wait for their first playbook that are in the queue, and no SSH answers where the VM file says
    `vm_state: stopped`.
    """
    hosts = parse(read_text(inventory))
    groups, known = hosts.members(), hosts.variables()
    waiting = {entry.host for _, entry in queue.parse(read_text(queued))[0]}
    found: list[str] = []
    for name in text.replace(",", " ").split():
        if name in known or name in RESERVED or name not in groups:
            found.append(name)
        else:
            found += sorted(host for host in groups[name] - waiting if not _is_stopped(host))
    return list(dict.fromkeys(found))


def _is_stopped(host: str) -> bool:
    path = VMS_DIR / f"{host}.yaml"
    vm, findings = files.load_file(path) if path.is_file() else (None, [])
    if vm is None or any(found.level == "error" for found in [*findings, *rules.check(vm, findings)]):
        return False
    return machine(vm).vm_state == "stopped"
