"""The passwords of new machines, which their files name by a place in Vault."""

from collections.abc import Mapping

from fleet.findings import Fault
from fleet.vault.client import Client


def read(places: Mapping[str, str]) -> dict[str, str]:
    """By machine, the password at its place, such as `kv/machines/k8s-dev#password`. Raises Fault.

    Vault's address and token come from VAULT_ADDR and VAULT_TOKEN.
    """
    return {name: _password(name, place) for name, place in places.items()}


def _password(name: str, place: str) -> str:
    from hvac import exceptions

    secret, _, key = place.partition("#")
    mount, _, path = secret.partition("/")
    client = Client(None, None, mount, path)
    client.denied = (
        f"to read {secret} for cipassword of {name}: it is invalid or expired, or its policy lacks read on"
        f" {mount}/data/{path}"
    )
    try:
        arguments = {"path": path, "mount_point": mount, "raise_on_deleted_version": True}
        answer = client.ask(client.kv.read_secret_version, **arguments)
        found = answer["data"]["data"].get(key)
    except (exceptions.InvalidPath, exceptions.InvalidRequest):
        raise Fault(
            f"{name}: cipassword: Vault has no secret {secret}; write it, or correct the path"
        ) from None
    except (KeyError, TypeError, AttributeError):
        raise client.not_vault() from None
    if not isinstance(found, str) or not found or not found.isprintable():
        raise Fault(
            f"{name}: cipassword: {secret} has no text on one line as {key}; add it, or correct the key"
        )
    return found
