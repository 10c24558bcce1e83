"""A fleet's repository with the real Terraform on the lab's Proxmox, and a look at what it made."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from lab import ROOT, network, secret
from lab.environment import environment
from lab.proxmox import faults, guests, machines
from lab.proxmox import state as cluster

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f fleet"
TWO_DISKS = {"scsi0": {"size": "4G"}, "scsi1": {"size": "1G", "mount": "/mnt/storage"}}


class Fleet:
    """A repository with VM files and production's Terraform configuration, its state in a file."""

    def __init__(self, home: Path, backend: str = "local"):
        self.home, self.proxmox = home, home / "proxmox"
        shutil.copytree(ROOT / "proxmox", self.proxmox, ignore=shutil.ignore_patterns(".terraform*", "vms*"))
        (self.proxmox / "vms").mkdir()
        (self.proxmox / "authorized_keys").write_text(KEY + "\n")
        (self.proxmox / "k8s.ini").write_text("")
        if backend != "pg":
            text = f'terraform {{\n  backend "{backend}" {{}}\n}}\n'
            (self.proxmox / "backend_override.tf").write_text(text)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=self.home, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, name: str, number: int, **fields) -> None:
        """A VM file with the address 192.168.1.`number`; a field that is None is left out."""
        given = {
            "name": name,
            "target_node": "node01",
            "cores": 1,
            "memory": 1024,
            "clone": "ubuntu24-template",
            "ipconfig0": f"ip=192.168.1.{number}/24,gw=192.168.1.1",
            "ciuser": "suporte",
            "disks": {"scsi0": {"size": "4G", "storage": "local-lvm"}},
        } | fields
        lines = [f"{field}: {json.dumps(value)}" for field, value in given.items() if value is not None]
        (self.proxmox / "vms" / f"{name}.yaml").write_text("\n".join(lines) + "\n")

    def remove(self, name: str) -> None:
        (self.proxmox / "vms" / f"{name}.yaml").unlink()

    def commit(self, message: str = "x") -> str:
        self.git("add", "-A", "proxmox/vms")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def known(self, *names: str) -> None:
        """Write the inventory as update_inventory.py would."""
        lines = [
            f"{name} ansible_host=192.168.1.9{n} # terraform mac=x instance=y" for n, name in enumerate(names)
        ]
        (self.proxmox / "k8s.ini").write_text("\n".join(lines) + "\n")

    @property
    def outputs(self) -> dict | None:
        file = self.home / "outputs.json"
        return json.loads(file.read_text())["ansible_inventory"]["value"] if file.exists() else None

    def command(self, *arguments: str) -> list[str]:
        script = [sys.executable, str(ROOT / "scripts/apply_terraform.py"), "--dir", str(self.proxmox)]
        return network.inside_argv([*script, "--outputs", str(self.home / "outputs.json"), *arguments])

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments), env=environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.home, start_new_session=True,
        )  # fmt: skip

    def apply(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def plan(self, *arguments: str) -> tuple[int, str]:
        return self.apply("--plan-only", *arguments)

    def terraform(self, *arguments: str) -> subprocess.CompletedProcess:
        env = environment()
        command = network.inside_argv([env["TERRAFORM"], f"-chdir={self.proxmox}", *arguments])
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def one_machine(fleet: Fleet) -> Fleet:
    """A machine of two disks, VMID 500, known to the inventory."""
    fleet.write("k8s-dev", 20, disks=TWO_DISKS)
    fleet.commit()
    fleet.git("tag", "first")
    status, output = fleet.apply()
    assert status == 0, output
    fleet.known("k8s-dev")
    return fleet


def disks(**more) -> dict:
    return {slot: {"size": f"{size}G"} for slot, size in ({"scsi0": 4} | more).items()}


def clean() -> None:
    faults.inject()
    for guest in guests.all_guests():
        if guest.vmid != cluster.TEMPLATE_ID:
            place = f"/nodes/{guest.node}/qemu/{guest.vmid}"
            pve("create", f"{place}/status/stop")
            pve("set", f"{place}/config", protection=0)
            pve("delete", f"{place}?purge=1")


def pve(method: str, path: str, **body) -> dict:
    """Ask Proxmox as root@pam, who may set what no token may, and wait for the task."""
    with network.inside():
        session = requests.Session()
        session.verify = str(Path(os.environ["LAB_DIR"]) / "tls/bundle.pem")
        session.trust_env = False
        base = f"{environment()['PROXMOX_VE_ENDPOINT']}api2/json"
        login = {"username": "root@pam", "password": secret("proxmox_root_password")}
        ticket = session.post(f"{base}/access/ticket", data=login, timeout=30).json()["data"]
        session.cookies.set("PVEAuthCookie", ticket["ticket"])
        session.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        verb = {"get": "GET", "set": "PUT", "create": "POST", "delete": "DELETE"}[method]
        answer = session.request(verb, base + path, data=body or None, timeout=30)
        data = answer.json().get("data")
        while isinstance(data, str) and data.startswith("UPID:"):
            node = data.split(":")[1]
            status = session.get(f"{base}/nodes/{node}/tasks/{data}/status", timeout=30).json()["data"]
            if status["status"] == "stopped":
                break
            time.sleep(0.1)
    return data


def config(vmid: int, node: str = "node01") -> dict:
    return pve("get", f"/nodes/{node}/qemu/{vmid}/config")


def running(vmid: int) -> dict | None:
    with network.inside():
        return machines.running(vmid)


def vmids() -> list[int]:
    return sorted(guest.vmid for guest in guests.all_guests() if guest.vmid != cluster.TEMPLATE_ID)


def resources(*numbers: int) -> list[dict]:
    return [entry for entry in pve("get", "/cluster/resources?type=vm") if entry["vmid"] in numbers]


def kill_session(process: subprocess.Popen) -> None:
    """SIGKILL for all that a run started, as when a runner dies."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == process.pid:
                os.kill(int(entry.name), signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    process.communicate()


def wait_for(condition, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
