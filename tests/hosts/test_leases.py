"""Whose address a machine on DHCP may have: what its guest agent tells, held against what others have."""

import pytest

from fleet.ansible.inventory import parse
from fleet.hosts import leases
from fleet.hosts.leases import Taken, judge
from fleet.rules import taken
from fleet.terraform.outputs import Machine
from fleet.vms.files import load_text
from tests.helpers.machines import text

FILES = [
    load_text(f"vms/{name}.yaml", content)[0]
    for name, content in {
        "db": text("db", "192.168.1.20", nameserver="192.168.1.2 9.9.9.9"),
        "web": text("web", ipconfig0="ip=dhcp", address="192.168.1.30"),
        "k8s-home": text("k8s-home", "192.168.1.40"),
        "broken": text("broken", ipconfig0=["x"], address=5, nameserver=7),
    }.items()
]
INVENTORY = """\
k8s-a ansible_host=192.168.1.50 ansible_user=suporte  # terraform mac=BC:24:11:00:00:01
k8s-b ansible_host=192.168.1.51 ansible_user=suporte  # terraform mac=BC:24:11:00:00:02
gone ansible_host=192.168.1.59 ansible_user=suporte  # terraform
nas ansible_host=192.168.1.60
k8s-hand ansible_host=192.168.1.61
[k3s]
k8s-a
k8s-b
"""
MACHINES = {
    "k8s-a": Machine("", "suporte", "BC:24:11:00:00:01"),
    "k8s-b": Machine("", "suporte", "BC:24:11:00:00:02"),
    "k8s-new": Machine("", "suporte", "BC:24:11:00:00:03"),
    "k8s-hand": Machine("", "suporte", "BC:24:11:00:00:04"),
    "old": Machine("192.168.1.70", "suporte"),
}


def refused(told: dict, adopt=()) -> dict[str, str]:
    return judge(told, MACHINES, Taken(taken.addresses(FILES), parse(INVENTORY), "k8s.ini", adopt))


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("192.168.1.99", None),
        ("192.168.1.20", "that of db (vms/db.yaml:6:1)"),
        ("192.168.1.30", "that of web (vms/web.yaml:9:1)"),
        ("192.168.1.40", "that of k8s-home (vms/k8s-home.yaml:6:1)"),
        ("192.168.1.1", "the gateway of k8s-home (vms/k8s-home.yaml:6:1)"),
        ("192.168.1.2", "a name server of db (vms/db.yaml:9:1)"),
        ("192.168.1.50", "the last one of k8s-a (k8s.ini:1), which has no other"),
        ("192.168.1.59", None),  # of a machine that Terraform no longer has
        ("192.168.1.60", "that of nas (k8s.ini:4)"),
        ("192.168.1.61", "that of k8s-hand (k8s.ini:5)"),
        ("192.168.1.70", "that of old in Terraform's outputs"),
    ],
)
def test_an_address_that_another_has(address, owner):
    assert refused({"k8s-new": address}) == ({"k8s-new": f"{address}, which is {owner}"} if owner else {})


@pytest.mark.parametrize(
    ("told", "who"),
    [
        ({"k8s-a": "192.168.1.50", "k8s-b": "192.168.1.51"}, set()),
        ({"k8s-a": "192.168.1.51", "k8s-b": "192.168.1.50"}, set()),  # they changed places
        ({"k8s-a": "192.168.1.80", "k8s-b": "192.168.1.50"}, set()),
        ({"k8s-a": "192.168.1.80", "k8s-b": "192.168.1.80"}, {"k8s-a", "k8s-b"}),
        ({"k8s-a": "192.168.1.50", "k8s-b": "192.168.1.50"}, {"k8s-a", "k8s-b"}),
        # The address that a refused machine keeps is nobody else's.
        ({"k8s-a": "192.168.1.1", "k8s-new": "192.168.1.50"}, {"k8s-a", "k8s-new"}),
        (
            {"k8s-a": "192.168.1.1", "k8s-b": "192.168.1.50", "k8s-new": "192.168.1.51"},
            {"k8s-a", "k8s-b", "k8s-new"},
        ),
    ],
)
def test_machines_among_themselves(told, who):
    assert refused(told).keys() == who


def test_both_of_two_with_one_address_are_named():
    told = dict.fromkeys(("k8s-a", "k8s-new"), "192.168.1.80")
    assert refused(told) == {
        "k8s-a": "192.168.1.80, which k8s-new tells too",
        "k8s-new": "192.168.1.80, which k8s-a tells too",
    }


@pytest.mark.parametrize(
    ("address", "adopt", "is_refused"),
    [
        ("192.168.1.61", (), False),
        ("192.168.1.62", (), True),
        ("192.168.1.62", ("k8s-hand",), False),
        ("192.168.1.62", ("k8s-new",), True),
    ],
)
def test_a_line_by_hand_says_where_its_machine_is(address, adopt, is_refused):
    found = refused({"k8s-hand": address}, adopt)
    assert bool(found) is is_refused
    assert not found or "k8s.ini:5 has it at 192.168.1.61 by hand" in found["k8s-hand"]


@pytest.mark.parametrize(
    ("mac", "last"),
    [("BC:24:11:00:00:01", "192.168.1.50"), ("bc:24:11:00:00:01", "192.168.1.50"), ("BC:24:11:00:00:99", "")],
)
def test_a_machine_that_was_made_anew_is_a_new_one(mac, last):
    assert leases.known_before("k8s-a", MACHINES["k8s-a"]._replace(mac=mac), parse(INVENTORY)) == last


class Agents:
    """What the client answers of a guest agent, by VMID, in the form of Proxmox."""

    url = "https://192.168.1.10:8006"

    def __init__(self, addresses: dict[int, str]):
        self.addresses = addresses

    def get(self, path: str, most: int = 0):
        vmid = int(path.split("/")[3])
        card = {"name": "eth0", "hardware-address": f"bc:24:11:00:00:{vmid:02d}"}
        return {"result": [card | {"ip-addresses": [{"ip-address": self.addresses[vmid], "prefix": 24}]}]}


def test_find():
    machines = {
        name: one._replace(node="node01", vmid=number)
        for number, (name, one) in enumerate(MACHINES.items(), 1)
    }
    everything = Taken(taken.addresses(FILES), parse(INVENTORY), "k8s.ini")
    agents = Agents({1: "192.168.1.50", 2: "192.168.1.52", 3: "192.168.1.10", 4: "127.0.0.1"})
    found = leases.find(agents, machines, ["k8s-a", "k8s-b", "k8s-new", "k8s-hand"], everything, wait=0)
    assert found.addresses == {"k8s-a": "192.168.1.50", "k8s-b": "192.168.1.52"}
    assert found.refused == {"k8s-new": "192.168.1.10, which is that of Proxmox's API (PROXMOX_VE_ENDPOINT)"}
    assert "has no IPv4 address yet" in found.unknown["k8s-hand"]
    assert leases.find(agents, machines, [], everything) == ({}, {}, {})
