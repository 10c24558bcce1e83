"""The lab's Proxmox from a test's side: machines that are made and removed, tasks that end, SSH."""

import contextlib
import subprocess
import time
import urllib.parse

from proxmoxer import ResourceException

from lab import lab_dir
from lab.proxmox import state

BASE = "https://192.168.1.1:8006/api2/json"
TEMPLATE = "/nodes/node01/qemu/9000"


def made(api, vmid):
    node = api.nodes("node01")
    assert finished(api, node.qemu(9000).clone.post(newid=vmid, name=f"vm-{vmid}", full=1)) == "OK"
    yield node.qemu(vmid)
    for name in state.NODES:
        with contextlib.suppress(ResourceException):
            left = api.nodes(name).qemu(vmid)
            finished(api, left.status.stop.post())
            left.config.put(protection=0)
            finished(api, left.delete(purge=1))


def leftover(api, vmid):
    yield finished(api, api.nodes("node01").qemu(vmid).delete(purge=1))


def finished(api, upid: str) -> str:
    """The exit status of a task, once it has ended."""
    node = upid.split(":")[1]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        task = api.nodes(node).tasks(upid).status.get()
        if task["status"] == "stopped":
            return task["exitstatus"]
        time.sleep(0.02)
    raise AssertionError(f"{upid} does not end")


def ssh(address: str, command: str, timeout: float = 30) -> str:
    """Run a command as the cloud-init user, as soon as the machine answers."""
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=1",
    )
    argv = ["ssh", "-i", lab_dir() / "secrets/ssh_key", *(f"-o{option}" for option in options)]
    argv += [f"suporte@{address}", command]
    deadline = time.monotonic() + timeout
    while True:
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 255 or time.monotonic() > deadline:
            assert done.returncode == 0, done.stderr
            return done.stdout
        time.sleep(0.1)


def host_key(address: str) -> str:
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", address], capture_output=True, text=True)
    return scan.stdout.split()[2]


def keys() -> str:
    return urllib.parse.quote((lab_dir() / "secrets/ssh_key.pub").read_text(), safe="")


def wait_for(check, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)
