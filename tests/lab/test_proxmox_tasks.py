"""The simulated Proxmox: tasks that are slow, fail, die or run side by side."""

import contextlib
import os
import signal
import threading

import pytest
from proxmoxer import ResourceException

from lab import daemons, process
from lab.proxmox import faults, guests
from tests.helpers.proxmox import BASE, finished, leftover, wait_for


def test_faults(api, vm, session):
    config = f"{BASE}/nodes/node01/qemu/500/config"
    with faults.injected({"match": "PUT .*/config", "times": 2, "status": 500, "message": "got timeout"}):
        answers = [session.put(config, data={"tags": "a"}) for _ in range(3)]
    assert [(a.status_code, a.reason) for a in answers] == [(500, "got timeout")] * 2 + [(200, "OK")]
    with faults.injected({"match": "GET /nodes/node02/", "status": 595, "message": "No route to host"}):
        assert session.get(f"{BASE}/nodes/node02/qemu").status_code == 595
    with faults.injected({"match": "GET /cluster/resources", "data": []}):
        assert session.get(f"{BASE}/cluster/resources?type=vm").json() == {"data": []}
    with faults.injected({"match": "TASK qmstart:500", "error": "start failed: QEMU exited with code 1"}):
        assert finished(api, vm.status.start.post()) == "start failed: QEMU exited with code 1"
    with faults.injected({"full": "local-lvm"}):
        failed = finished(api, api.nodes("node01").qemu(9000).clone.post(newid=502))
        with pytest.raises(ResourceException, match="free space in thin pool"):
            vm.config.put(scsi1="local-lvm:1")
    assert failed.startswith("clone failed: lvcreate 'pve/vm-502-cloudinit' error")
    assert session.get(f"{BASE}/nodes/node01/qemu/502/config").status_code == 500, "nothing is left of it"


def test_lock_while_a_clone_runs_and_none_when_its_client_is_gone(api, session):
    with faults.injected({"match": "TASK qmclone:", "delay": 1}):
        upid = api.nodes("node01").qemu(9000).clone.post(newid=503, name="slow", full=1)
        locked = api.nodes("node01").qemu(503)
        wait_for(lambda: guests.find(503))  # it is made by the task
        assert locked.status.current.get()["lock"] == "clone"
        assert locked.config.get()["name"] == "slow"
        with pytest.raises(ResourceException, match=r"VM is locked \(clone\)"):
            locked.config.put(tags="a")
        with pytest.raises(ResourceException, match="already exists"):
            api.nodes("node01").qemu(9000).clone.post(newid=503)
        assert api.nodes("node01").tasks(upid).status.get()["status"] == "running"
        # The API dies; the worker does not care.
        process.kill("proxmox")
        daemons.up(["proxmox"])
        assert finished(api, upid) == "OK"
    log = [line["t"] for line in api.nodes("node01").tasks(upid).log.get(limit=500)]
    assert log[0] == "creating a clone of VM 9000 with ID 503"
    assert log[1].startswith("create full clone of drive ide2")
    assert log[-1] == "TASK OK"
    assert "lock" not in locked.status.current.get()
    assert finished(api, locked.delete()) == "OK"


def test_a_worker_that_was_killed(api, session, root):
    with faults.injected({"match": "TASK qmclone:", "delay": 60}):
        upid = api.nodes("node01").qemu(9000).clone.post(newid=504)
        wait_for(lambda: guests.find(504))
        os.kill(int(upid.split(":")[2], 16), signal.SIGKILL)
        assert finished(api, upid) == "unexpected status"
    locked = api.nodes("node01").qemu(504)
    assert finished(api, locked.delete()) == "VM is locked (clone)"
    unlock = f"{BASE}/nodes/node01/qemu/504/config"  # as qm unlock does
    assert session.put(unlock, data={"delete": "lock"}).status_code == 500
    assert root.put(unlock, data={"delete": "lock", "skiplock": 1}).status_code == 200
    assert finished(api, locked.delete()) == "OK"


def test_five_clones_at_once(api):
    ids = range(510, 515)
    with contextlib.ExitStack() as stack:
        for vmid in ids:
            stack.callback(lambda vmid=vmid: next(leftover(api, vmid), None))
        node = api.nodes("node01")
        tasks = [node.qemu(9000).clone.post(newid=vmid) for vmid in ids]
        assert [finished(api, upid) for upid in tasks] == ["OK"] * len(tasks)
        disks = {node.qemu(vmid).config.get()["scsi0"].partition(",")[0] for vmid in ids}
        assert disks == {f"local-lvm:vm-{vmid}-disk-0" for vmid in ids}
        assert len({node.qemu(vmid).config.get()["net0"] for vmid in ids}) == len(tasks)


def test_two_writers_of_one_configuration_take_turns(api, vm):
    def write(key):
        for value in range(5):
            vm.config.put(**{key: f"192.168.1.{value + 1}" if key == "nameserver" else str(100 + value)})

    threads = [threading.Thread(target=write, args=(key,)) for key in ("nameserver", "memory")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    config = vm.config.get()
    assert (config["nameserver"], config["memory"]) == ("192.168.1.5", "104")
