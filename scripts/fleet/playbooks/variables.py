"""The variables that VM files give plays: which machine has which, and what their references to Vault stand for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fleet.findings import Fault, Finding
from fleet.rules import playbook_vars as rules
from fleet.vault import fields
from fleet.vms import values
from fleet.vms.files import VM, load_file


class Given(NamedTuple):
    """Variables by machine, and why some machines cannot be played. Values may be secrets: print none."""

    variables: dict[str, dict[str, Any]]
    refused: dict[str, list[Finding]]  # of the machines of the play
    others: list[Finding]  # of machines whose variables this play may only have looked at


def given(hosts: Iterable[str], known: Iterable[str], vms_dir: Path) -> Given:
    """What the VM files of the inventory's machines, `known`, say for a play on `hosts`.

    Roles look at other machines too, as at a load balancer's address. So all of them have their variables, but only
    the machines of the play have those that refer to a secret.
    """
    result, secrets = Given({}, {}, []), _Secrets()
    played = set(hosts)
    for name in known:
        path = vms_dir / f"{name}.yaml"
        if not path.is_file() or b"playbook_vars" not in path.read_bytes():
            continue
        vm, found = load_file(path)
        wrong = [one for one in [*found, *(rules.check(vm) if vm else ())] if one.level == "error"]
        if not vm or wrong:
            if name in played:
                result.refused[name] = wrong
            else:
                result.others.extend(wrong)
        elif name in played:
            plain, missing = _resolved(vm, secrets)
            if missing:
                result.refused[name] = missing
            else:
                result.variables[name] = plain
        else:
            own = vm.playbook_vars
            result.variables[name] = {key: value for key, value in own.items() if not _refers(value)}
    return result


class _Secrets:
    """Each secret is read once; what could not be read is not asked for again."""

    def __init__(self) -> None:
        self.read: dict[str, dict[str, Any] | Fault | None] = {}

    def value(self, place: values.Reference, vm: VM) -> Any:
        """Raises Fault."""
        if place.secret not in self.read:
            try:
                self.read[place.secret] = fields.read(place.secret, f"playbook_vars of {vm.name}")
            except Fault as fault:
                self.read[place.secret] = fault
        found = self.read[place.secret]
        if isinstance(found, Fault):
            raise found
        write = f"vault kv put {place.secret} {place.key}=…"
        if found is None:
            raise Fault(f"Vault has no secret {place.secret}; write it with `{write}`, or correct the path")
        if found.get(place.key) is None:
            more = write.replace("kv put", "kv patch")
            raise Fault(f"{place.secret} has no {place.key}; add it with `{more}`, or correct the key")
        return found[place.key]


def _resolved(vm: VM, secrets: _Secrets) -> tuple[dict[str, Any], list[Finding]]:
    missing: list[Finding] = []

    def of(value: Any, field: str) -> Any:
        if isinstance(value, dict):
            return {key: of(child, f"{field}.{key}") for key, child in value.items()}
        if isinstance(value, list):
            return [of(child, f"{field}.{index}") for index, child in enumerate(value)]
        place = values.reference(value) if isinstance(value, str) else None
        if not place:
            return value
        try:
            return secrets.value(place, vm)
        except Fault as fault:
            missing.append(vm.finding(field, f"{fault}; nothing was run on {vm.name}"))
            return None

    return of(vm.playbook_vars, rules.FIELD), missing


def _refers(value: Any) -> bool:
    leaves = rules.leaves(value, "", "")
    return any(isinstance(leaf, str) and values.reference(leaf) for _, _, leaf in leaves)
