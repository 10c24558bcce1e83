"""What the file of a machine that was taken over leaves to it, where any other machine gets a value of the fleet's."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from fleet.terraform.state import Resource
from fleet.vms.values import boot_devices


class Kept(NamedTuple):
    """Its boot order, empty if it starts as Proxmox chooses, and the public keys that its cloud-init has."""

    boot: tuple[str, ...]
    sshkeys: tuple[str, ...]


def kept(has: Resource | None, config: Mapping[str, Any]) -> Kept:
    """What the machine has by Terraform's state, or, while it is taken over, by its configuration in Proxmox."""
    if has is None:
        keys = (line.strip() for line in unquote(str(config.get("sshkeys") or "")).splitlines())
        return Kept(tuple(boot_devices(config.get("boot"))), tuple(filter(None, keys)))
    cloud_init = next(iter(has.attributes.get("initialization") or ()), None) or {}
    user = next(iter(cloud_init.get("user_account") or ()), None) or {}
    return Kept(tuple(has.attributes.get("boot_order") or ()), tuple(user.get("keys") or ()))
