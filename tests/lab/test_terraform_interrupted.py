"""The real provider on the lab's Proxmox: what follows a killed, failed or second apply.

The machines are empty processes here, since only what Proxmox is asked matters.
"""

import os
import signal
from pathlib import Path

import pytest

from lab.proxmox import faults
from tests.helpers.fleet import (
    KEY,
    TWO_DISKS,
    Fleet,
    clean,
    config,
    kill_session,
    pve,
    running,
    vmids,
    wait_for,
)


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


@pytest.mark.parametrize("bare", [False, True])
def test_killed_during_the_clone(fleet, bare):
    """The next run takes the clone over, completes it and makes no second one, whatever the template has."""
    if bare:  # no cloud-init drive, agent, serial port, tags nor boot order, and a disk elsewhere
        pve("create", "/nodes/node01/qemu/9000/clone", newid=9003, full=1, name="bare", storage="local")
        gone = "ide2,agent,serial0,vga,tags,boot,scsihw,cpu,ostype"
        pve("set", "/nodes/node01/qemu/9003/config", delete=gone, onboot=1)
        pve("create", "/nodes/node01/qemu/9003/template")
    template = "bare" if bare else "ubuntu24-template"
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=2048, tags="x", clone=template)
    fleet.commit()
    faults.inject({"match": "TASK qmclone:9", "delay": 4, "times": 1})
    process = fleet.start()
    wait_for(lambda: not faults.current())  # the clone goes on
    kill_session(process)
    assert '"mode": "managed"' not in (fleet.proxmox / "terraform.tfstate").read_text()
    status, output = fleet.apply()
    assert status == 0, output
    assert "waiting for k8s-dev (VMID 500): the clone of an interrupted run is still in progress" in output
    complete(fleet)


def test_killed_before_the_start(fleet):
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=2048, tags="x")
    fleet.commit()
    faults.inject({"match": "TASK qmstart", "delay": 2, "times": 1})
    process = fleet.start()
    wait_for(lambda: not faults.current())
    kill_session(process)
    wait_for(lambda: running(500))
    status, output = fleet.apply()
    assert status == 0, output
    complete(fleet)


def complete(fleet: Fleet) -> None:
    """The one machine is just what an undisturbed run makes, and the next plan is empty."""
    assert [vmid for vmid in vmids() if vmid < 9000] == [500]
    made = config(500)
    assert "cloudinit" in made["ide2"]
    assert (
        made["ipconfig0"] == "gw=192.168.1.1,ip=192.168.1.20/24" or "ip=192.168.1.20/24" in made["ipconfig0"]
    )
    assert (made["ciuser"], str(made["memory"]), made["tags"]) == ("suporte", "2048", "proxmox-gitops;x")
    assert KEY.split()[1] in made["sshkeys"].replace("%2F", "/").replace("%2B", "+")
    assert "size=4G" in made["scsi0"] and "size=1G" in made["scsi1"] and "discard=on" in made["scsi0"]
    assert made["net0"].startswith("virtio=")
    assert "lock" not in made
    assert pve("get", "/nodes/node01/qemu/500/status/current")["status"] == "running"
    assert fleet.outputs["k8s-dev"]["mac"] in made["net0"]
    status, output = fleet.plan()
    assert (status, "No changes." in output) == (0, True), output


def test_a_failed_start_is_finished_and_does_not_hold_the_others_up(fleet):
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=2048, tags="x")
    fleet.write("z", 21)
    fleet.commit()
    faults.inject({"match": "TASK qmstart:500", "error": "start failed: no space left on device", "times": 1})
    status, output = fleet.apply()
    assert (status, list(fleet.outputs)) == (3, ["z"]), output
    assert "k8s-dev failed (Terraform's error is above); it was not finished. The next run retries" in output
    fleet.known("z")
    fleet.remove("z")
    pve("create", "/nodes/node01/qemu/501/status/stop")
    status, output = fleet.apply("--approve-destroy", "z")
    assert (status, "k8s-dev was left unfinished by an earlier run" in output) == (0, True), output
    complete(fleet)


def test_what_failed_at_a_lock_is_applied_once_more_one_at_a_time(fleet, either):
    """A new machine whose clone timed out, and a change that met a lock of the storage."""
    fleet.write("k8s-dev", 20)
    fleet.commit()
    assert fleet.apply()[0] == 0
    fleet.known("k8s-dev")
    fleet.write("k8s-dev", 20, description="changed")
    fleet.write("haproxy-dev", 21)
    timeout = "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout"
    with faults.injected(
        {"match": "TASK qmclone:9000", "error": timeout, "times": 1},
        {"match": "PUT /nodes/node01/qemu/500/config", "status": 500, "message": "got timeout", "times": 3},
    ):
        status, output = fleet.apply()
    assert (status, sorted(fleet.outputs), vmids()) == (0, ["haproxy-dev", "k8s-dev"], [500, 501]), output
    assert output.count("what is left is applied once more, one machine at a time") == 1
    assert config(500)["description"].startswith("changed")
    assert "No changes." in fleet.plan()[1]


def test_a_locked_machine_is_named_with_what_was_not_applied(fleet, monkeypatch):
    summary = fleet.home / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    fleet.write("k8s-dev", 20, disks=TWO_DISKS)
    fleet.write("z", 21)
    fleet.commit()
    assert fleet.apply()[0] == 0
    summary.unlink()
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=2048, description="x")
    fleet.write("z", 21, memory=2048)
    locked = {"match": "PUT /nodes/node01/qemu/500/config", "status": 500, "message": "VM is locked (backup)"}
    with faults.injected(locked):
        status, output = fleet.apply()
    failed = "k8s-dev failed (Terraform's error is above); not applied: description, memory 1024 → 2048"
    assert (status, sorted(fleet.outputs)) == (3, ["k8s-dev", "z"]), output
    assert f"{failed}. The next run retries it; all other changes were applied" in output
    assert f"Failed; the next run retries it:\n\n- {failed}\n" in summary.read_text()
    assert str(config(501)["memory"]) == "2048"
    status, output = fleet.apply()
    assert (status, str(config(500)["memory"])) == (0, "2048"), output


def test_a_full_storage_is_told_and_made_good(fleet):
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=2048, tags="x")
    fleet.commit()
    with faults.injected({"full": "local-lvm"}):
        status, output = fleet.apply()
    assert (status, fleet.outputs) == (2, None), output
    assert "no machine could be made" in output
    status, output = fleet.apply()
    assert status == 0, output
    complete(fleet)


def test_interrupted_by_the_runner(fleet, either):
    """SIGTERM is waited for: the state knows what was made."""
    fleet.write("k8s-dev", 20)
    fleet.commit()
    faults.inject({"match": "TASK qmclone", "delay": 2, "times": 1})
    process = fleet.start()
    wait_for(lambda: not faults.current())
    script = next(
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if entry.name.isdigit() and _session(entry) == process.pid and b"apply_terraform" in _command(entry)
    )
    os.kill(script, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "this" in fleet.terraform("state", "list").stdout, output
    assert fleet.apply()[0] == 0
    assert vmids() == [500]


def _session(entry: Path) -> int:
    try:
        return os.getsid(int(entry.name))
    except ProcessLookupError:
        return 0


def _command(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")[1]
    except (OSError, IndexError):
        return b""


def test_one_at_a_time(fleet):
    """The second run waits, names who holds the lock, and gives up when told to."""
    fleet.write("k8s-dev", 20)
    fleet.commit()
    faults.inject({"match": "TASK qmclone", "delay": 3, "times": 1})
    first = fleet.start()
    wait_for(lambda: not faults.current())
    status, output = fleet.apply("--lock-timeout", "0.5")
    assert (status, "the lock is held by proxmox-gitops" in output) == (2, True), output
    status, output = fleet.apply()
    assert (status, "waiting up to" in output, vmids()) == (0, True, [500]), output
    first.communicate()
    assert first.returncode == 0
