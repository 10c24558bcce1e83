"""The passwords of new machines, which their files name by a place in Vault."""

from collections.abc import Mapping

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
