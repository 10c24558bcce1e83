"""Guests that a person made by hand in Proxmox, taken over with the real provider: nothing is lost unsaid.

Each guest is made through Proxmox's API. A takeover either passes because the file says what is there, or is refused
with all reasons at once, or a person's word lifts it; only what would lose a disk stays refused.
"""

import re
from urllib.parse import quote

import pytest

from lab.proxmox import ha
from tests.helpers.fleet import KEY, TWO_DISKS, Fleet, clean, config, one_machine, pve, running


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


def mac(vmid: int) -> str:
    return f"BC:24:11:00:00:{vmid - 100:02d}"


def said(vmid: int, **fields) -> dict:
    """What a VM file says of a guest as `cloned` makes it, so that taking it over changes nothing."""
    return {
        "vmid": vmid, "disks": {"scsi0": {"size": "3G"}}, "network": {"macaddr": mac(vmid)},
        "onboot": False, "vm_state": "stopped", "cpu_type": "x86-64-v2-AES", "memory": 1024,
    } | fields  # fmt: skip


def cloned(name: str = "k8s-dev", vmid: int = 105, **options) -> None:
    place = f"/nodes/node01/qemu/{vmid}/config"
    pve("create", "/nodes/node01/qemu/9000/clone", newid=vmid, full=1, name=name)
    pve("set", place, delete="description,tags")
    given = {
        "net0": f"virtio={mac(vmid)},bridge=vmbr0", "cpu": "x86-64-v2-AES", "memory": 1024, "onboot": 0,
        "ciuser": "suporte", "ipconfig0": f"ip=192.168.1.{vmid}/24,gw=192.168.1.1", "sshkeys": quote(KEY, safe=""),
    }  # fmt: skip
    # "{mac}" and "{id}" stand for the guest's own.
    more = {key: value.format(mac=mac(vmid), id=vmid) for key, value in options.items()}
    pve("set", place, **given | more)


def created(**options) -> None:
    pve(
        "create",
        "/nodes/node01/qemu",
        vmid=105,
        name="k8s-dev",
        net0=f"virtio={mac(105)},bridge=vmbr0",
        **options,
    )


# The guest's options, what of it the file says beside `said`, and each reason why the takeover is refused.
GUESTS = {
    "as the file says": ({}, {}, []),
    "a processor's flags and limits": ({"cpu": "x86-64-v2-AES,flags=+aes", "cpulimit": "2", "cpuunits": "200"}, {}, []),
    "balloon": ({"balloon": "256"}, {}, []),
    "devices": ({"startup": "order=3", "vga": "qxl", "serial1": "socket", "ostype": "win11", "tablet": "0",
                 "hostpci0": "mapping=gpu", "usb0": "mapping=key", "rng0": "source=/dev/urandom", "machine": "q35",
                 "watchdog": "model=i6300esb", "hotplug": "disk,network", "ide3": "none,media=cdrom"},
                {}, []),
    "queues of the card": ({"net0": "virtio={mac},bridge=vmbr0,queues=4,link_down=1"}, {}, []),
    "notes": ({"description": "Ask Ana\nbefore a restart"}, {},
              ["description: Ask Ana\\nbefore a restart → proxmox-gitops: {name}"]),
    "notes that the file has": ({"description": "Ask Ana"}, {"description": "Ask Ana"}, []),
    "tags": ({"tags": "lab;db"}, {}, ["tags: db lab → proxmox-gitops"]),
    "tags that the file has": ({"tags": "lab;db"}, {"tags": "DB;lab"}, []),
    "protection": ({"protection": "1"}, {}, ["protection: true → false"]),
    "firewall": ({"net0": "virtio={mac},bridge=vmbr0,firewall=1"}, {}, ["network.firewall: true → false"]),
    "a second card": ({"net1": "virtio=BC:24:11:00:01:06,bridge=vmbr0,mtu=1400", "ipconfig1": "ip=10.0.0.6/24"}, {},
                      []),
    "another second card": ({"net1": "virtio=BC:24:11:00:01:07,bridge=vmbr0,tag=5"},
                            {"net1": {"bridge": "vmbr0", "macaddr": "BC:24:11:00:01:07"}}, ["net1.tag: 5 → none"]),
    "a second card that the file takes away": ({"net1": "virtio=BC:24:11:00:01:08,bridge=vmbr0"}, {"net1": "none"},
        ["net1: bridge=vmbr0,enabled=true,mac_address=BC:24:11:00:01:08,mode… → none"]),
    "another display": ({"vga": "qxl"}, {"vga": "virtio"}, ["vga.type: qxl → virtio"]),
    "less ballooning": ({"balloon": "512"}, {"balloon": 256}, ["balloon: 512 → 256"]),
    "another processor": ({"cpu": "host"}, {}, ["cpu_type: host → x86-64-v2-AES"]),
    "onboot": ({"onboot": "1"}, {}, ["onboot: true → false"]),
    "another user": ({"ciuser": "ana"}, {}, ["ciuser: ana → suporte"]),
    "a password": ({"cipassword": "secret"}, {}, []),
    "a name server": ({"nameserver": "9.9.9.9", "searchdomain": "lan"}, {},
                      ["searchdomain: lan → none", "nameserver: 9.9.9.9 → none"]),
    "another address": ({"ipconfig0": "ip=dhcp"}, {},
                        ["ipconfig0: ip=dhcp → ip=192.168.1.{id}/24,gw=192.168.1.1"]),
    "an address without a card": ({"ipconfig1": "ip=10.0.0.5/24"}, {}, []),
    "a disk's options": (
        {"scsi0": "local-lvm:vm-{id}-disk-0,cache=writeback,backup=0,discard=on,iothread=1,ssd=1"}, {},
        ["disks.scsi0.backup: false → true", "disks.scsi0.cache: writeback → none"],
    ),
    "a disk's options that the file has": (
        {"scsi0": "local-lvm:vm-{id}-disk-0,aio=threads,cache=writeback,backup=0,iothread=0,replicate=0,ssd=0"},
        {"disks": {"scsi0": {"size": "3G", "discard": "ignore", "iothread": False, "ssd": False, "cache": "writeback",
                             "backup": False, "replicate": False, "aio": "threads"}}},
        [],
    ),
    "options that the provider drops": (
        {"scsi0": "local-lvm:vm-{id}-disk-0,backup=0,detect_zeroes=0,discard=on,iothread=1,ssd=1,"
                  "wwn=0x5000000000000001", "cpu": "host,hidden=1"}, {},
        ["cpu_type: host → x86-64-v2-AES", "disks.scsi0.backup: false → true", "cpu.hidden: 1 → none",
         "scsi0.detect_zeroes: 0 → none", "scsi0.wwn: 0x5000000000000001 → none"]),
    "a smaller disk": ({}, {"disks": {"scsi0": {"size": "9G"}}}, ["disks.scsi0.size: 3 → 9"]),
    "memory": ({"memory": "2048"}, {}, ["memory: 2048 → 1024"]),
}  # fmt: skip


def test_what_the_file_does_not_say_is_refused_with_all_reasons(fleet):
    expected, before, names = {}, {}, {}
    for vmid, (what, (options, fields, reasons)) in enumerate(GUESTS.items(), 105):
        name = names[vmid] = f"k8s-{vmid}"
        cloned(name, vmid, **options)
        before[name] = config(vmid)
        fleet.write(name, vmid, **said(vmid, **fields))
        expected[name] = (what, sorted(one.format(name=name, id=vmid) for one in reasons))
    fleet.commit()
    status, output = fleet.apply("--max-changes", "99")
    assert (status, fleet.outputs) == (1, None), output
    for vmid, name in names.items():
        taking = rf"refused: taking {name} \(VMID {vmid} on node01\) over would change"
        found = re.findall(rf"{taking} (.*?)(?:; to keep.*|; a VM file.*)?\n", output)
        assert (expected[name][0], sorted(found)) == expected[name], output
        assert config(vmid) == before[name]
        way_out = f"if {name} may be changed as said above, commit with [adopt {name}]"
        assert (way_out in output) == bool(found)
        if found:
            fleet.remove(name)
    # The others are taken over, and all is as it was but our mark and our tag.
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    for vmid, name in names.items():
        after = config(vmid)
        # The provider writes these two out, which are what Proxmox takes without them.
        after["agent"] = after["agent"].removesuffix(",fstrim_cloned_disks=0,type=virtio")
        if not expected[name][1]:
            ours = {"description", "tags", "digest"}
            changed = {k: (before[name].get(k), after.get(k)) for k in {*before[name], *after} - ours}
            assert {k: v for k, v in changed.items() if v[0] != v[1]} == {}, expected[name]
            assert after["description"].endswith(f"proxmox-gitops: {name}")
            tags = set(before[name].get("tags", "").split(";")) - {""}
            assert set(after["tags"].split(";")) == {*tags, "proxmox-gitops"}
    assert "No changes." in fleet.plan()[1]


def test_a_persons_word_lets_the_file_win(fleet):
    cloned(
        protection="1", tags="a", description="hand", net1="virtio,bridge=vmbr0", cpu="host", ciuser="ana",
        nameserver="9.9.9.9",
    )  # fmt: skip
    fleet.write("k8s-dev", 105, **said(105, net1="none"))
    fleet.commit()
    assert fleet.apply("--approve-adopt", "other")[0] == 1
    status, output = fleet.apply("--approve-adopt", "k8s-dev")
    assert status == 0, output
    after = config(105)
    assert {"net1", "nameserver"} & after.keys() == set()
    assert (after["tags"], after["description"]) == ("proxmox-gitops", "proxmox-gitops: k8s-dev")
    assert (after["cpu"], after["ciuser"], int(after.get("protection", 0))) == ("x86-64-v2-AES", "suporte", 0)
    assert "No changes." in fleet.plan()[1]


# Disks that nobody's word lets go, since no commit can bring their data back.
DISKS = {
    "a second disk": (cloned, {"scsi1": "local-lvm:1"}, ["scsi1 (1G on local-lvm)"]),
    "a disk in a gap": (cloned, {"scsi5": "local-lvm:1"}, ["scsi5 (1G on local-lvm)"]),
    "another bus": (created, {"virtio0": "local-lvm:4"}, ["virtio0 (4G on local-lvm)"]),
    "two buses": (created, {"sata0": "local-lvm:4", "virtio1": "local:1"},
                  ["sata0 (4G on local-lvm)", "virtio1 (1G on local)"]),
}  # fmt: skip


@pytest.mark.parametrize("guest", DISKS)
def test_a_disk_is_never_dropped(fleet, guest):
    make, options, disks = DISKS[guest]
    make(**options)
    before = config(105)
    fleet.write("k8s-dev", 105, **said(105))
    fleet.commit()
    status, output = fleet.apply("--approve-adopt", "k8s-dev")
    assert (status, config(105)) == (1, before), output
    for disk in disks:
        assert f"refused: would remove {disk} from k8s-dev; write it into the file" in output


def test_disks_on_other_buses_and_in_gaps_are_taken_over_as_the_file_says(fleet):
    created(
        virtio0="local-lvm:4,discard=on,iothread=1", virtio3="local:1,discard=on,iothread=1",
        sata5="local-lvm:2,discard=on,ssd=1", ide2="local-lvm:cloudinit", boot="order=virtio0",
        scsihw="virtio-scsi-single", agent="enabled=1", cpu="x86-64-v2-AES", memory=1024, cores=1, onboot=0,
    )  # fmt: skip
    before = config(105)
    disks = {
        "virtio0": {"size": "4G"},
        "virtio3": {"size": "1G", "storage": "local"},
        "sata5": {"size": "2G"},
    }
    fleet.write("k8s-dev", 105, **said(105, disks=disks))
    fleet.commit()
    status, output = fleet.apply()
    assert (status, "would remove" in output, "disks." in output) == (1, False, False), output
    status, output = fleet.apply("--approve-adopt", "k8s-dev")  # cloud-init's settings, which it has none of
    assert status == 0, output
    after = config(105)
    assert {slot: after[slot] for slot in disks} == {slot: before[slot] for slot in disks}
    assert after["boot"] == "order=virtio0"
    assert "No changes." in fleet.plan()[1]
    disks["virtio3"]["size"] = "2G"
    fleet.write("k8s-dev", 105, **said(105, disks=disks | {"virtio7": {"size": "1G"}}))
    status, output = fleet.apply()
    assert (status, config(105)["virtio7"].split(",")[0]) == (0, "local-lvm:vm-105-disk-2"), output
    assert "size=2G" in config(105)["virtio3"]
    assert "No changes." in fleet.plan()[1]


def test_a_machine_is_made_from_a_template_on_another_bus(fleet):
    pve(
        "create",
        "/nodes/node01/qemu",
        vmid=9001,
        name="virtio-template",
        virtio0="local-lvm:3",
        net0="virtio,bridge=vmbr0",
    )
    pve("create", "/nodes/node01/qemu/9001/template")
    fleet.write("k8s-dev", 20, clone="virtio-template")
    fleet.commit()
    status, output = fleet.apply()
    assert (status, "template virtio-template has a disk virtio0, which its clones keep" in output) == (
        1,
        True,
    ), output
    disks = {
        "virtio0": {"size": "4G"},
        "scsi4": {"size": "1G", "cache": "writeback", "backup": False, "ssd": False},
    }
    fleet.write("k8s-dev", 20, clone="virtio-template", disks=disks)
    status, output = fleet.apply()
    assert status == 0, output
    made = config(500)
    assert "size=4G" in made["virtio0"] and "size=1G" in made["scsi4"] and made["boot"] == "order=virtio0"
    options = set(made["scsi4"].split(","))
    assert {"backup=0", "cache=writeback", "discard=on", "iothread=1", "ssd=0"} <= options
    assert "No changes." in fleet.plan()[1]
    fleet.known("k8s-dev")
    disks["scsi4"] |= {"cache": "none", "aio": "native"}
    fleet.write("k8s-dev", 20, clone="virtio-template", disks=disks)
    status, output = fleet.apply()
    assert (status, "restart needed: k8s-dev (scsi4)" in output) == (0, True), output
    assert "No changes." in fleet.plan()[1]
    # Without its file the machine stays as it is, with its disks' options.
    fleet.commit()
    fleet.remove("k8s-dev")
    fleet.write("haproxy-dev", 21)
    fleet.commit()
    before = config(500)
    status, output = fleet.apply()
    assert (status, config(500)) == (3, before), output


def test_a_disk_is_never_shrunk(fleet):
    cloned()
    fleet.write("k8s-dev", 105, **said(105, disks={"scsi0": {"size": "2G"}}))
    fleet.commit()
    status, output = fleet.apply("--approve-adopt", "k8s-dev")
    assert (status, "refused: would shrink scsi0 of k8s-dev from 3G to 2G" in output) == (1, True), output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delete": "ide2"}, "has no cloud-init drive"),
        ({"delete": "ide2", "ide0": "local-lvm:cloudinit"}, "has its cloud-init drive as ide0 on local-lvm"),
        ({"ide2": "local:cloudinit"}, "has its cloud-init drive as ide2 on local"),
    ],
)
def test_the_cloud_init_drive_of_a_running_guest_is_not_moved(fleet, options, words):
    """The provider would fail in every run; stopped, the guest can be taken over."""
    cloned()
    if "delete" in options:
        pve("set", "/nodes/node01/qemu/105/config", delete=options["delete"])
    more = {key: value for key, value in options.items() if key != "delete"}
    if more:
        pve("set", "/nodes/node01/qemu/105/config", **more)
    pve("create", "/nodes/node01/qemu/105/status/start")
    drive = {"slot": "ide2", "storage": "local-lvm"}
    fleet.write("k8s-dev", 105, **said(105, vm_state="running", cloudinit=drive))
    fleet.commit()
    since = running(105)
    status, output = fleet.apply("--approve-adopt", "k8s-dev")
    assert (status, running(105)) == (1, since), output
    assert f"k8s-dev (VMID 105) runs and {words}, and needs one as ide2 on local-lvm" in output
    assert "shut it down, run this again, and start it" in output
    if more:  # where the file does not say where the drive is, it stays there
        fleet.write("k8s-dev", 105, **said(105, vm_state="running"))
        status, output = fleet.apply("--approve-adopt", "k8s-dev")
        assert (status, running(105)) == (0, since), output
        assert "k8s-dev: not in its file, and so left as it is in Proxmox: cloudinit" in output
        assert "cloudinit" in config(105)["ide2" if "ide2" in more else "ide0"]
    else:
        pve("create", "/nodes/node01/qemu/105/status/stop")
        status, output = fleet.apply("--approve-adopt", "k8s-dev")
        assert status == 0, output
        assert config(105)["ide2"].startswith("local-lvm:")
    assert "No changes." in fleet.plan()[1]


def test_what_a_person_added_to_our_machine_stays_beside_another_change(fleet):
    one_machine(fleet)
    pve("set", "/nodes/node01/qemu/500/config", net1="virtio=BC:24:11:00:00:09,bridge=vmbr0", balloon="256")
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=1536)
    status, output = fleet.apply()
    assert status == 0, output
    assert "k8s-dev: not in its file, and so left as it is in Proxmox: balloon, net1" in output
    after = config(500)
    assert (after["memory"], int(after["balloon"])) == ("1536", 256)
    assert after["net1"].startswith("virtio=BC:24:11:00:00:09,bridge=vmbr0")
    assert "No changes." in fleet.plan()[1]
    fleet.write("k8s-dev", 20, disks=TWO_DISKS, memory=1536, net1="none")
    assert fleet.apply()[0] == 0
    assert "net1" not in config(500)
    assert "No changes." in fleet.plan()[1]


def test_name_servers_that_the_file_no_longer_has_are_gone(fleet):
    fleet.write("k8s-dev", 20, nameserver="192.168.1.1 9.9.9.9", searchdomain="lan")
    fleet.commit()
    assert fleet.apply()[0] == 0
    for fields, left in (({"searchdomain": "lan"}, {"searchdomain"}), ({}, set())):
        fleet.write("k8s-dev", 20, **fields)
        status, output = fleet.apply()
        assert status == 0, output
        assert config(500).keys() & {"nameserver", "searchdomain"} == left
        assert "No changes." in fleet.plan()[1]


def test_a_machine_stays_where_ha_moved_it(fleet):
    one_machine(fleet)
    ha.add("vm:500", {})  # which the provider's token may not
    pve("create", "/nodes/node01/qemu/500/migrate", target="node02", online=1, **{"with-local-disks": 1})
    status, output = fleet.apply()
    assert (status, config(500, "node02")["name"]) == (0, "k8s-dev"), output
    assert "k8s-dev: stays on node02, where HA keeps it; its file says node01" in output
    assert fleet.outputs["k8s-dev"]["node"] == "node02"
    assert "No changes." in fleet.plan()[1]
