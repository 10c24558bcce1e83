"""Terraform's plan (`terraform show -json`): what it does to each machine."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.plans import restarts
from fleet.terraform.state import HA, TYPE

# Attributes that only the provider keeps, so they differ after an import.
OURS = (
    "delete_unreferenced_disks_on_destroy", "migrate", "purge_on_destroy", "reboot", "reboot_after_update",
    "stop_on_destroy",
)  # fmt: skip


class Change(NamedTuple):
    """One machine's line in a plan. `kind`: create, update, replace, destroy, import or none."""

    name: str
    kind: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    reasons: tuple[str, ...]  # attributes that force a replacement, as `clone.vm_id`
    tainted: bool
    imported: bool
    address: str = ""
    recorded: str = ""  # its address in the state, which is another where it is renamed
    service: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})  # before and after, of the HA manager
    formerly: str = ""  # the name that the state has, where the machine is renamed
    protected: bool = False  # by what was applied last, by Proxmox, or by what is to be applied

    @property
    def running(self) -> bool:
        return bool(self.before.get("started"))

    @property
    def changed(self) -> tuple[str, ...]:
        """Attributes whose value the plan changes; what is only known after the apply does not count."""
        before, after = self.before, self.after
        return tuple(sorted(key for key in before.keys() & after.keys() if before[key] != after[key]))

    @property
    def restart(self) -> tuple[str, ...]:
        """What takes effect at the next start only; empty where the machine does not run."""
        if not self._stays_running:
            return ()
        slots = [slot for slot, old, new in self.disks() if old and new and restarts.of_disk(old, new)]
        return (*restarts.of_attributes(self.before, self.after, self.changed), *slots)

    @property
    def blocks_growth(self) -> bool:
        """Whether the provider refuses to grow a disk beside this: what it takes for a restart is more than is."""
        of_provider = self._stays_running and restarts.of_provider(self.changed)
        return bool(self.restart) or of_provider or self.moves_disk

    @property
    def _stays_running(self) -> bool:
        changes = self.kind == "update" or self.imported
        return changes and self.running and bool(self.after.get("started"))

    @property
    def renews_host_keys(self) -> bool:
        """Whether cloud-init will treat the machine as a new one: its instance id is a hash of its input."""
        if self.kind == "replace":
            return True
        return self.kind == "update" and restarts.of_cloud_init(self.before, self.after)

    @property
    def lost_disk(self) -> bool:
        """Whether a disk that the state had is no longer in Proxmox."""
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
        return [(slot, old.get(slot), new.get(slot)) for slot in {**old, **new}]


def read(plan: Mapping[str, Any]) -> list[Change]:
    """The machines of a plan, by name; those that do not change too. Raises KeyError for another JSON."""
    found = []
    last = {one["address"]: one["change"]["before"] for one in plan.get("resource_drift", [])}
    services = {
        str(resource.get("index")): (resource["change"]["before"] or {}, resource["change"]["after"] or {})
        for resource in plan.get("resource_changes", [])
        if resource["type"] == HA
    }
    for resource in plan.get("resource_changes", []):
        if resource["type"] != TYPE or resource.get("mode", "managed") != "managed":
            continue
        change = resource["change"]
        service = services.get(str(resource.get("index")), ({}, {}))
        found.append(
            Change(
                name=str(resource.get("index", resource["address"])),
                kind=_kind(change["actions"], "importing" in change, service),
                before=_settled(change["before"] or {}),
                after=_settled(change["after"] or {}),
                reasons=tuple(sorted({_dotted(path) for path in change.get("replace_paths") or []})),
                tainted=resource.get("action_reason") == "replace_because_tainted",
                imported="importing" in change,
                address=resource["address"],
                recorded=resource.get("previous_address") or resource["address"],
                service=service,
                formerly=_index(resource.get("previous_address") or ""),
                protected=_is_protected(change["before"], change["after"], last.get(resource["address"])),
            )
        )
    return sorted(found, key=lambda change: change.name)


def _settled(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the block that the provider records where there is no watchdog."""
    watchdog = [block for block in values.get("watchdog") or [] if block["enabled"]]
    return {**values, "watchdog": watchdog} if "watchdog" in values else values


def _is_protected(*sides: Mapping[str, Any] | None) -> bool:
    return any((side or {}).get("protection") for side in sides)


def _index(address: str) -> str:
    """The key in an address, as `module.vm.TYPE.this["k8s-dev"]`."""
    return address.partition('["')[2].removesuffix('"]')


def _dotted(path: list[Any]) -> str:
    return ".".join(step for step in path if isinstance(step, str))


def _kind(actions: list[str], imported: bool, service: tuple[Any, Any]) -> str:
    if "delete" in actions:
        return "replace" if "create" in actions else "destroy"
    if "create" in actions:
        return "create"
    if imported:
        return "import"
    return "update" if "update" in actions or service[0] != service[1] else "none"
