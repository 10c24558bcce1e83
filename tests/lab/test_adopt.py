"""Guests that a person made by hand, adopted with scripts/adopt.py and the real provider: all of them stays.

Each guest is made through Proxmox's API, its file written by the script, and the apply takes it over: nothing in the
guest changes but our mark and our tag, it keeps running, and the next plan is empty.
"""

import subprocess
import sys

import pytest

from lab import ROOT, network
from lab.environment import environment
from tests.helpers.fleet import Fleet, clean, config, pve
from tests.lab.test_takeover import cloned, mac

OURS = {"description", "tags", "digest"}


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


def adopt(fleet: Fleet, *arguments: str) -> tuple[int, str]:
    script = [sys.executable, str(ROOT / "scripts/adopt.py"), "--vms-dir", str(fleet.proxmox / "vms")]
    done = subprocess.run(
        network.inside_argv([*script, *arguments]), env=environment(), cwd=fleet.home, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def unchanged(before: dict, after: dict) -> dict:
    """What differs besides our mark, our tag and what the provider writes out that Proxmox does without."""
    after = dict(after)
    after["agent"] = after.get("agent", "").removesuffix(",fstrim_cloned_disks=0,type=virtio")
    keys = {key for key in {*before, *after} - OURS if before.get(key) != after.get(key)}
    return {key: (before.get(key), after.get(key)) for key in keys}


GUESTS = {
    "plain": {},
    "notes": {"description": "Ask Ana\n\n- before: a restart #1\n", "tags": "lab;db"},
    "settings": {"protection": "1", "onboot": "1", "cores": "2", "sockets": "2", "scsihw": "virtio-scsi-pci",
                 "scsi0": "local-lvm:vm-{id}-disk-0,discard=on,ssd=1", "nameserver": "9.9.9.9 1.1.1.1",
                 "searchdomain": "lan", "cipassword": "secret"},
    "cpu": {"cpu": "x86-64-v2-AES,flags=+aes;-pcid", "cpulimit": "1.5", "cpuunits": "200", "numa": "1", "vcpus": "1",
            "balloon": "256"},
    "cards": {"net0": "e1000={mac},bridge=vmbr0,firewall=1,rate=12.5,tag=20",
              "net1": "virtio=BC:24:11:00:01:06,bridge=vmbr0,queues=4,link_down=1",
              "ipconfig1": "ip=10.0.0.5/24"},
    "devices": {"startup": "order=3,up=5", "vga": "qxl,memory=32", "ostype": "l24", "tablet": "0", "machine": "q35",
                "rng0": "source=/dev/urandom", "watchdog": "model=i6300esb,action=reset", "keyboard": "de",
                "hotplug": "disk,network", "ide3": "none,media=cdrom", "boot": "order=scsi0;ide2;net0"},
    "mapped": {"hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=key", "machine": "q35"},
    "disk": {"scsi0": "local-lvm:vm-{id}-disk-0,cache=writeback,backup=0,aio=threads", "scsi3": "local-lvm:1"},
    "elsewhere": {"delete": "ide2", "sata2": "local:cloudinit"},
}  # fmt: skip


def test_guests_are_adopted_as_they_are(fleet):
    before, names = {}, {}
    for vmid, (what, options) in enumerate(GUESTS.items(), 105):
        name = names[vmid] = f"k8s-{what}"
        more = dict(options)
        gone = more.pop("delete", "")
        cloned(name, vmid)
        place = f"/nodes/node01/qemu/{vmid}/config"
        if gone:
            pve("set", place, delete=gone)
        given = {key: value.format(mac=mac(vmid), id=vmid) for key, value in more.items()}
        if given:
            assert pve("set", place, **given) is None
        before[vmid] = config(vmid)
        for key in given:
            assert key in before[vmid], (name, key, before[vmid])
    status, output = adopt(fleet, "--all")
    print(output)
    assert status == 0, output
    for name in names.values():
        print((fleet.proxmox / "vms" / f"{name}.yaml").read_text())
    fleet.commit()
    status, output = fleet.apply()
    print(output)
    assert status == 0, output
    for vmid in names:
        assert (names[vmid], unchanged(before[vmid], config(vmid))) == (names[vmid], {})
    assert "No changes." in fleet.plan()[1]
