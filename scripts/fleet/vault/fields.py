"""The fields of a secret that is only read, as a VM file names one: `kv/playbooks/myapp`."""

from typing import Any

from fleet.vault.client import Client


def read(secret: str, purpose: str) -> dict[str, Any] | None:
    """All fields of the newest version, None where there is no secret. Raises Fault.

    `secret` begins with the mount; `purpose` is what a refusal says that it was for. Vault's address and token come
    from VAULT_ADDR and VAULT_TOKEN.
    """
    from hvac import exceptions

    mount, _, path = secret.partition("/")
    client = Client(None, None, mount, path)
    client.denied = (
        f"to read {secret} for {purpose}: it is invalid or expired, or its policy lacks read on"
        f" {mount}/data/{path}"
    )
    try:
        arguments = {"path": path, "mount_point": mount, "raise_on_deleted_version": True}
        return dict(client.ask(client.kv.read_secret_version, **arguments)["data"]["data"])
    except (exceptions.InvalidPath, exceptions.InvalidRequest):
        return None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise client.not_vault() from None
