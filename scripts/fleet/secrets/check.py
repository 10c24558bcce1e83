"""Whether the repository's secrets and variables are all there and have their form. No value is ever told."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from fleet.ansible import inventory
from fleet.files import read_text
from fleet.findings import Fault, Finding
from fleet.names import contexts_of, managed, vm_names
from fleet.paths import INVENTORY, PROXMOX_DIR, VMS_DIR
from fleet.secrets import forms
from fleet.settings import SETTINGS
from fleet.vault import access

WHERE = "in the repository's settings, under Secrets and variables, Actions"


def check(values: Mapping[str, str], names: Collection[str] = ()) -> list[Finding]:
    """What is missing or has a wrong form among these settings, all at once. `names`: only these."""
    findings = []
    clusters = [name for name in fleet_names() if contexts_of(name)]
    for setting in SETTINGS:
        value = values.get(setting.name, "").strip()
        if names and setting.name not in names:
            continue
        if value:
            try:
                forms.check(setting.name, value)
                if setting.name == "VAULT_ADDR" and access.in_clear(value):
                    findings.append(Finding(access.IN_CLEAR, level="warning"))
            except Fault as fault:
                findings.append(fault.finding)
        elif setting.needed == "always" and not _elsewhere(setting.name):
            findings.append(Finding(f"{setting.name} is not set: {setting.what}; set it {WHERE}"))
        elif setting.needed == "clusters" and clusters:
            what = f"{setting.what}, which stores the kubeconfig of {clusters[0]}"
            findings.append(Finding(f"{setting.name} is not set: {what}; set it {WHERE}"))
    return findings


def fleet_names() -> list[str]:
    """The machines of VM files and inventory that this automation looks after, by name."""
    hosts = inventory.parse(read_text(INVENTORY)).variables()
    return sorted(vm_names(VMS_DIR).union(filter(managed, hosts)))


def _elsewhere(name: str) -> bool:
    """Whether something else takes the place of a setting that is not set."""
    if name == "PG_CONN_STR":  # another backend
        return any(PROXMOX_DIR.glob("*override.tf*"))
    if name == "SSH_PRIVATE_KEY":  # a key of the runner's own
        return bool(os.environ.get("SSH_AUTH_SOCK")) or any(Path("~/.ssh").expanduser().glob("id_*"))
    return False
