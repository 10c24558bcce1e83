"""A guest's configuration, as Proxmox answers it, and the VM file that says it; or why none can."""

import pytest

from fleet.adopt.candidate import candidate
from fleet.proxmox.guest import Guest
from fleet.rules import file as rules
from fleet.vms.files import load_text
from tests.helpers.machines import KEY, TEMPLATE, text

GUEST = Guest(105, "k8s-dev", "node01", False, "running", "")
# What Proxmox has of a guest with a cloud-init drive, and the fields that say it.
CONFIG = {
    "name": "k8s-dev",
    "cores": 2,
    "memory": "2048",
    "cpu": "host",
    "scsihw": "virtio-scsi-single",
    "ostype": "l26",
    "agent": "1",
    "onboot": 1,
    "boot": "order=scsi0",
    "net0": "virtio=BC:24:11:00:00:05,bridge=vmbr0",
    "scsi0": "local-lvm:vm-105-disk-0,discard=on,iothread=1,size=20G,ssd=1",
    "ide2": "local-lvm:vm-105-cloudinit,media=cdrom,size=4M",
    "ciuser": "suporte",
    "ipconfig0": "ip=192.168.1.20/24,gw=192.168.1.1",
    "serial0": "socket",
    "smbios1": "uuid=0a5f",
    "vmgenid": "1",
    "meta": "creation-qemu=10.0.2,ctime=1",
    "digest": "ab",
}
FIELDS = {
    "name": "k8s-dev",
    "target_node": "node01",
    "vmid": 105,
    "cores": 2,
    "memory": 2048,
    "clone": "unknown",
    "ciuser": "suporte",
    "ipconfig0": "ip=192.168.1.20/24,gw=192.168.1.1",
    "network": {"bridge": "vmbr0", "model": "virtio", "macaddr": "BC:24:11:00:00:05"},
    "disks": {"scsi0": {"size": "20G", "storage": "local-lvm"}},
    "boot": "order=scsi0",
    "ostype": "l26",
}


def adopted(
    config=None, guest=GUEST, cluster=(), vms=None, service=None, storages=("local", "local-lvm", "tank")
):
    """The candidate of CONFIG with `config` on top, None taking an option out."""
    has = {key: value for key, value in (CONFIG | (config or {})).items() if value is not None}
    return candidate(guest, has, [guest, TEMPLATE, *cluster], vms or {}, storages, "vms", service)


SAID = {
    "nothing more": ({}, {}),
    "what Proxmox does not write": (
        {"cores": None, "memory": None, "cpu": None, "scsihw": None, "ostype": None, "agent": None, "onboot": None,
         "boot": None, "scsi0": "local-lvm:vm-105-disk-0,size=20G"},
        {"cores": 1, "memory": 512, "cpu_type": "kvm64", "scsihw": "lsi", "ostype": "other", "agent": False,
         "onboot": False, "boot": None,
         "disks": {"scsi0": {"size": "20G", "storage": "local-lvm", "discard": False, "ssd": False}}},
    ),
    "processor": (
        {"cpu": "cputype=x86-64-v2-AES,flags=+aes;-pcid", "sockets": 2, "cpulimit": "1.5", "cpuunits": 200, "numa": 1,
         "vcpus": 3, "balloon": 0},
        {"cpu_type": "x86-64-v2-AES", "cpu_flags": "+aes;-pcid", "sockets": 2, "cpulimit": 1.5, "cpuunits": 200,
         "numa": True, "vcpus": 3, "balloon": 0},
    ),
    "memory as newer versions write it": ({"memory": "current=4096"}, {"memory": 4096}),
    "the card": (
        {"net0": "model=e1000,macaddr=BC:24:11:00:00:05,bridge=vnet1,firewall=1,rate=12.5,tag=20,link_down=1"},
        {"network": {"bridge": "vnet1", "model": "e1000", "macaddr": "BC:24:11:00:00:05", "tag": 20, "rate": 12.5,
                     "firewall": True, "link_down": True}},
    ),
    "more cards": (
        {"net1": "virtio=BC:24:11:00:00:06,bridge=vmbr1,mtu=1,queues=4,firewall=0", "ipconfig1": "ip6=auto"},
        {"net1": {"bridge": "vmbr1", "model": "virtio", "macaddr": "BC:24:11:00:00:06", "mtu": 1, "queues": 4},
         "ipconfig1": "ip6=auto"},
    ),
    "disks": (
        {"scsi0": "local-lvm:vm-105-disk-0,aio=threads,backup=0,cache=writeback,discard=ignore,replicate=0,size=3584M",
         "scsi10": "tank:vm-105-disk-3,discard=on,iothread=1,size=2T,ssd=1",
         "scsi2": "local:105/vm-105-disk-2.qcow2,discard=on,iothread=1,size=1G,ssd=1",
         "sata0": "local-lvm:vm-105-disk-4,size=1G",
         "virtio1": "local-lvm:vm-105-disk-5,discard=on,iothread=1,size=1G"},
        {"disks": {
            "sata0": {"size": "1G", "storage": "local-lvm", "discard": False, "ssd": False},
            "scsi0": {"size": "3G", "storage": "local-lvm", "discard": False, "iothread": False, "ssd": False,
                      "cache": "writeback", "backup": False, "replicate": False, "aio": "threads"},
            "scsi2": {"size": "1G", "storage": "local", "format": "qcow2"},
            "scsi10": {"size": "2048G", "storage": "tank"},
            "virtio1": {"size": "1G", "storage": "local-lvm"}}},
    ),
    "the template of a linked clone": (
        {"scsi0": "local-lvm:base-9000-disk-0/vm-105-disk-0,discard=on,iothread=1,size=20G,ssd=1"},
        {"clone": "ubuntu24-template"},
    ),
    "the same on a storage of files": (
        {"scsi0": "local:9000/base-9000-disk-0.qcow2/105/vm-105-disk-0.qcow2,discard=on,iothread=1,size=20G,ssd=1",
         "ide2": "local:105/vm-105-cloudinit.qcow2,media=cdrom"},
        {"clone": "ubuntu24-template", "disks": {"scsi0": {"size": "20G", "storage": "local", "format": "qcow2"}}},
    ),
    "texts": (
        {"description": "Ask Ana\n\n  - before: a restart #1\n", "tags": "lab;db;proxmox-gitops",
         "nameserver": "9.9.9.9 1.1.1.1", "searchdomain": "lan"},
        {"description": "Ask Ana\n\n  - before: a restart #1", "tags": ["lab", "db"], "nameserver": "9.9.9.9 1.1.1.1",
         "searchdomain": "lan"},
    ),
    "a text that YAML's block would not keep": ({"description": " a \r"}, {"description": "a"}),
    "words that are no text to YAML": ({"description": "yes", "searchdomain": "1e3"},
                                       {"description": "yes", "searchdomain": "1e3"}),
    "keys": ({"sshkeys": f"{KEY} two: words%0A%0A{KEY.replace(' ', '%20')}%0A".replace("two: words", "a%20b")},
             {"sshkeys": [f"{KEY} a b", KEY]}),
    "UEFI": (
        {"bios": "ovmf", "machine": "q35", "efidisk0": "local-lvm:vm-105-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M",
         "tpmstate0": "local-lvm:vm-105-disk-2,size=4M,version=v2.0"},
        {"bios": "ovmf", "machine": "q35", "tpmstate": {"storage": "local-lvm", "version": "v2.0"},
         "efidisk": {"storage": "local-lvm", "efitype": "4m", "pre_enrolled_keys": True}},
    ),
    "an old EFI disk": ({"bios": "ovmf", "efidisk0": "local-lvm:vm-105-disk-1,size=128K"},
                        {"bios": "ovmf",
                         "efidisk": {"storage": "local-lvm", "efitype": "2m", "pre_enrolled_keys": False}}),
    "settings": (
        {"vga": "qxl", "startup": "order=1,up=60,down=120", "hotplug": "disk,network", "keyboard": "de", "tablet": 0,
         "protection": 1, "watchdog": "action=reset", "rng0": "source=/dev/urandom",
         "cicustom": "vendor=local:snippets/a"},
        {"vga": "qxl", "startup": {"order": 1, "up": 60, "down": 120}, "hotplug": "disk,network", "keyboard": "de",
         "tablet": False, "protection": True, "watchdog": {"model": "i6300esb", "action": "reset"},
         "rng0": "/dev/urandom", "cicustom": {"vendor": "local:snippets/a"}},
    ),
    "their longer forms": (
        {"vga": "memory=32", "startup": "3", "rng0": "/dev/hwrng,max_bytes=1,period=2", "watchdog": "ib700"},
        {"vga": {"type": "std", "memory": 32}, "startup": {"order": 3}, "watchdog": {"model": "ib700"},
         "rng0": {"source": "/dev/hwrng", "max_bytes": 1, "period": 2}},
    ),
    "mapped devices": (
        {"machine": "q35", "hostpci0": "mapping=gpu,pcie=1,x-vga=1", "usb0": "mapping=zigbee,usb3=1",
         "virtiofs0": "media,cache=auto,expose-acl=1", "virtiofs1": "dirid=data"},
        {"machine": "q35", "hostpci0": {"mapping": "gpu", "pcie": True, "x_vga": True},
         "usb0": {"mapping": "zigbee", "usb3": True},
         "virtiofs0": {"mapping": "media", "cache": "auto", "expose_acl": True,
                       "expose_xattr": True}, "virtiofs1": {"mapping": "data"}},
    ),
    "an ISO": ({"ide3": "local:iso/debian-13.iso,media=cdrom,size=600M"}, {"cdrom": "local:iso/debian-13.iso"}),
    "one at another slot": (
        {"ide2": "none,media=cdrom", "scsi1": "local-lvm:vm-105-cloudinit,media=cdrom",
         "boot": "order=scsi0;ide2;net0"},
        {"cdrom": {"file": "none", "slot": "ide2"}, "cloudinit": {"slot": "scsi1", "storage": "local-lvm"},
         "boot": "order=scsi0;ide2;net0"},
    ),
    "an address by DHCP": ({"ipconfig0": "ip=dhcp,ip6=dhcp"}, {"ipconfig0": "ip=dhcp,ip6=dhcp"}),
    "no cloud-init": ({"ide2": None, "ciuser": None, "ipconfig0": None},
                      {"cloudinit": "none", "ciuser": None, "ipconfig0": None}),
    "an empty drive": ({"ide3": "none,media=cdrom"}, {"cdrom": "none"}),
    "cloud-init's drive elsewhere": ({"ide2": None, "scsi1": "local:105/vm-105-cloudinit.raw,media=cdrom"},
                                     {"cloudinit": {"slot": "scsi1", "storage": "local"}}),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_what_a_file_says(what):
    config, fields = SAID[what]
    found = adopted(config)
    assert (found.refused, found.unsaid, found.kept) == ([], [], [])
    expected = {key: value for key, value in (FIELDS | fields).items() if value is not None}
    vm, findings = load_text("vms/k8s-dev.yaml", found.text)
    assert findings + rules.check(vm) == []
    assert vm.data == expected


def test_the_text_of_a_file():
    found = adopted({
        "net1": "virtio=BC:24:11:00:00:06,bridge=vmbr0", "args": "-cpu x", "description": "a\nb",
        "scsi0": "local-lvm:vm-105-disk-0,discard=on,iothread=1,size=3584M,ssd=1", "tags": "db",
        "sshkeys": KEY.replace(" ", "%20"),
    })  # fmt: skip
    assert (
        found.text
        == f"""\
# Written by scripts/adopt.py from VMID 105.
# Proxmox keeps what no VM file says:
# - args
name: k8s-dev
target_node: node01
vmid: 105
cores: 2
memory: 2048
clone: unknown  # its template is not known, and is needed only to make the machine again
ipconfig0: "ip=192.168.1.20/24,gw=192.168.1.1"
ciuser: suporte
network: {{bridge: vmbr0, model: virtio, macaddr: "BC:24:11:00:00:05"}}
net1: {{bridge: vmbr0, model: virtio, macaddr: "BC:24:11:00:00:06"}}
disks:
  scsi0: {{size: 3G, storage: local-lvm}}  # 3584M in Proxmox
tags: [db]
description: |-
  a
  b
boot: "order=scsi0"
sshkeys:
  - {KEY}
ostype: l26
"""
    )


# What no file says: kept by Proxmox in any case, kept unless that part is changed, or in the way.
NOT_SAID = {
    "args": ({"args": "-device x"}, ["args"], [], []),
    "a password": ({"cipassword": "**********"}, ["cipassword"], [], []),
    "a script": ({"hookscript": "local:snippets/x.sh", "affinity": "0-3"}, ["hookscript", "affinity"], [], []),
    "an option that nobody knows yet": ({"future9": "1"}, ["future9"], [], []),
    "a second console, sound, unused disks": (
        {"serial1": "socket", "audio0": "device=AC97", "unused0": "local-lvm:vm-105-disk-9"},
        ["serial1", "audio0", "unused0"], [], []),
    "a boot order of old": ({"boot": "cdn", "bootdisk": "scsi0"}, ["boot (cdn)", "bootdisk"], [], []),
    "a second CD drive": ({"ide0": "none,media=cdrom", "ide3": "none,media=cdrom"},
                          ["ide0 (a second CD drive)"], [], []),
    "an I/O thread without effect": ({"scsihw": "virtio-scsi-pci"}, [], [],
                                     ["scsi0 has an I/O thread, which has no effect with virtio-scsi-pci"]),
    "a raw PCI device": ({"hostpci0": "0000:01:00.0,pcie=1"}, [],
                         ["hostpci0 is a device of the node, which no API token can give to a machine"], []),
    "a raw USB device": ({"usb0": "host=1234:5678"}, [], ["usb0 is a device of the node"], []),
    "a ROM file": ({"hostpci0": "mapping=gpu,romfile=x.bin"}, [], ["hostpci0 has romfile"], []),
    "options of the machine": ({"machine": "q35,viommu=intel"}, [], ["machine: q35,viommu=intel must be q35"], []),
    "options of the CPU": ({"cpu": "host,hidden=1"}, [], ["cpu has hidden, which a change"], []),
    "options of a disk": ({"scsi0": "local-lvm:vm-105-disk-0,size=20G,wwn=0x5"}, [], ["scsi0 has wwn"], []),
    "a display of the future": ({"vga": "holo"}, [], ["vga: holo is not one of std"], []),
    "limits of a disk": ({"scsi0": "local-lvm:vm-105-disk-0,iops_rd=5,mbps=1,size=20G"}, [], [],
                         ["scsi0 has iops_rd, mbps, which Terraform's provider would take away"]),
    "an IDE disk": ({"ide0": "local-lvm:vm-105-disk-7,size=1G"}, [], [], ["ide0 is an IDE disk"]),
    "a disk of the node": ({"scsi1": "/dev/sdb,size=1G"}, [], [], ["scsi1 is /dev/sdb, which is no volume"]),
    "a tiny disk": ({"scsi1": "local-lvm:vm-105-disk-7,size=512M"}, [], [], ["scsi1 has 512M"]),
    "no disk": ({"scsi0": None}, [], [], ["has no disk"]),
    "no card": ({"net0": None}, [], [], ["has no card net0"]),
    "a card without a bridge": ({"net0": "virtio=BC:24:11:00:00:05"}, [], [], ["net0 is connected to no bridge"]),
    "an old card": ({"net0": "ne2k_pci=BC:24:11:00:00:05,bridge=vmbr0"}, [], [],
                    ["net0 is a card of the type ne2k_pci"]),
    "trunks": ({"net1": "virtio=BC:24:11:00:00:06,bridge=vmbr0,trunks=2;3"}, [], [], ["net1 has trunks"]),
    "a gap": ({"net2": "virtio=BC:24:11:00:00:06,bridge=vmbr0"}, [], [], ["has net2 without net1"]),
    "the agent's option": ({"agent": "1,freeze-fs-on-backup=0"}, [], [], ["agent has freeze-fs-on-backup"]),
    "an address that nobody could know": ({"ipconfig0": "ip=dhcp", "agent": "0"}, [], [],
                                       ["gets its address by DHCP, and its guest"]),
    "no user": ({"ciuser": None}, [], [], ["has no ciuser; give it one: `qm set 105 --ciuser NAME`"]),
    "no address": ({"ipconfig0": None}, [], [], ["has no ipconfig0"]),
    "cloud-init without its drive": ({"ide2": None}, [], [], ["has ciuser, ipconfig0 without a drive"]),
    "a user that is none": ({"ciuser": "Ana"}, [], [], ["ciuser: Ana must be a Linux user name"]),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_SAID)
def test_what_no_file_says(what):
    config, kept, unsaid, refused = NOT_SAID[what]
    found = adopted(config)
    assert found.kept == kept
    for given, expected in ((found.unsaid, unsaid), (found.refused, refused)):
        assert len(given) == len(expected), given
        for text_, start in zip(given, expected, strict=True):
            assert text_.startswith(start), text_
    if not refused:
        vm, findings = load_text("vms/k8s-dev.yaml", found.text)
        assert findings + rules.check(vm) == []
        for line in (*kept, *unsaid):
            assert f"\n# - {line}" in found.text


@pytest.mark.parametrize(
    ("service", "ha", "told"),
    [
        ({"sid": "vm:105", "type": "vm", "digest": "a"}, {"state": "started"}, []),
        ({"state": "ignored", "group": "site-a", "max_restart": 3, "max_relocate": "2"},
         {"state": "ignored", "group": "site-a", "max_restart": 3, "max_relocate": 2}, []),
        ({"state": "started", "comment": "Ana's", "failback": 0}, None, ["HA has comment, failback"]),
        ({"state": "enabled"}, None, ["ha.state: enabled is not one of"]),
        (None, None, ["HA, which the token may not read (Sys.Audit on /)"]),
    ],
)  # fmt: skip
def test_a_machine_that_ha_manages(service, ha, told):
    found = adopted(guest=GUEST._replace(ha=True), service=service)
    assert found.refused == []
    assert found.vm.data.get("ha") == ha
    notes = [*found.unsaid, *found.kept]
    assert len(notes) == len(told)
    assert all(note.startswith(start) for note, start in zip(notes, told, strict=True)), notes
    check = load_text("vms/k8s-dev.yaml", found.text)[0]
    assert [one for one in rules.check(check) if one.level == "error"] == []


def test_a_stopped_guest_of_a_pool():
    found = adopted(guest=GUEST._replace(status="stopped", pool="web/db"))
    assert (found.vm.data["vm_state"], found.vm.data["pool"]) == ("stopped", "web/db")


def test_a_storage_that_the_token_may_not_see():
    found = adopted(storages={"local"})
    assert [one.split(";")[0] for one in found.refused] == [
        "has scsi0 on local-lvm, a storage that Proxmox does not show the token",
        "has ide2 on local-lvm, a storage that Proxmox does not show the token",
    ]
    assert adopted(storages=None).refused == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("k8s-dev", ""),
        (None, "has no name; rename the guest with `qm set 105 --name vm-105`"),
        ("Web.Example.org", "`qm set 105 --name web-example-org`"),
        ("123", "`qm set 105 --name vm-123`"),
        ("K8S-home", "`qm set 105 --name k8s-home-105`"),
        ("K8s-taken", "`qm set 105 --name k8s-taken-105`"),
        ("localhost", "localhost has a meaning of its own in Ansible"),
        ("k8s-home", "k8s-home is a machine outside this automation"),
        ("a" * 64, f"--name {'a' * 50}"),
    ],
)
def test_names(name, problem):
    found = adopted({"name": name}, cluster=[Guest(106, "k8s-taken", "node02", False, "running", "")])
    assert problem in " ".join(found.refused)
    assert bool(found.refused) == bool(problem)


def test_a_guest_that_is_managed_already():
    vm, _ = load_text("vms/k8s-dev.yaml", text("k8s-dev"))
    marked = {"description": "a\n\nproxmox-gitops: k8s-dev"}
    assert adopted(marked, vms={"k8s-dev": vm}).managed == "k8s-dev"
    assert adopted(marked | {"name": "renamed"}, vms={"k8s-dev": vm}).managed == "k8s-dev"
    assert adopted(marked).refused[0].startswith("belongs to k8s-dev, as the last line of its notes says")
