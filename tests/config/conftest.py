"""A `.env` of a test, and machines that it describes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

CEPH = {
    "VM_NAMES": "ceph-1 ceph-2 ceph-3",
    "VM_IDS": "501 502 503",
    "VM_NODES": "node01 node02",
    "VM_TEMPLATE": "debian12-template",
    "VM_CORES": "4",
    "VM_MEMORY": "8192",
    "VM_STORAGE": "local-lvm",
    "VM_OS_SIZE": "50G",
    "VM_DATA_DISKS": "4",
    "VM_DATA_SIZE": "1000G",
    "VM_DATA_STORAGE": "tank",
    "VM_MON_SIZE": "100G",
    "VM_BRIDGE": "vmbr0",
    "VM_ADDRESSES": "192.168.1.61/24 192.168.1.62/24 192.168.1.63/24",
    "VM_GATEWAY": "192.168.1.1",
}
LINES = {name: number for number, name in enumerate(CEPH, 1)}
Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def env(tmp_path, monkeypatch) -> Write:
    """A function that writes the machines above, with changes, into the `.env` that the scripts read."""
    path = tmp_path / ".env"
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(path))

    def write(changes: Mapping[str, str]) -> Path:
        path.write_text("".join(f"{name}={value}\n" for name, value in {**CEPH, **changes}.items()))
        path.chmod(0o600)
        return path

    return write
