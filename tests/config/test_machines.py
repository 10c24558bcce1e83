"""The machines of `.env`, and what may be wrong with them."""

import pytest

from fleet import dotenv
from fleet.config import machines
from fleet.config.entries import Entries
from fleet.config.machines import Disk, Machine
from fleet.proxmox import ids
from tests.config.conftest import CEPH, LINES
from tests.helpers.machines import KEY


def read(path):
    entries, findings = dotenv.examine(path)
    assert findings == []
    said = Entries(entries, path)
    return machines.read(said, ids.TEMPLATES), said.findings


def told(path) -> list[str]:
    return [finding.text().removeprefix(f"{path}:") for finding in read(path)[1]]


def test_every_machine_has_what_is_said_once_and_its_own(env):
    found, findings = read(env({}))
    assert findings == []
    assert [(one.name, one.vmid, one.node, one.address, one.gateway) for one in found] == [
        ("ceph-1", 501, "node01", "192.168.1.61/24", "192.168.1.1"),
        ("ceph-2", 502, "node02", "192.168.1.62/24", "192.168.1.1"),
        ("ceph-3", 503, "node01", "192.168.1.63/24", "192.168.1.1"),
    ]
    assert found[2].disks == (
        Disk("scsi0", "50G"),
        *(Disk(f"scsi{number}", "1000G", "tank") for number in range(1, 5)),
        Disk("scsi5", "100G"),
    )
    assert (found[0].cores, found[0].memory, found[0].template) == (4, 8192, "debian12-template")


def test_what_is_left_out_is_left_open(env):
    found, findings = read(env(dict.fromkeys(CEPH, "") | {"VM_NAMES": "app", "VM_TEMPLATE": "t"}))
    assert (found, findings) == ([Machine("app", template="t")], [])


def test_no_names_are_no_machines(env):
    assert read(env({"VM_NAMES": "", "VM_CORES": "many"})) == ([], [])


GOOD = {
    "one name": {"VM_NAMES": "a", "VM_IDS": "", "VM_ADDRESSES": "dhcp", "VM_GATEWAY": ""},
    "commas": {"VM_NAMES": "a,b, c"},
    "ids by hand": {"VM_IDS": "101, 102, 12000"},
    "dhcp for all": {"VM_ADDRESSES": "dhcp", "VM_GATEWAY": ""},
    "dhcp for one": {"VM_ADDRESSES": "192.168.1.61/24 dhcp 192.168.1.63/24"},
    "a gateway elsewhere": {"VM_ADDRESSES": "5.9.1.1/32 5.9.1.2/32 5.9.1.3/32", "VM_GATEWAY": "172.31.1.1"},
    "thirty disks": {"VM_DATA_DISKS": "29"},
    "image": {
        "VM_TEMPLATE": "",
        "VM_IMAGE_URL": "https://a/b.qcow2",
        "VM_IMAGE_CHECKSUM": f"sha256:{'a' * 64}",
    },
    "vlan": {"VM_VLAN": "12", "VM_DNS": "9.9.9.9 2620:fe::9", "VM_DOMAIN": "example.org", "VM_USER": "ada"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_what_is_right_is_not_found_fault_with(env, changes):
    found, findings = read(env(changes))
    assert found and findings == []


WRONG = {  # what is changed, the variable whose line is told, and the words
    "name": ({"VM_NAMES": "ceph_1 b c"}, "VM_NAMES", "has ceph_1, which is not a host name"),
    "name of Ansible's": ({"VM_NAMES": "a b Localhost"}, "VM_NAMES", "has Localhost, which means something else"),
    "name of the play's group": ({"VM_NAMES": "a b deploy"}, "VM_NAMES", "has deploy, which means something"),
    "name twice": ({"VM_NAMES": "a b A"}, "VM_NAMES", "has a twice; change one of them"),
    "too few ids": (
        {"VM_IDS": "501 502"},
        "VM_IDS",
        "has 2 values for the 3 machines of VM_NAMES (line 1); give one for each, in the same order",
    ),
    "too many ids": ({"VM_IDS": "501 502 503 504"}, "VM_IDS", "has 4 values for the 3 machines"),
    "id of a template": (
        {"VM_IDS": "501 9000 503"},
        "VM_IDS",
        "has 9000, but 9000 to 9999 are for templates; choose one below, or leave VM_IDS empty",
    ),
    "id twice": ({"VM_IDS": "501 502 501"}, "VM_IDS", "has 501 twice, for ceph-1 and for ceph-3; change one"),
    "id of no machine": ({"VM_IDS": "99 502 503"}, "VM_IDS", "has 99; a VMID is a number from 100 to 999999999"),
    "id too long": ({"VM_IDS": "5010000000000 502 503"}, "VM_IDS", "has 5010000000000; a VMID is a number"),
    "id of letters": ({"VM_IDS": "a 502 503"}, "VM_IDS", "has a, which is not a VMID"),
    "node": ({"VM_NODES": "node01 -"}, "VM_NODES", "has -, which is not the name of a node"),
    "cores": ({"VM_CORES": "0"}, "VM_CORES", "is 0, which is not a whole number from 1 to 512"),
    "memory": ({"VM_MEMORY": "8G"}, "VM_MEMORY", "is 8G, which is not a whole number from 16 to 4194304"),
    "storage": ({"VM_STORAGE": "a:b"}, "VM_STORAGE", "is a:b, which is not the name of a storage"),
    "size": ({"VM_OS_SIZE": "50"}, "VM_OS_SIZE", "is 50, which is not a size in whole GiB such as 50G or 2T"),
    "fraction": ({"VM_MON_SIZE": "1.5G"}, "VM_MON_SIZE", "is 1.5G, which is not a size in whole GiB"),
    "no size": ({"VM_DATA_SIZE": ""}, "VM_DATA_DISKS", "is 4, but VM_DATA_SIZE is empty; set it, as 100G"),
    "too many disks": ({"VM_DATA_DISKS": "30"}, "VM_DATA_DISKS", "is 30, which is not a whole number from 0 to 29"),
    "template and image": (
        {"VM_IMAGE_URL": "https://a/b.qcow2"},
        "VM_IMAGE_URL",
        "and VM_TEMPLATE (line 4) are both set; leave one of them empty",
    ),
    "neither": ({"VM_TEMPLATE": ""}, "VM_NAMES", "has machines, but there is neither VM_TEMPLATE nor VM_IMAGE_URL"),
    "http": ({"VM_TEMPLATE": "", "VM_IMAGE_URL": "http://a/b"}, "VM_IMAGE_URL", "http://a/b, which is not an address"),
    "password": ({"VM_TEMPLATE": "", "VM_IMAGE_URL": "https://u:pw@a/b"}, "VM_IMAGE_URL", "has a user name, which"),
    "variable": ({"VM_TEMPLATE": "", "VM_IMAGE_URL": "https://a/{{b}}"}, "VM_IMAGE_URL", "which is not an address"),
    "checksum alone": ({"VM_IMAGE_CHECKSUM": f"sha256:{'a' * 64}"}, "VM_IMAGE_CHECKSUM", "is set without VM_IMAGE_URL"),
    "bridge": ({"VM_BRIDGE": "vmbr0,tag=2"}, "VM_BRIDGE", "is vmbr0,tag=2, which is not the name of a bridge"),
    "vlan": ({"VM_VLAN": "4095"}, "VM_VLAN", "is 4095, which is not a whole number from 1 to 4094"),
    "too few addresses": ({"VM_ADDRESSES": "192.168.1.61/24"}, "VM_ADDRESSES", "has 1 value for the 3 machines of"),
    "no prefix": (
        {"VM_ADDRESSES": "192.168.1.61/24 192.168.1.62 dhcp"},
        "VM_ADDRESSES",
        "is wrong for ceph-2: 192.168.1.62 has no prefix length; for example 192.168.1.62/24",
    ),
    "network": ({"VM_ADDRESSES": "192.168.1.0/24 dhcp dhcp"}, "VM_ADDRESSES", "is the address of the network itself"),
    "address twice": (
        {"VM_ADDRESSES": "192.168.1.61/24 192.168.1.62/24 192.168.1.61/25"},
        "VM_ADDRESSES",
        "has 192.168.1.61 twice, for ceph-1 and for ceph-3; change one of them",
    ),
    "gateway outside": (
        {"VM_GATEWAY": "192.168.2.1"},
        "VM_GATEWAY",
        "is wrong for ceph-1: 192.168.2.1 is outside the machine's subnet 192.168.1.0/24",
    ),
    "gateway of its own": (
        {"VM_GATEWAY": "192.168.1.62"},
        "VM_GATEWAY",
        "is wrong for ceph-2: 192.168.1.62 is the machine's own address; give the router's address",
    ),
    "gateway of DHCP": (
        {"VM_ADDRESSES": "dhcp"},
        "VM_GATEWAY",
        "is set, but each machine gets its address and gateway from DHCP; remove it",
    ),
    "dns": ({"VM_DNS": "9.9.9.9 router"}, "VM_DNS", "has router, which is not an IP address"),
    "domain": ({"VM_DOMAIN": "a_b"}, "VM_DOMAIN", "is a_b, which is not a domain"),
    "user": ({"VM_USER": "Root"}, "VM_USER", "is Root, which is not the name of a user"),
    "keys": ({"VM_SSH_KEYS_FILE": "nowhere.pub"}, "VM_SSH_KEYS_FILE", "is nowhere.pub, which is not a file"),
    "vendor data": ({"VM_VENDOR_DATA_FILE": "{{a}}"}, "VM_VENDOR_DATA_FILE", "is {{a}}, which is not a path without"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "name", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_line(env, changes, name, words):
    found = told(env(changes))
    new = [one for one in changes if one not in LINES]
    line = LINES.get(name) or len(CEPH) + 1 + new.index(name)
    assert any(text.startswith(f"{line}: {name} ") and words in text for text in found), found
    assert "pw" not in "".join(found)


def test_all_is_told_at_once_and_each_thing_once(env):
    found = told(env({"VM_CORES": "x", "VM_IDS": "1 2", "VM_GATEWAY": "10.0.0.1", "VM_OS_SIZE": "5"}))
    assert sorted(int(text.partition(":")[0]) for text in found) == [2, 5, 8, 15]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (KEY, None),
        (f"# mine\n\n{KEY}\n", None),
        ("", "VM_SSH_KEYS_FILE is a file without a key; add the line of a .pub file"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
            "VM_SSH_KEYS_FILE is a private key; name the public one, id.pub",
        ),
        (f"{KEY}\nssh-rsa x\n", "id:2: this line is truncated or mistyped"),
    ],
)
def test_the_keys_are_read(env, tmp_path, content, words):
    (tmp_path / "id").write_text(content)
    found, findings = read(env({"VM_SSH_KEYS_FILE": "id"}))
    assert found[0].keys_file == str(tmp_path / "id")
    assert [words in finding.text() for finding in findings] == ([True] if words else [])
