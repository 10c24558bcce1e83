"""Terraform's outputs, and the machines in them."""

import copy
import ipaddress
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.names import RESERVED, is_talos
from fleet.paths import PROXMOX_DIR, shown
from fleet.settings import NO_CONNECTION
from fleet.terraform import program

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLAIN = re.compile(r"[A-Za-z0-9:]{0,64}")
_MOUNT = re.compile(r"/[A-Za-z0-9._/-]*")


class Machine(NamedTuple):
    """What Terraform knows of a machine. `mounts`: disk slot to mount point; `instance`: cloud-init's.

    `address` is "" where only the guest agent knows it; `plays`: whether a play may ever run on it.
    """

    address: str
    user: str
    mac: str = ""
    instance: str = ""
    mounts: Mapping[str, str] = {}
    node: str = ""
    vmid: int = 0
    plays: bool = True

    def variables(self) -> dict[str, str]:
        variables = {"ansible_host": self.address} | ({"ansible_user": self.user} if self.user else {})
        if self.mounts:
            pairs = (f"{slot}:{path}" for slot, path in sorted(self.mounts.items()))
            variables["disk_mounts"] = ",".join(pairs)
        return variables

    def mark(self) -> str:
        values = {"mac": self.mac, "instance": self.instance}
        return " ".join(["# terraform", *(f"{key}={value}" for key, value in values.items() if value)])


def load(path: Path | None, folder: Path = PROXMOX_DIR) -> dict:
    """A saved `terraform output -json`, or what Terraform says in `folder` now. Raises Fault."""
    try:
        if path:
            return json.loads(path.read_text("utf-8"))
        command = [_program(), f"-chdir={folder}", "output", "-json"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            raise Fault(f"{program.name()} output: {_without_password(done.stderr.strip())}", code=2)
        return json.loads(done.stdout)
    except FileNotFoundError as error:
        raise Fault(str(error), code=2) from None
    except (OSError, ValueError, RecursionError) as error:
        raise Fault(f"no JSON of `terraform output`: {error}", shown(path or folder), code=2) from None


def _without_password(words: str) -> str:
    """Terraform's words; where it cannot read PG_CONN_STR they quote it, with the password."""
    return NO_CONNECTION if re.search(r'parse "|connection info string', words) else words


def _program() -> str:
    try:
        return program.path()
    except Fault as fault:
        raise Fault(f"{fault}; or give a saved output with --outputs", code=2) from None


def adopted(outputs: dict) -> set[str]:
    """The machines that somebody else made and an apply took over; none in an older state's outputs."""
    output = outputs.get("adopted") or {}
    return {name for name in output.get("value") or () if isinstance(name, str)}


def machines(outputs: dict) -> dict[str, Machine]:
    """The machines of the output `ansible_inventory`. Raises Fault for what must not reach an inventory."""
    output = outputs.get("ansible_inventory", {"value": {}}) if isinstance(outputs, dict) else None
    values = output.get("value") if isinstance(output, dict) else None
    if not isinstance(values, dict):
        raise Fault('not what `terraform output -json` prints: {"ansible_inventory": {"value": {…}}}')
    found: dict[str, Machine] = {}
    for name, value in values.items():
        try:
            mounts = {slot: mount for slot, mount in (value.get("mounts") or {}).items() if mount}
            given = value["address"]
            address = "" if given is None else str(ipaddress.ip_address(given))
            marks = [value.get(key) or "" for key in ("mac", "instance")]
            place = str(value.get("node") or ""), int(value.get("vmid") or 0)
            plays = value.get("plays") is not False  # an older state's outputs do not say it
            loose = not plays or is_talos(name)  # a machine without cloud-init, or of Talos, has no user
            user = value["user"] or "" if loose else value["user"]
            found[name] = Machine(address, user, *marks, mounts, *place, plays)
            checks = [(name, _NAME), *([(user, _USER)] if user or not loose else [])]
            checks += [(text, _PLAIN) for text in (*marks, *mounts)]
            checks += [(mount, _MOUNT) for mount in mounts.values()]
            # Anything else could end the line, or be a template that Ansible evaluates.
            bad = [text for text, pattern in checks if not pattern.fullmatch(text) or text in RESERVED]
        except KeyError as error:
            raise Fault(f"output ansible_inventory: {name} has no {error}") from None
        except (AttributeError, TypeError, ValueError) as error:
            raise Fault(f"output ansible_inventory: {name}: {error}") from None
        if bad:
            raise Fault(f"output ansible_inventory: {name}: {bad[0]!r} cannot stand in an inventory")
    return found


def under(outputs: dict, names: Mapping[str, str]) -> dict:
    """The outputs with the machines `names` under the names that these are mapped to."""
    machines = outputs["ansible_inventory"]["value"]
    value = {names.get(name, name): one for name, one in machines.items()}
    return (
        {**outputs, "ansible_inventory": {**outputs["ansible_inventory"], "value": value}}
        if names
        else outputs
    )


def with_addresses(outputs: dict, addresses: Mapping[str, str]) -> dict:
    """The outputs with the addresses that guest agents told, by machine, wherever an output has its address."""
    filled = copy.deepcopy(outputs)
    for name, address in addresses.items():
        filled["ansible_inventory"]["value"][name]["address"] = address
        filled["vm_ips"]["value"][name] = address
        if name in filled["k8s_nodes"]["value"]:
            filled["k8s_nodes"]["value"][name]["address"] = address
    return filled
