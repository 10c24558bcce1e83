"""What a Terraform plan (`terraform show -json`) does to each machine, in the words of people."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from fleet.findings import printable
from fleet.terraform.state import TYPE

# The provider writes these to Proxmox at once, and they take effect at the machine's next start.
RESTARTS = (
    "acpi", "agent", "amd_sev", "audio_device", "bios", "boot_order", "cdrom", "cpu", "hostpci",
    "initialization", "keyboard_layout", "kvm_arguments", "machine", "memory", "numa", "operating_system",
    "rng", "scsi_hardware", "serial_device", "tablet_device", "usb", "vga", "virtiofs", "watchdog",
)  # fmt: skip
# What the provider alone keeps, so that it differs after an import.
OURS = (
    "delete_unreferenced_disks_on_destroy", "migrate", "purge_on_destroy", "reboot", "reboot_after_update",
    "stop_on_destroy",
)  # fmt: skip
# Of a disk's options, those that wait for the next start.
DISK_RESTARTS = ("aio", "queues", "iothread", "ssd")


class Change(NamedTuple):
    """One machine's line in a plan. `kind`: create, update, replace, destroy, import or none."""

    name: str
    kind: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    reasons: tuple[str, ...]  # attributes that force a replacement
    tainted: bool
    imported: bool
    address: str = ""

    @property
    def running(self) -> bool:
        return bool(self.before.get("started"))

    @property
    def changed(self) -> tuple[str, ...]:
        """Attributes whose value the plan changes; what is only known after the apply does not count."""
        if not (self.before and self.after):
            return ()
        return tuple(
            sorted(
                key for key, value in self.after.items() if key in self.before and value != self.before[key]
            )
        )

    @property
    def restart(self) -> tuple[str, ...]:
        """What takes effect at the next start only; empty where the machine does not run."""
        if self.kind != "update" and not self.imported:
            return ()
        if not self.running or not self.after.get("started"):
            return ()
        changed = set(self.changed)
        found = [
            key for key in RESTARTS if key in changed and _differs(key, self.before[key], self.after[key])
        ]
        for slot, old, new in self.disks():
            if old and new and any(old.get(option) != new.get(option) for option in DISK_RESTARTS):
                found.append(slot)
        return tuple(found)

    @property
    def renews_host_keys(self) -> bool:
        """Whether cloud-init will take the machine for a new one: its id is made from what it is told."""
        if self.kind == "replace":
            return True
        if self.kind != "update":
            return False
        return _told(self.before) != _told(self.after)

    @property
    def lost_disk(self) -> bool:
        """Whether Proxmox has a disk no more that the state had."""
        return any(not disk["interface"] for disk in self.before.get("disk") or [])

    @property
    def moves_disk(self) -> bool:
        return any(old and new and old["datastore_id"] != new["datastore_id"] for _, old, new in self.disks())

    def growth(self) -> dict[str, int]:
        """The present size in GiB of each disk that grows."""
        return {
            slot: old["size"] for slot, old, new in self.disks() if old and new and new["size"] > old["size"]
        }

    def disks(self) -> list[tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None]]:
        """(slot, before, after) of each disk; None where it is not."""
        # Where Proxmox lost a disk, the provider keeps an empty block at its place.
        old = {disk["interface"]: disk for disk in self.before.get("disk") or [] if disk["interface"]}
        new = {disk["interface"]: disk for disk in self.after.get("disk") or []}
        return [
            (slot, old.get(slot), new.get(slot))
            for slot in [*old, *(slot for slot in new if slot not in old)]
        ]


def read(plan: Mapping[str, Any]) -> list[Change]:
    """The machines of a plan, by name; those that do not change too. Raises KeyError for another JSON."""
    found = []
    for resource in plan.get("resource_changes", []):
        if resource["type"] != TYPE or resource.get("mode", "managed") != "managed":
            continue
        change = resource["change"]
        found.append(
            Change(
                name=str(resource.get("index", resource["address"])),
                kind=_kind(change["actions"], "importing" in change),
                before=change["before"] or {},
                after=change["after"] or {},
                reasons=tuple(sorted({str(path[0]) for path in change.get("replace_paths") or []})),
                tainted=resource.get("action_reason") == "replace_because_tainted",
                imported="importing" in change,
                address=resource["address"],
            )
        )
    return sorted(found, key=lambda change: change.name)


def _kind(actions: list[str], imported: bool) -> str:
    if "delete" in actions:
        return "replace" if "create" in actions else "destroy"
    if "create" in actions:
        return "create"
    if imported:
        return "import"
    return "update" if "update" in actions else "none"


def _differs(key: str, old: Any, new: Any) -> bool:
    """A block's options that Terraform alone knows are no change of the machine."""
    if key == "agent":
        return _without(old, "wait_for_ip", "timeout") != _without(new, "wait_for_ip", "timeout")
    return old != new


def _told(values: Mapping[str, Any]) -> Any:
    """What goes into cloud-init's user-data and network-config."""
    network = [device.get("mac_address") for device in values.get("network_device") or []]
    first = (values.get("initialization") or [{}])[0] or {}
    told = {key: first.get(key) for key in ("ip_config", "user_account", "dns")}
    return told, network, values.get("name")


def _without(blocks: Any, *keys: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in (block or {}).items() if key not in keys} for block in blocks or []]


def short(change: Change, key: str) -> str:
    """Old and new value where they fit in a line."""
    old, new = change.before.get(key), change.after.get(key)
    if key == "memory" and old and new:
        old, new = old[0].get("dedicated"), new[0].get("dedicated")
    if key == "disk":
        return " ".join(
            f"{slot} {old['size'] if old else '-'}G → {new['size'] if new else '-'}G"
            for slot, old, new in change.disks()
            if (old or {}).get("size") != (new or {}).get("size")
        )
    plain = all(isinstance(value, str | int | bool) and "\n" not in str(value) for value in (old, new))
    return printable(f"{old} → {new}") if plain else ""


def as_data(found: Collection[Change]) -> dict[str, Any]:
    """What the plan does, as plain data."""
    by_kind = {
        kind: [change.name for change in found if change.kind == kind]
        for kind in ("create", "import", "update", "replace", "destroy")
    }
    return by_kind | {
        "restart": {change.name: list(change.restart) for change in found if change.restart},
        "host_keys": [change.name for change in found if change.renews_host_keys],
        "move": {
            c.name: c.after["node_name"] for c in found if c.kind == "update" and "node_name" in c.changed
        },
    }


def lines(found: Collection[Change]) -> list[str]:
    text = [f"{change.kind:8}{change.name}{_detail(change)}" for change in found if change.kind != "none"]
    data = as_data(found)
    for name, reasons in data["restart"].items():
        text.append(
            f"restart needed: {name} ({', '.join(reasons)}); nothing is cut, it waits for the next start"
        )
    for name in data["host_keys"]:
        text.append(
            f"new host keys: {name}, at its next start, since cloud-init will take it for a new machine"
        )
    return text or ["no changes"]


def _detail(change: Change) -> str:
    if change.kind == "create":
        return f" (VMID {change.after.get('vm_id')} on {change.after.get('node_name')})"
    if change.kind in ("update", "import"):
        told = [key for key in change.changed if key not in OURS]
        return ": " + (
            ", ".join(f"{key} {short(change, key)}".strip() for key in told) or "nothing in Proxmox"
        )
    return ""
