"""What a machine's configuration is to say."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.lifecycle import cloud_init, owner
from fleet.lifecycle.spec import Spec
from fleet.proxmox import compare, disks, properties, rights
from fleet.vms import values

_CARD = "virtio"


def asked(spec: Spec, config: Mapping[str, Any]) -> dict[str, str]:
    """The options that the variables ask for; what they leave open is as it is."""
    wanted = {
        "cores": spec.cores,
        "sockets": spec.sockets,
        "memory": spec.memory,
        "cpu": spec.cpu,
        "agent": _agent(spec, config),
        "onboot": spec.onboot,
        "protection": spec.protection,
        "tags": tags(spec) if spec.tags else "",
        "cicustom": _custom(spec, config),
        "net0": card(spec, str(config.get("net0") or "")) if spec.bridge or spec.vlan else "",
    }
    return {name: compare.text(value) for name, value in wanted.items() if value not in (None, "")}


def of_new(spec: Spec, config: Mapping[str, Any]) -> dict[str, str]:
    """The same for a new machine, which shall keep nothing that Proxmox copied of its template's role."""
    return {"onboot": "0", "protection": "0"} | asked(spec, config) | {"tags": tags(spec)}


def asked_of_cloud_init(spec: Spec) -> dict[str, str]:
    """What of cloud-init the variables ask for beyond their defaults, which a machine need not have any more."""
    wanted = cloud_init.options(spec.cloud_init) if spec.cloud_init else {}
    if spec.cloud_init and not spec.cloud_init.ipconfig:
        del wanted["ipconfig0"]
    if wanted.get("ciupgrade") == "0":
        del wanted["ciupgrade"]
    return wanted


def asked_of_disks(spec: Spec, config: Mapping[str, Any]) -> dict[str, tuple[int, bool]]:
    """Sizes in GiB by slot, and whether each is exact; a minimum counts for the system's disk."""
    found = {disk.slot: (disk.size, True) for disk in spec.disks}
    if spec.disk_min_size and (slot := system_disk(config)) and slot not in found:
        found[slot] = (spec.disk_min_size, False)
    return found


def system_disk(config: Mapping[str, Any]) -> str:
    """The slot of the disk with the operating system; "" when there is none."""
    order = [slot for slot in values.boot_devices(config.get("boot")) if slot in disks.volumes(config)]
    return order[0] if order else values.system_disk(disks.volumes(config)) or ""


def size_mib(config: Mapping[str, Any], slot: str) -> float:
    """The size of a disk; 0 where Proxmox does not tell it."""
    return properties.disk_mib(str(config.get(slot) or ""))


def tags(spec: Spec) -> str:
    return ";".join(sorted({owner.TAG, *spec.tags}))


def card(spec: Spec, now: str) -> str:
    """The first network card, which keeps its model, MAC address and other options."""
    parts = properties.parse(now, "model") or {_CARD: ""}
    parts = {name: value for name, value in parts.items() if value} or {"model": _CARD}
    parts |= {"bridge": spec.bridge} if spec.bridge else {}
    parts |= {"tag": str(spec.vlan)} if spec.vlan else {}
    return properties.render(parts, "model")


def bridges(*configs: Mapping[str, Any]) -> Iterator[rights.Right]:
    """The right to use the bridges of all network cards."""
    for value in (
        str(value) for config in configs for name, value in config.items() if name.startswith("net")
    ):
        card = properties.parse(value, "model")
        path = f"/sdn/zones/localnetwork/{card.get('bridge', '')}"
        if "bridge" in card:
            yield rights.right(f"{path}/{card['tag']}" if "tag" in card else path, "SDN.Use")


def _agent(spec: Spec, config: Mapping[str, Any]) -> str | None:
    if spec.agent is None:
        return None
    parts = properties.parse(str(config.get("agent") or "0"), "enabled")
    return properties.render(parts | {"enabled": int(spec.agent)}, "enabled")


def _custom(spec: Spec, config: Mapping[str, Any]) -> str:
    """Vendor data stands beside what Proxmox generates; other files of its kind would replace name, user and keys."""
    parts = properties.parse(str(config.get("cicustom") or ""), "")
    return properties.render(parts | {"vendor": spec.vendor}, "") if spec.vendor else ""
