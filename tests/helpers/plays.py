"""Machines of a lab, made through Proxmox's API without Terraform, and the playbooks on them."""

import json
import re
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import pytest

import lab as laboratory
from fleet.names import PARENTS, group_of
from lab import GATEWAY, PROXMOX_URL, ROOT, daemons, network, secrets_dir, setup, user
from lab.environment import environment


class Machine(NamedTuple):
    name: str
    address: str
    vmid: int
    disks: Mapping[str, str] = MappingProxyType({})  # slot to mount point in the inventory, "" for none

    def ssh(self, command: str, check: bool = True) -> str:
        return user.ssh(self.address, command, check=check)

    def line(self, *variables: str) -> str:
        """Its line of the inventory."""
        mounts = ",".join(f"{slot}:{path}" for slot, path in self.disks.items() if path)
        words = [self.name, f"ansible_host={self.address}", "ansible_user=suporte"]
        words += [f"disk_mounts={mounts}"] if mounts else []
        return " ".join([*words, *variables, " # terraform"])


def device(slot: str = "scsi1") -> str:
    return f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-{slot}"


def api(method: str, path: str, **fields) -> object:
    """One request of Proxmox's API; a task is waited for."""
    request = urllib.request.Request(
        f"{PROXMOX_URL}api2/json/{path}",
        urllib.parse.urlencode(fields).encode() if fields or method != "GET" else None,
        {"Authorization": f"PVEAPIToken={laboratory.secret('proxmox_token')}"},
        method=method,
    )
    context = ssl.create_default_context(cafile=environment()["SSL_CERT_FILE"])
    with network.inside(), urllib.request.urlopen(request, timeout=30, context=context) as answer:
        data = json.load(answer)["data"]
    if isinstance(data, str) and data.startswith("UPID:"):
        node = data.split(":")[1]
        while (task := api("GET", f"nodes/{node}/tasks/{urllib.parse.quote(data)}/status"))[
            "status"
        ] != "stopped":
            time.sleep(0.2)
        assert task["exitstatus"] == "OK", task
    return data


def inventory(machines: Sequence[Machine], variables: str = "") -> str:
    """Each machine in the group that its name gives it; `variables` come at the end of each line."""
    text = ""
    for group in dict.fromkeys(["haproxy", "k3s", *filter(None, (group_of(one.name) for one in machines))]):
        names = [one.name for one in machines if group_of(one.name) == group]
        text += "\n".join([f"[{group}]", *names]) + "\n\n"
        if group in PARENTS:
            text += f"[{PARENTS[group]}:children]\n{group}\n\n"
    return text + "\n".join(["[all]", *(one.line(variables) for one in machines)]) + "\n"


@contextmanager
def running(
    folder: Path, machines: Sequence[Machine], parts: Sequence[str] = ("vault", "proxmox", "k3s")
) -> Iterator[Path]:
    """A lab of its own with these machines; the home folder, with k8s.ini, of who runs the playbooks."""
    home = folder / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(folder / "lab"))
        if "k3s" in parts:
            setup.everything()
        try:
            daemons.up(parts)
            _make(home, machines)
            yield home
        finally:
            daemons.down()


def _make(home: Path, machines: Sequence[Machine]) -> None:
    key = (secrets_dir() / "ssh_key.pub").read_text().strip()
    for one in machines:
        guest = f"nodes/node01/qemu/{one.vmid}"
        api("POST", "nodes/node01/qemu/9000/clone", newid=one.vmid, name=one.name, full=1)
        api("PUT", f"{guest}/config", memory=1024, cores=2, ciuser="suporte",
            sshkeys=urllib.parse.quote(key, safe=""),
            ipconfig0=f"ip={one.address}/24,gw={GATEWAY}",
            **dict.fromkeys(one.disks, "local-lvm:1"))  # fmt: skip
        api("POST", f"{guest}/status/start")
    (home / "k8s.ini").write_text(inventory(machines))
    hosts, record = f"--inventory={home / 'k8s.ini'}", f"--known-hosts={home / 'known_hosts'}"
    scan = [sys.executable, "scripts/scan_host_keys.py", hosts, record]
    argv = network.inside_argv([*scan, f"--hosts={','.join(one.name for one in machines)}"])
    done = subprocess.run(argv, cwd=ROOT, env=_environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in environment().items() if not name.startswith("ANSIBLE_")}
    known_hosts = f"-o UserKnownHostsFile={home}/known_hosts"
    return clean | {"HOME": str(home), "ANSIBLE_SSH_COMMON_ARGS": known_hosts, "ANSIBLE_NOCOLOR": "1"}


class Play:
    """One run of a playbook."""

    outputs: ClassVar[list[str]] = []  # of every run, to be searched for secrets

    def __init__(self, home: Path, playbook: str, hosts: str, *options: str, **env: str):
        argv = ["ansible-playbook", f"proxmox/playbooks/{playbook}.yml", f"--inventory={home / 'k8s.ini'}",
                f"--private-key={secrets_dir() / 'ssh_key'}",
                "-e", f"target_hosts={hosts}", *options]  # fmt: skip
        done = subprocess.run(
            network.inside_argv(argv), cwd=ROOT, env=_environment(home) | env, capture_output=True, text=True
        )
        self.code, self.output = done.returncode, done.stdout + done.stderr
        self.outputs.append(self.output)
        (home / f"play-{len(self.outputs)}.txt").write_text(self.output)  # a failed test's folder is kept

    def counted(self, what: str) -> dict[str, int]:
        """A column of the recap, by machine."""
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        return {name: int(re.search(rf"{what}=(\d+)", text)[1]) for name, text in lines}

    def changed(self) -> int:
        assert self.code == 0, self.output
        return sum(self.counted("changed").values())

    def refused(self) -> str:
        """What the play said when it failed and had changed nothing, in one line."""
        assert self.code == 2, self.output
        assert not any(self.counted("changed").values()), self.output
        return " ".join(self.output.split())
