"""A VM file's fields as Terraform's input, with every default filled in."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.findings import Fault
from fleet.vms.files import VM

MARK = "proxmox-gitops"  # tag of every machine, and with its name the last line of its description
STORAGE = "local-lvm"  # of a disk whose file names none
_SIZE = re.compile(r"(\d+)([GT])(?:i?B)?", re.IGNORECASE)
_STOPPED = ("stopped", "absent")


def mark(name: str) -> str:
    """What a machine's description says so that a killed apply's clone is known again."""
    return f"{MARK}: {name}"


def machine(vm: VM, vmid: int, fleet_keys: Sequence[str]) -> dict[str, Any]:
    """Terraform's object for one VM file that `validate_vms.py` accepts; sizes in GiB, memory in MiB.

    `fleet_keys` are used where the file has no sshkeys of its own. Raises Fault for what only an unchecked
    file can hold.
    """
    data = vm.data
    try:
        address = ipconfig(data["ipconfig0"])
        skip_ipv6 = data.get("skip_ipv6", False)
        disks = [disk(slot, data["disks"][slot]) for slot in sorted(data["disks"], key=slot_number)]
        keys = [key.strip() for key in data.get("sshkeys") or fleet_keys]
        result = {
            "vmid": vmid,
            "node": data["target_node"],
            "template": data["clone"],
            "full_clone": data.get("full_clone"),
            "description": "\n\n".join(
                filter(None, [(data.get("description") or "").strip(), mark(vm.name)])
            ),
            "tags": tags(data.get("tags")),
            "pool": data.get("pool"),
            "protection": data.get("protection"),
            "on_boot": data.get("onboot"),
            "started": None if "vm_state" not in data else data["vm_state"] not in _STOPPED,
            "agent": None if "agent" not in data else bool(data["agent"]),
            "cores": data["cores"],
            "sockets": data.get("sockets"),
            "cpu_type": data.get("cpu_type"),
            "memory": data["memory"],
            "scsi_hardware": data.get("scsihw"),
            "boot_order": boot_order(data["boot"]) if "boot" in data else [disks[0]["slot"]],
            "disks": disks,
            "network": network(data.get("network") or {}),
            "ipv4": without_none({"address": address["ip"], "gateway": address.get("gw")}),
            "ipv6": None
            if skip_ipv6 or "ip6" not in address
            else without_none({"address": address["ip6"], "gateway": address.get("gw6")}),
            "dns": dns(data.get("nameserver"), data.get("searchdomain")),
            "user": data["ciuser"],
            "ssh_keys": keys,
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Fault(f"cannot be used ({error!r}); run `make validate` for what is wrong", vm.path) from error
    if not keys:
        message = "has no sshkeys, and there is no proxmox/authorized_keys: nobody could log in; add either"
        raise Fault(message, vm.path)
    return without_none(result)


def ipconfig(text: str) -> dict[str, str]:
    """`ip=192.168.1.20/24,gw=192.168.1.1,ip6=dhcp` as its parts."""
    return {key.strip(): value.strip() for key, value in (part.split("=", 1) for part in text.split(","))}


def disk(slot: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return without_none(
        {
            "slot": slot,
            "size": gibibytes(fields["size"]),
            "storage": fields.get("storage", STORAGE),
            "mount": fields.get("mount"),
        }
    )


def gibibytes(size: str | int) -> int:
    """`20G`, `2T` or a plain number of GiB as GiB."""
    if isinstance(size, int):
        return size
    match = _SIZE.fullmatch(size.strip())
    if not match:
        raise ValueError(f"size {size}")
    return int(match[1]) * (1024 if match[2] in "Tt" else 1)


def slot_number(slot: str) -> int:
    return int(re.sub(r"\D", "", slot))


def network(fields: Mapping[str, Any]) -> dict[str, Any]:
    return without_none(
        {
            "bridge": fields.get("bridge", "vmbr0"),
            "model": fields.get("model", "virtio"),
            # As Proxmox writes it, so that a plan has no difference.
            "mac": fields["macaddr"].upper() if fields.get("macaddr") else None,
            "vlan": fields.get("tag"),
            "mtu": fields.get("mtu"),
            "firewall": fields.get("firewall"),
            "rate": fields.get("rate"),
        }
    )


def boot_order(text: str) -> list[str]:
    """`order=scsi0;net0` as a list."""
    return [device.strip() for device in text.removeprefix("order=").split(";") if device.strip()]


def tags(value: str | Sequence[str] | None) -> list[str]:
    """Sorted, in lower case, as Proxmox keeps them; never empty, since a clone would keep its template's."""
    found = re.split(r"[;,\s]+", value) if isinstance(value, str) else list(value or [])
    return sorted({tag.lower() for tag in [*found, MARK] if tag})


def dns(nameserver: Any, searchdomain: str | None) -> dict[str, Any] | None:
    servers = (
        re.split(r"[\s,;]+", nameserver.strip()) if isinstance(nameserver, str) else list(nameserver or [])
    )
    found = without_none({"servers": servers or None, "domain": searchdomain})
    return found or None


def source_hash(vms_dir: Path, keys_file: Path) -> str:
    """Hash of the files; main.tf computes it too, to notice that its input is older than they are."""
    files = [(path.name, path) for path in sorted(vms_dir.glob("*.yaml"), key=lambda path: path.name)]
    if keys_file.is_file():
        files.append(("authorized_keys", keys_file))
    lines = [f"{name} {hashlib.sha1(path.read_bytes()).hexdigest()}\n" for name, path in files]
    return hashlib.sha1("".join(lines).encode()).hexdigest()


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not given: Terraform's defaults are in variables.tf alone."""
    return {key: value for key, value in values.items() if value is not None}
