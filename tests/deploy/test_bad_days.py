"""`make deploy` on bad days: what fails, what is killed, who is faster, and what the next run makes of it."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from fleet.deploy import lock
from fleet.findings import Fault
from fleet.lifecycle import finish
from fleet.paths import ROOT
from lab.proxmox import faults, state
from tests.deploy.conftest import NODE, STORAGE, TEMPLATE, THREE, ceph, owners, small
from tests.helpers.proxmox import wait_for


def named(lab) -> list[str]:
    return sorted(guest.name for guest in lab.api.guests() if not guest.template)


def complete(lab, count: int = 3) -> None:
    """These Ceph nodes are there, each once and finished, and each volume belongs to one."""
    assert named(lab) == [f"ceph-{number}" for number in range(1, count + 1)]
    told = {guest.name: lab.api.config(NODE, guest.vmid) for guest in lab.api.guests() if not guest.template}
    assert not [name for name, config in told.items() if "(not finished)" in config["description"]]
    named_by = {
        str(value).partition(",")[0]
        for config in told.values()
        for name, value in config.items()
        if re.match(r"scsi\d|ide\d", name)
    }
    assert sorted(volume for some in owners(lab).values() for volume in some) == sorted(named_by)


def test_one_of_three_fails(lab, deployments):
    """The others are made, the run is red, and the next one makes the third. A task with warnings is no failure."""
    fault = {"match": "TASK qmclone:", "error": "clone failed: storage is not online", "times": 1}
    with faults.injected(fault, {"match": "TASK qmclone:", "warnings": 1}):
        done = deployments.deploy(THREE)
    assert done.code != 0 and len(named(lab)) == 2, done.output
    assert "1 of 3 machines failed: - ceph-" in done.words
    assert "clone failed: storage is not online" in done.words
    assert "run the same command again: it goes on with what is there" in done.words
    assert done.output.count("TASK WARNINGS: 1") == 2
    again = deployments.deploy(THREE)
    assert again.code == 0, again.output
    complete(lab)


def test_the_play_is_killed_in_the_middle_of_six_disks(lab, deployments):
    deployments.wants([ceph(1)])
    with faults.injected({"match": "STEP qmconfig:500 scsi3", "delay": 2}):
        play = subprocess.Popen(
            deployments.argv("deploy"), cwd=ROOT, env=deployments.environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: sum("-500-disk" in volume for volume in owners(lab)[STORAGE]) == 3, 60)
        finally:
            os.killpg(play.pid, signal.SIGKILL)
            play.wait()
        assert "scsi1" not in lab.api.config(NODE, 500)
    wait_for(lambda: "scsi1" in lab.api.config(NODE, 500))  # Proxmox goes on
    done = deployments.deploy([ceph(1)])
    assert done.code == 0, done.output
    assert "ceph-1   500   node01" in done.output and "is continued" in done.output
    complete(lab, 1)


def test_two_at_once_from_two_computers(lab, deployments, tmp_path_factory):
    other = type(deployments)(tmp_path_factory.mktemp("other"))
    for one in (deployments, other):
        one.wants([ceph(1), ceph(2)])
    with faults.injected({"match": "TASK qmclone:", "delay": 1}):
        plays = [
            subprocess.Popen(one.argv("deploy"), cwd=ROOT, env=one.environment(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
            for one in (deployments, other)
        ]  # fmt: skip
        outputs = [play.communicate(timeout=120)[0] for play in plays]
    assert [play.returncode for play in plays] == [0, 0], "\n".join(outputs)
    complete(lab, 2)


def test_two_at_once_in_one_checkout(deployments):
    """The second is refused before it asks Proxmox anything; the first is this process."""
    deployments.wants([ceph(1)])
    lock.take(deployments.config, os.getpid(), "make deploy")
    refused = deployments.deploy([ceph(1)], PROXMOX_VE_ENDPOINT="https://192.168.1.1:1/")
    since = time.strftime("%H:")
    assert refused.code != 0
    assert f"`make deploy` works on these machines, as process {os.getpid()} since {since}" in refused.words
    assert "wait until it has ended, then run this again" in refused.words


def test_a_run_that_is_over_holds_nobody_up(tmp_path):
    config = tmp_path / "vars/vm_config.yml"
    with subprocess.Popen(["sleep", "60"]) as other:
        lock.take(config, other.pid, "make remove")
        with pytest.raises(Fault, match=f"`make remove` works .* as process {other.pid}"):
            lock.take(config, os.getpid(), "make deploy")
        other.kill()
    for _ in range(2):
        lock.take(config, os.getpid(), "make deploy")
    lock_file = config.with_name(".vm_config.yml.lock")
    lock_file.write_text("not ours")
    lock.take(config, os.getpid(), "make deploy")


def test_without_ssh_in_the_path(lab, deployments, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("env", "sh", "nsenter"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{folder}"
    deployments.wants([small("app", disks={"scsi1": "2G"})])
    done = deployments.done(deployments.argv("deploy"), PATH=path)
    assert subprocess.run(["sh", "-c", "command -v ssh"], env={"PATH": path}).returncode != 0
    assert done.code == 0 and named(lab) == ["app"], done.output


def test_a_machines_lock_is_held_for_thirty_seconds(lab, monkeypatch):
    """Proxmox waits 10 s for it, and what it then refuses has changed nothing, so that it is asked again."""
    lab.created("app")
    monkeypatch.setattr("fleet.proxmox.client.LOCK_PAUSE", 1)
    begun = threading.Event()

    def hold():
        with state.locked("lock-500.conf"):
            begun.set()
            time.sleep(15)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    lab.step(finish, stage="resize", name="app", disks={"scsi0": "9G", "scsi1": "2G"})
    said = list(lab.said)
    holder.join()
    assert any("can't lock file" in line and "it is tried again" in line for line in said)
    config = lab.api.config(NODE, 500)
    assert "size=9G" in config["scsi0"] and "size=2G" in config["scsi1"]


def test_a_run_in_which_proxmox_goes_away(lab, deployments):
    """Nothing of a machine is left that could not be made; the message says what is wrong and what to do."""
    with faults.injected(
        {"match": f"POST /nodes/{NODE}/qemu/9000/clone", "status": 595, "message": "No route to host"}
    ):
        done = deployments.deploy([small("app")])
    assert done.code != 0 and lab.names() == {TEMPLATE}
    assert "a node does not answer the cluster on POST nodes/node01/qemu/9000/clone" in done.words
    assert "start it, or wait for it" in done.words
