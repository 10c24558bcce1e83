"""Virtual machines' configurations: one file per machine below its node, as in /etc/pve."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from lab.proxmox import containers, faults, state
from lab.proxmox.errors import ApiError


@dataclass
class Guest:
    """`config` is what runs; `pending` and `pending_delete` wait for the next start."""

    vmid: int
    node: str
    config: dict = field(default_factory=dict)
    pending: dict = field(default_factory=dict)
    pending_delete: list = field(default_factory=list)

    @property
    def path(self) -> Path:
        return state.root() / "nodes" / self.node / "qemu-server" / f"{self.vmid}.json"

    @property
    def name(self) -> str:
        return self.config.get("name", f"VM{self.vmid}")

    @property
    def template(self) -> bool:
        return bool(self.config.get("template"))

    def effective(self) -> dict:
        """The configuration that the next start will have."""
        merged = {k: v for k, v in self.config.items() if k not in self.pending_delete}
        return merged | self.pending

    def digest(self) -> str:
        text = json.dumps([self.config, self.pending, self.pending_delete], sort_keys=True)
        return hashlib.sha1(text.encode()).hexdigest()

    def apply_pending(self) -> None:
        self.config, self.pending, self.pending_delete = self.effective(), {}, []

    def save(self) -> None:
        data = {"config": self.config, "pending": self.pending, "pending_delete": self.pending_delete}
        state.write_json(self.path, data)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def check_lock(self) -> None:
        if lock := self.config.get("lock"):
            raise ApiError(f"VM is locked ({lock})")


def load(node: str, vmid: int) -> Guest:
    """The machine on that node; Proxmox's own words when there is none."""
    guest = Guest(vmid, node)
    data = state.read_json(guest.path, None)
    if data is None:
        raise ApiError(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
    return Guest(vmid, node, **data)


def find(vmid: int) -> Guest | None:
    """The machine wherever it is in the cluster."""
    for node in state.NODES:
        try:
            return load(node, vmid)
        except ApiError:
            continue
    return None


def all_guests(node: str | None = None) -> list[Guest]:
    found = []
    for name in state.NODES if node is None else (node,):
        for path in (state.root() / "nodes" / name / "qemu-server").glob("[0-9]*.json"):
            try:
                found.append(load(name, int(path.stem)))
            except ApiError:  # destroyed or migrated while we looked
                continue
    return sorted(found, key=lambda guest: guest.vmid)


def lock(vmid: int, timeout: float = 10, shared: bool = False):
    return state.locked(f"lock-{vmid}.conf", timeout, shared)


def check_vmid(value: str) -> None:
    if not re.fullmatch(r"[1-9]\d{2,8}", value):
        raise ValueError("value does not look like a valid VM ID")


def race(vmid: int, node: str, late: bool = False) -> None:
    """Let a fault's stranger take a VMID right before the caller does."""
    if faults.taken(vmid, late) and not find(vmid):
        Guest(vmid, node, {"name": "stranger"}).save()


def check_unused(vmid: int) -> None:
    if guest := find(vmid):
        raise ApiError(f"VM {vmid} already exists on node '{guest.node}'")
    if container := containers.read().get(vmid):
        raise ApiError(f"CT {vmid} already exists on node '{container['node']}'")


def renamed(options: dict, names: dict[str, str]) -> dict:
    def change(value):
        head, comma, tail = str(value).partition(",")
        return f"{names[head]}{comma}{tail}" if head in names else value

    return {key: change(value) for key, value in options.items()}
