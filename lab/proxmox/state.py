"""Where the simulated Proxmox keeps its cluster: everything is a file under LAB_DIR/proxmox.

The API, the task workers and the machines are processes of their own (as pveproxy, its workers and
kvm are), so files with atomic renames and flock are what they share. Any of them may be killed.
"""

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path

from lab import lab_dir
from lab.proxmox.errors import ApiError

NODES = ("node01", "node02")
BRIDGE = "vmbr0"
TEMPLATE_ID = 9000
TEMPLATE_NAME = "ubuntu24-template"
GIB = 1 << 30
STORAGES = {  # in the order of their names, as Proxmox lists them
    "local": {
        "type": "dir", "path": "/var/lib/vz", "total": 500 * GIB,
        "content": "backup,images,import,iso,rootdir,snippets,vztmpl",
    },
    "local-lvm": {
        "type": "lvmthin", "vgname": "pve", "thinpool": "data", "total": 500 * GIB,
        "content": "images,rootdir",
    },
    "share": {
        "type": "nfs", "path": "/mnt/pve/share", "server": "192.168.1.1", "export": "/share", "shared": 1,
        "total": 500 * GIB, "content": "images,import",
    },
    "tank": {
        "type": "zfspool", "pool": "tank", "sparse": 1, "total": 500 * GIB, "content": "images,rootdir",
    },
    "vg": {"type": "lvm", "vgname": "vg", "total": 500 * GIB, "content": "images,rootdir"},
}  # fmt: skip


def root() -> Path:
    return lab_dir() / "proxmox"


def read_json(path: Path, default):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default


def write_json(path: Path, data, mode: int = 0o600) -> None:
    """Replace `path`; a reader sees the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{time.monotonic_ns()}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        json.dump(data, file, indent=1)  # not synced: it has to outlive our processes, not the host
    temporary.replace(path)


@contextlib.contextmanager
def locked(name: str, timeout: float = 10, shared: bool = False):
    """Hold PVE's lock file `name` (such as lock-500.conf); ApiError "got timeout" as PVE words it."""
    directory = root() / "lock"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("w") as file:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    text = f"can't lock file '/var/lock/qemu-server/{name}' - got timeout"
                    raise ApiError(text) from None
                time.sleep(0.02)
        yield


def process_start(pid: int) -> int | None:
    """The start time of a living process in clock ticks, which with its pid names it for ever."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])
