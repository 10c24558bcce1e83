"""The machines of proxmox/vars/vm_config.yml: the list `deploy_machines`, whose items are the role's variables."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet import files
from fleet.findings import Fault
from fleet.lifecycle import spec
from fleet.lifecycle.spec import PREFIX, Spec
from fleet.paths import PROXMOX_DIR, shown
from fleet.vms import addresses

CONFIG = PROXMOX_DIR / "vars/vm_config.yml"


class Wanted(NamedTuple):
    """One machine: what is asked for, and the variables that ask for it."""

    spec: Spec
    variables: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.spec.name


def read(given: object) -> list[Wanted]:
    """Raises Fault with all that is wrong in the list."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
        raise Fault(
            f"deploy_machines is not a list of machines: `make generate-config` writes {shown(CONFIG)}"
        )
    found, problems = [], []
    for number, variables in enumerate(given, 1):
        who = str(variables.get(f"{PREFIX}name") or f"machine {number}")
        if not variables.get(f"{PREFIX}name"):
            problems.append(f"{who} has no {PREFIX}name")
        strange = [str(key) for key in variables if not str(key).startswith(PREFIX)]
        problems += [f"{who}: {key} is not a variable of the role proxmox_vm" for key in strange]
        try:
            asked = {str(key).removeprefix(PREFIX): value for key, value in variables.items()}
            found.append(Wanted(spec.read(asked), dict(variables)))
        except Fault as fault:
            problems.append(f"{who}: {fault}")
    problems += twice(found)
    if problems:
        raise Fault("; ".join(problems))
    return found


def twice(machines: Iterable[Wanted]) -> Iterator[str]:
    """Names, VMIDs and addresses that two of the machines have."""
    first: dict[tuple[str, object], Wanted] = {}
    for one in machines:
        if first.setdefault(("name", one.name), one) is not one:
            yield f"{one.name} is asked for twice; remove one"
            continue
        for what, value in (("VMID", one.spec.vmid), ("address", address_of(one.spec))):
            if value and (other := first.setdefault((what, value), one)) is not one:
                yield f"{one.name} has the {what} {value}, which {other.name} has too; change one of them"


def address_of(one: Spec) -> str:
    """The fixed IPv4 address; "" with DHCP, and where cloud-init sets none."""
    interface = addresses.parse(one.cloud_init.ipconfig)[0].ip if one.cloud_init else None
    return str(interface.ip) if interface else ""


def load(path: Path) -> list[Wanted]:
    """The machines of a file. Raises Fault."""
    import yaml

    text = files.read_text(path)
    if not text:
        raise Fault("does not exist; `make generate-config` writes it from .env", shown(path), code=2)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Fault(f"is not YAML: {' '.join(str(error).split())}", shown(path), code=2) from None
    return read(content.get("deploy_machines") if isinstance(content, Mapping) else None)
