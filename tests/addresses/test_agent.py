"""What the guest agent tells of a machine's address, against a real HTTPS server; the guest may be hostile."""

import time

import pytest

from fleet.addresses import agent
from fleet.addresses.agent import ANY, Guest, address_in
from tests.helpers.https_server import certificate, serving

MAC = "BC:24:11:00:00:01"
GUEST = Guest("node01", 105, MAC, 0)
PATH = "nodes/node01/qemu/{}/agent/network-get-interfaces"


def card(*addresses: str, name: str = "eth0", mac: str = MAC.lower()) -> dict:
    found = []
    for address in addresses:
        bare, _, prefix = address.rpartition("/")
        kind = "ipv6" if ":" in bare else "ipv4"
        found.append({"ip-address": bare, "prefix": int(prefix), "ip-address-type": kind})
    return {"name": name, "hardware-address": mac, "ip-addresses": found}


LO = card("127.0.0.1/8", "::1/128", name="lo", mac="00:00:00:00:00:00")
OTHER = "bc:24:11:00:00:02"


@pytest.mark.parametrize(
    ("cards", "address"),
    [
        ([LO, card("192.168.1.60/24", "fe80::1/64")], "192.168.1.60"),
        ([LO, card("10.0.0.9/24", name="eth1", mac=OTHER), card("192.168.1.60/24")], "192.168.1.60"),
        # The address of a bridge that the guest put over its card; Proxmox shows MAC addresses in either case.
        ([card(), card("192.168.1.60/24", name="br0", mac=MAC)], "192.168.1.60"),
        ([card("172.17.0.1/16", name="docker0"), card("10.42.0.1/24", name="cni0"),
          card("10.42.1.1/24", name="br-0a1b2c"), card("192.168.1.60/24")], "192.168.1.60"),
        # A virtual address, which moves, and one on a VLAN of the same card.
        ([card("192.168.1.100/32", "192.168.1.60/24")], "192.168.1.60"),
        ([card("192.168.1.60/24"), card("10.9.0.5/24", name="eth0.9")], "192.168.1.60"),
        ([card("203.0.113.7/32")], "203.0.113.7"),
        ([card("169.254.7.7/16", "192.168.1.60/24")], "192.168.1.60"),
        ([card("192.168.1.60/24", "192.168.1.61/24")], "192.168.1.60"),
    ],
)  # fmt: skip
def test_the_address_of_the_first_card(cards, address):
    assert address_in({"result": cards}, GUEST).address == address


def test_the_address_that_it_had_is_preferred():
    cards = {"result": [card("192.168.1.60/24", "192.168.1.61/24")]}
    assert address_in(cards, GUEST._replace(last="192.168.1.61")).address == "192.168.1.61"
    assert address_in(cards, GUEST._replace(last="192.168.1.99")).address == "192.168.1.60"


SLAAC, TEMPORARY, ULA, LEASE = (
    "2001:db8::be24:11ff:fe00:1/64",
    "2001:db8::5c1f:9b0:77aa:3/64",
    "fd00:1::7/64",
    "2001:db8::1000/128",
)
HERE = card("192.168.1.60/24", "2001:db8::20/64", "fe80::1/64")


@pytest.mark.parametrize(
    ("cards", "family", "address"),
    [
        ([HERE], 4, "192.168.1.60"),
        ([HERE], 6, "2001:db8::20"),
        ([HERE], ANY, "192.168.1.60"),
        ([LO, card("2001:db8::20/64", "fe80::1/64")], ANY, "2001:db8::20"),
        ([card("fe80::1/64", ULA)], 6, "fd00:1::7"),
        # Linux lists the newest first: a temporary address before that which it was made beside.
        ([card(TEMPORARY, SLAAC)], 6, SLAAC[:-3]),
        ([card(SLAAC, TEMPORARY)], 6, SLAAC[:-3]),
        ([card(TEMPORARY, ULA)], 6, "fd00:1::7"),
        ([card(TEMPORARY, LEASE, ULA)], 6, "2001:db8::1000"),
        ([card("2001:0DB8:0:0::20/64")], 6, "2001:db8::20"),
    ],
)
def test_the_address_of_a_family(cards, family, address):
    assert address_in({"result": cards}, GUEST._replace(family=family)).address == address


def test_all_addresses_of_the_card_come_with_it():
    told = address_in({"result": [HERE, card("10.0.0.9/24", mac=OTHER)]}, GUEST)
    assert told.addresses == ("192.168.1.60", "2001:db8::20")


def test_another_card_by_its_name():
    cards = {"result": [HERE, card("10.0.0.9/24", name="eth1", mac=OTHER), card("10.4.0.1/24", name="cni0")]}
    assert address_in(cards, GUEST._replace(card="eth1")).address == "10.0.0.9"
    assert address_in(cards, GUEST._replace(card="cni0")).address == "10.4.0.1"
    assert "the card eth2 is not among" in address_in(cards, GUEST._replace(card="eth2")).reason


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["192.168.1.60/24"], "has no IPv6 address yet, only 192.168.1.60"),
        (["fe80::1/64"], "has no IPv6 address yet"),
        (["::1/128"], "has no IPv6 address yet"),
        (["ff02::1/16"], "has no IPv6 address yet"),
        (["fec0::1/64"], "has no IPv6 address yet"),
        (["::ffff:192.168.1.60/120"], "has no IPv6 address yet"),
        (["64:ff9b::1/96"], "has no IPv6 address yet"),
        (["2001:db8::1%eth0 ansible_connection=local/64"], "has no IPv6 address yet"),
        (["2001:db8::/64"], "has no IPv6 address yet"),
        (["2001:db8::20/0"], "has no IPv6 address yet"),
        (["2001:db8::20/129"], "has no IPv6 address yet"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_no_ipv6_address(addresses, reason):
    told = address_in({"result": [card(*addresses)]}, GUEST._replace(family=6))
    assert told.address == ""
    assert told.reason.endswith(reason)


def test_a_machine_with_ipv6_alone_says_so():
    told = address_in({"result": [card("2001:db8::20/64")]}, GUEST)
    assert told.reason == f"the card with the MAC address {MAC} has no IPv4 address yet, only 2001:db8::20"


NO_CARD, NO_ADDRESS = "is not among the cards", "has no IPv4 address yet"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"result": [LO]}, NO_CARD),
        ({"result": [LO, card("192.168.1.60/24", mac=OTHER)]}, NO_CARD),
        ({"result": [card("172.17.0.1/16", name="docker0")]}, NO_CARD),
        ({"result": [card("fe80::1/64")]}, NO_ADDRESS),
        ({"result": [card("127.0.0.1/8")]}, NO_ADDRESS),
        ({"result": [card("0.0.0.0/0")]}, NO_ADDRESS),
        ({"result": [card("224.0.0.5/24")]}, NO_ADDRESS),
        ({"result": [card("255.255.255.255/32")]}, NO_ADDRESS),
        ({"result": [card("192.168.1.255/24")]}, NO_ADDRESS),
        ({"result": [card("192.168.1.0/24")]}, NO_ADDRESS),
        ({"result": [card("192.168.1.60/99")]}, NO_ADDRESS),
        ({"result": [card() | {"ip-addresses": [{"ip-address": "1.2.3.4 ansible_connection=local", "prefix": 24}]}]},
         NO_ADDRESS),
        ({"result": [card() | {"ip-addresses": [{"ip-address": ["192.168.1.60"], "prefix": 24}, 5, None, {}]}]},
         NO_ADDRESS),
        ({"result": [card() | {"ip-addresses": [{"ip-address": "192.168.1.60", "prefix": 1e400}]}]}, NO_ADDRESS),
        ({"result": [card() | {"ip-addresses": "192.168.1.60"}]}, NO_ADDRESS),
        ({"result": [card() | {"ip-addresses": None}]}, NO_ADDRESS),
        ({"result": [*[LO] * agent.MOST, card("192.168.1.60/24")]}, NO_CARD),
        ({"result": [card() | {"hardware-address": 5}, "eth0", None, [], {}]}, NO_CARD),
        ({"result": {"error": {"class": "GenericError"}}}, "cannot be read"),
        ({"result": {"error": {"class": "CommandNotFound", "desc": "it is disabled"}}}, "read: it is disabled"),
        ({"result": {"error": {"desc": ["x"]}}}, "cannot be read"),
        ([card("192.168.1.60/24")], "cannot be read"),
        (None, "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_address(answer, reason):
    told = address_in(answer, GUEST)
    assert (told.address, told.final) == ("", False)
    assert reason in told.reason


@pytest.mark.parametrize(
    ("answer", "reason", "final"),
    [
        ((500, "No QEMU guest agent configured", {}), "no guest agent is configured; set agent: true", True),
        ((500, "VM 105 is not running", {}), "the machine does not run", False),
        ((500, "QEMU guest agent is not running", {}), "its guest agent does not run; the template must", False),
        ((595, "No route to host", {}), "node node01 does not answer", False),
        ((403, "Permission check failed (/vms/105, VM.GuestAgent.Audit)", {}), "lacks a right for GET", True),
        ((500, "boom", {"message": "VM 105 qmp command failed - got timeout\n"}), "got timeout", False),
        ((200, "OK", {"data": {"result": "x" * agent.MOST_BYTES}}), "more than 1048576 bytes", False),
        ((200, "OK", "hang up"), "is down or out of reach", False),
    ],
)  # fmt: skip
def test_errors_are_told_apart(tmp_path, use, answer, reason, final):
    pem = certificate(tmp_path)
    with serving(pem, {PATH.format(105): answer}) as endpoint:
        told = agent.ask(use(endpoint, pem), GUEST)
    assert (told.address, told.final) == ("", final)
    assert reason in told.reason
    # A machine whose own words are the reason may be asked for another reason again.
    assert told.trouble == (answer[0] in (403, 595) or answer[2] == "hang up")


def told(*cards: dict) -> tuple:
    return 200, "OK", {"data": {"result": list(cards)}}


def test_all_are_asked_at_once_and_each_until_it_tells(tmp_path, use, monkeypatch):
    monkeypatch.setattr(agent, "PAUSE", 0.1)
    silent = (500, "QEMU guest agent is not running", {})
    answers = {PATH.format(vmid): [silent, silent, told(card(f"10.0.0.{vmid}/24"))] for vmid in (1, 2, 3)}
    answers |= {PATH.format(4): silent, PATH.format(5): (500, "No QEMU guest agent configured", {})}
    pem, asked = certificate(tmp_path), []
    guests = {f"vm-{vmid}": GUEST._replace(vmid=vmid, seconds=3) for vmid in range(1, 6)}
    start = time.monotonic()
    with serving(pem, answers, asked) as endpoint:
        found = agent.ask_all(use(endpoint, pem), guests)
    assert {name: one.address for name, one in found.items()} == {
        "vm-1": "10.0.0.1", "vm-2": "10.0.0.2", "vm-3": "10.0.0.3", "vm-4": "", "vm-5": "",
    }  # fmt: skip
    assert "does not run" in found["vm-4"].reason
    assert sum(path == PATH.format(5) for _, path, _ in asked) == 1, "asking again would not help"
    assert 3 <= time.monotonic() - start < 6, "all wait together, and no longer than they may"


def test_a_long_wait_says_what_it_waits_for(tmp_path, use, monkeypatch, capsys):
    monkeypatch.setattr(agent, "SAID", 0.5)
    pem = certificate(tmp_path)
    answers = {PATH.format(105): (500, "QEMU guest agent is not running", {})}
    with serving(pem, answers) as endpoint:
        agent.ask_all(use(endpoint, pem), {"k8s-dev": GUEST._replace(seconds=2.5)})
    said = capsys.readouterr().err.splitlines()
    assert (
        "waiting for the guest agent to tell the address of k8s-dev, 0 s: its guest agent does not run"
        in said[0]
    )
    assert len(said) == 2


def test_many_silent_machines_hold_up_no_other(tmp_path, use, monkeypatch, caplog):
    """Each is asked in turn, however few connections there are."""
    monkeypatch.setattr(agent, "PAUSE", 0.1)
    silent = (500, "QEMU guest agent is not running", {})
    answers = {PATH.format(vmid): silent for vmid in range(1, 40)}
    answers[PATH.format(40)] = [silent, told(card("10.0.0.40/24"))]
    pem = certificate(tmp_path)
    guests = {
        f"vm-{vmid}": GUEST._replace(vmid=vmid, seconds=5 if vmid == 40 else 1) for vmid in range(1, 41)
    }
    with serving(pem, answers) as endpoint:
        found = agent.ask_all(use(endpoint, pem), guests)
    assert [name for name, one in found.items() if one.address] == ["vm-40"]
    assert caplog.text == ""
