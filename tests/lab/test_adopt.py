"""Guests that a person made by hand, adopted with scripts/adopt.py and the real provider: all of them stays.

Each guest is made through Proxmox's API, its file written by the script, and the apply takes it over: nothing in the
guest changes but our mark and our tag, it keeps running, and the next plan is empty.
"""

import json
import subprocess
import sys

import pytest

from lab import ROOT, network
from lab.environment import environment
from tests.helpers.fleet import Fleet, clean, config, pve, running
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


# The options of each guest on top of those that `cloned` gives it; None takes one out.
GUESTS = {
    "plain": {},
    "notes": {"description": "Ask Ana\n\n- before: a restart #1\n", "tags": "lab;db"},
    "settings": {"protection": "1", "onboot": "1", "cores": "2", "sockets": "2", "scsihw": "virtio-scsi-pci",
                 "scsi0": "local-lvm:vm-{id}-disk-0,discard=on,ssd=1", "nameserver": "9.9.9.9 1.1.1.1",
                 "searchdomain": "lan", "cipassword": "secret"},
    "cpu": {"cpu": "x86-64-v2-AES,flags=+aes;-pcid", "cpulimit": "1.5", "cpuunits": "200", "numa": "1", "vcpus": "1",
            "balloon": "256"},
    "cards": {"net0": "e1000={mac},bridge=vmbr0,firewall=1,rate=12.5,tag=20",
              "net1": "virtio=BC:24:11:00:01:06,bridge=vmbr0,queues=4,link_down=1", "ipconfig1": "ip=10.0.0.5/24"},
    "devices": {"startup": "order=3,up=5", "vga": "qxl,memory=32", "ostype": "l24", "tablet": "0", "machine": "q35",
                "rng0": "source=/dev/urandom", "watchdog": "model=i6300esb,action=reset", "keyboard": "de",
                "hotplug": "disk,network", "ide3": "none,media=cdrom", "boot": "order=scsi0;ide3;net0"},
    "mapped": {"hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=key", "machine": "q35"},
    "disk": {"scsi0": "local-lvm:vm-{id}-disk-0,cache=writeback,backup=0,aio=threads", "scsi3": "local-lvm:1"},
    "elsewhere": {"ide2": None, "sata2": "local:cloudinit", "ide0": "none,media=cdrom", "boot": "order=scsi0;ide0"},
    "uefi": {"bios": "ovmf", "machine": "q35", "efidisk0": "local-lvm:1,efitype=4m,pre-enrolled-keys=1",
             "tpmstate0": "local-lvm:1,version=v2.0"},
    "without": {"ide2": None, "ciuser": None, "ipconfig0": None, "sshkeys": None, "ostype": "win11"},
    "highly": {},
    # What no token may set, and what nobody set at all.
    "roots": {"args": "-nodefaults", "affinity": "0-1", "serial1": "socket"},
    "unset": {"cpu": None, "memory": None, "cores": None, "onboot": None, "agent": None, "boot": None, "scsihw": None,
              "ostype": None, "scsi0": "local-lvm:vm-{id}-disk-0,discard=on,ssd=1"},
}  # fmt: skip
# What Proxmox has afterwards where it had nothing: its own values, written out.
WRITTEN_OUT = {
    "unset": {
        "cores": 1,
        "cpu": "kvm64",
        "memory": "512",
        "ostype": "other",
        "scsihw": "lsi",
        "agent": "enabled=0",
    },
}


def made(name: str, vmid: int, options: dict) -> dict:
    """A guest with these options; its configuration."""
    cloned(name, vmid)
    place = f"/nodes/node01/qemu/{vmid}/config"
    given = {key: value.format(mac=mac(vmid), id=vmid) for key, value in options.items() if value is not None}
    if gone := [key for key, value in options.items() if value is None]:
        pve("set", place, delete=",".join(gone))
    if given:
        pve("set", place, **given)
    found = config(vmid)
    taken = all(
        set(value.split(",")[1:]) <= set(found[key].split(","))
        for key, value in given.items()
        if "=" in value
    )
    assert given.keys() <= found.keys() and not found.keys() & set(gone) and taken, (name, found)
    return found


def test_guests_are_adopted_as_they_are(fleet):
    names = {vmid: f"k8s-{what}" for vmid, what in enumerate(GUESTS, 105)}
    before = {vmid: made(name, vmid, GUESTS[name[4:]]) for vmid, name in names.items()}
    highly = next(vmid for vmid, name in names.items() if name == "k8s-highly")
    pve("create", "/cluster/ha/resources", sid=f"vm:{highly}", state="stopped", max_restart=3)
    service = pve("get", f"/cluster/ha/resources/vm:{highly}")
    pve("create", "/nodes/node01/qemu/105/status/start")
    since = running(105)
    status, output = adopt(fleet, "--all", "--dry-run")
    assert (status, list((fleet.proxmox / "vms").iterdir())) == (0, []), output
    status, output = adopt(fleet, "--all")
    assert status == 0, output
    status, output = fleet.plan("--max-changes", "1")  # as a person looks before the commit
    assert (status, f"{len(GUESTS) + 1} to import, 0 to add" in output) == (0, True), output
    fleet.commit()
    status, output = fleet.apply("--max-changes", "1")
    assert status == 0, output
    assert f"{len(GUESTS) + 1} imported, 0 added" in output  # with HA's own
    assert pve("get", f"/cluster/ha/resources/vm:{highly}") == service
    for vmid, name in names.items():
        changed = unchanged(before[vmid], config(vmid))
        for key, value in WRITTEN_OUT.get(name[4:], {}).items():
            assert changed.pop(key)[1] == value, (name, key)
        assert (name, changed) == (name, {})
        assert config(vmid)["description"].endswith(f"proxmox-gitops: {name}")
    assert running(105) == since
    assert "No changes." in fleet.plan()[1]
    # Adopted machines enter the inventory, and no play waits for them, whatever the next run knows.
    outputs = json.loads((fleet.home / "outputs.json").read_text())
    assert outputs["adopted"]["value"] == sorted(names.values())
    assert fleet.apply()[0] == 0
    assert json.loads((fleet.home / "outputs.json").read_text())["adopted"] == outputs["adopted"]
    status, output = adopt(fleet, "--all")
    assert (status, output.count("unchanged")) == (0, len(GUESTS)), output


# What no file says and the provider reads all the same: it stays, since no file speaks of it.
PARTIAL = {
    "machine": {"machine": "q35,viommu=intel"},
    "raw": {"hostpci0": "0000:01:00.0,pcie=1", "machine": "q35", "usb0": "host=1234:5678"},
    "hidden": {"cpu": "x86-64-v2-AES,hidden=1"},
    "disk": {"scsi0": "local-lvm:vm-{id}-disk-0,discard=on,iothread=1,ssd=1,wwn=0x5000000000000001"},
}


def test_what_no_file_says_stays_in_proxmox(fleet):
    names = {vmid: f"k8s-{what}" for vmid, what in enumerate(PARTIAL, 105)}
    before = {vmid: made(name, vmid, PARTIAL[name[4:]]) for vmid, name in names.items()}
    status, output = adopt(fleet, "--all")
    assert (status, list((fleet.proxmox / "vms").iterdir())) == (1, []), output
    assert output.count("--partial writes the file without it") == 5
    status, output = adopt(fleet, "--all", "--partial")
    assert status == 0, output
    fleet.commit()
    status, output = fleet.apply("--max-changes", "1")
    assert status == 0, output
    for vmid, name in names.items():
        assert (name, unchanged(before[vmid], config(vmid))) == (name, {})
    assert "No changes." in fleet.plan()[1]


def test_an_adoption_that_was_cut_off_is_gone_on_with(fleet):
    """The guests are locked between import and change, as by a backup that has just begun."""
    names = {105: "k8s-a", 106: "k8s-b"}
    for vmid, name in names.items():
        made(name, vmid, GUESTS["unset"])
    assert adopt(fleet, "--all")[0] == 0
    fleet.commit()
    for vmid in names:
        pve("set", f"/nodes/node01/qemu/{vmid}/config", lock="backup")
    status, output = fleet.apply("--max-changes", "1")
    assert status in (2, 3) and "locked" in output, output
    for vmid in names:
        pve("set", f"/nodes/node01/qemu/{vmid}/config", delete="lock", skiplock=1)
    status, output = fleet.apply("--max-changes", "1")
    assert status == 0, output
    assert "0 added" in output and all(
        config(vmid)["description"].endswith(name) for vmid, name in names.items()
    )
    outputs = json.loads((fleet.home / "outputs.json").read_text())
    assert outputs["adopted"]["value"] == sorted(names.values())
