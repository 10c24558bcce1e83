"""The passwords of new machines, which their files name by a place in Vault."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from fleet.findings import Fault
from fleet.vault import fields


def read(places: Mapping[str, str]) -> dict[str, str]:
    """By machine, the password at its place, such as `kv/machines/k8s-dev#password`. Raises Fault.

    Vault's address and token come from VAULT_ADDR and VAULT_TOKEN.
    """
    return {name: _password(name, place) for name, place in places.items()}


def _password(name: str, place: str) -> str:
    secret, _, key = place.partition("#")
    found = fields.read(secret, f"cipassword of {name}")
    if found is None:
        raise Fault(f"{name}: cipassword: Vault has no secret {secret}; write it, or correct the path")
    password = found.get(key)
    if not isinstance(password, str) or not password or not password.isprintable():
        raise Fault(
            f"{name}: cipassword: {secret} has no text on one line as {key}; add it, or correct the key"
        )
    return password


def of_new(values: Mapping[str, Any], have: Collection[str]) -> dict[str, str]:
    """What Terraform must know when it makes a machine, and no file may have, as variables of its environment."""
    new = {name: vm.get("hardware", {}) for name, vm in values["vms"].items() if name not in have}
    places = {name: more["cipassword"] for name, more in new.items() if "cipassword" in more}
    made = places.keys() - values["imports"].keys()
    found = read({name: places[name] for name in sorted(made)})
    return {"TF_VAR_passwords": json.dumps(found)} if found else {}
