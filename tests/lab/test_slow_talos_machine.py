"""A machine of the lab's Proxmox with Talos' stand-in: from the image on the runner to the API at its address."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab import ROOT, builds, cgroup, lab_dir, network, setup, talos
from lab.environment import environment
from lab.proxmox import guests
from tests.helpers.proxmox import finished, wait_for

CATALOGUE = f"talos:\n  file: {talos.FILE}\n  user: talos\n  firmware: ovmf\n"
ADDRESS = "192.168.1.61"


def run(*argv: str | Path) -> str:
    """A command of production in the lab's network; its output."""
    env = environment() | {"PROXMOX_IMAGES": str(lab_dir() / "own/images.yml")}
    argv = network.inside_argv([sys.executable, *map(str, argv)])
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def talosctl(*arguments: str) -> subprocess.CompletedProcess:
    program = str(builds.entry("talosctl") / "talosctl")
    argv = network.inside_argv([program, *arguments])
    env = os.environ | {"TALOSCONFIG": str(lab_dir() / "own/talosconfig")}
    return subprocess.run(argv, env=env, capture_output=True, text=True)


def opens(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=1).close()
    except OSError:
        return False
    return True


def resident() -> dict[str, int]:
    """MiB in memory of the machine's programs."""
    found = {}
    for pid in cgroup.pids("vm561"):
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if fields["NSpid"].count("\t"):  # in the machine, and not what runs it
            found[fields["Name"]] = int(fields["VmRSS"].split()[0]) >> 10
    return found


@pytest.fixture(scope="module")
def template(hypervisor) -> int:
    """The VMID of the template, made of an image as a person makes it."""
    setup.on_demand("talosctl")
    own = lab_dir() / "own"
    own.mkdir()
    (own / "images.yml").write_text(CATALOGUE)
    shutil.copy(talos.disk(), own / talos.FILE)
    assert "was uploaded" in run(ROOT / "scripts/upload_image.py", "talos", own / talos.FILE)
    playbook = [Path(sys.executable).parent / "ansible-playbook", ROOT / "proxmox/playbooks/template.yml"]
    recap = run(*playbook, "-e", "proxmox_template_image=talos", "-e", "proxmox_template_agent=false")
    assert "failed=0" in recap
    return next(guest.vmid for guest in guests.all_guests() if guest.name == "talos-template")


@pytest.fixture
def machine(api, template):
    node = api.nodes("node01")
    settings = {
        "scsihw": "virtio-scsi-pci",
        "ipconfig0": f"ip={ADDRESS}/24,gw=192.168.1.1",
        "memory": 2048,
        "agent": 0,
    }
    assert finished(api, node.qemu(template).clone.post(newid=561, name="talos-prod-cp01", full=1)) == "OK"
    one = node.qemu(561)
    one.config.put(**settings)
    one.resize.put(disk="scsi0", size="4G")
    assert finished(api, one.status.start.post()) == "OK"
    yield one
    finished(api, one.status.stop.post())
    finished(api, one.delete(purge=1))


def test_a_machine_answers_at_the_address_of_its_cloud_init_drive(api, machine):
    wait_for(lambda: opens(50000))
    assert not opens(22)
    own = lab_dir() / "own"
    endpoint = f"https://{ADDRESS}:6443"
    done = talosctl("gen", "config", "talos-prod", endpoint, f"--output={own}", "--kubernetes-version=1.34.4")
    assert done.returncode == 0, done.stderr
    applied = talosctl("apply-config", "--insecure", f"--nodes={ADDRESS}", f"--file={own}/controlplane.yaml")
    assert applied.returncode == 0, applied.stderr
    node = (f"--nodes={ADDRESS}", f"--endpoints={ADDRESS}")
    wait_for(lambda: talosctl(*node, "bootstrap").returncode == 0)
    told = talosctl(*node, "health", f"--control-plane-nodes={ADDRESS}", "--wait-timeout=90s")
    assert told.returncode == 0, told.stderr
    used = resident()
    assert {"kube-apiserver", "etcd", "init"} <= used.keys() and sum(used.values()) < 500, used
    # Switched off and on again, it is the same node: its configuration and etcd's data are on its disk.
    assert finished(api, machine.status.shutdown.post()) == "OK"
    assert finished(api, machine.status.start.post()) == "OK"
    wait_for(lambda: talosctl(*node, "etcd", "members").returncode == 0, 60)
    reset = ("reset", "--graceful=false", "--reboot", "--system-labels-to-wipe=STATE", "--timeout=60s")
    told = talosctl(*node, *reset, "--system-labels-to-wipe=EPHEMERAL")
    assert told.returncode == 0, told.stderr
    assert "maintenance mode" in talosctl("version", "--insecure", f"--nodes={ADDRESS}").stderr
