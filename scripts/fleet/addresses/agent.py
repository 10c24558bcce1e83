"""What the QEMU guest agent says of a machine's addresses.

The answer comes from inside the guest, whose owner may lie: it is taken apart without trust in any type or size, and
nothing of it but a usable address is passed on.
"""

import concurrent.futures
import ipaddress
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.console import note
from fleet.findings import Fault
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused
from fleet.proxmox.tls import CONNECTIONS
from fleet.vms.addresses import unusable

MOST_BYTES = 1 << 20  # of an answer; that of a node with hundreds of containers is about 100 kB
MOST = 1000  # network cards, and addresses of a card, that are looked at
PAUSE = 2  # seconds between two questions
SAID = 10  # seconds between two reports of what is waited for
# Links that the guest makes for its containers, which may carry the MAC address of its card.
_OF_CONTAINERS = ("docker", "br-", "cni", "flannel", "veth", "cali", "cilium", "lxc", "virbr", "kube-")


class Guest(NamedTuple):
    """Whom to ask, for how many seconds at most; `mac`: of its first card; `last`: the address that it had."""

    node: str
    vmid: int
    mac: str
    seconds: float
    last: str = ""


class Answer(NamedTuple):
    """The address, or "" and why there is none; `final`: asking again would not help."""

    address: str
    reason: str = ""
    final: bool = False


def ask_all(client: Client, guests: Mapping[str, Guest]) -> dict[str, Answer]:
    """Ask all machines at once, in rounds, each until it tells its address or its time is over.

    Says what it waits for.
    """
    start = said = time.monotonic()
    answers: dict[str, Answer] = {}
    left = list(guests)
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        while left:
            answers |= zip(left, pool.map(lambda name: ask(client, guests[name]), left), strict=True)
            past = time.monotonic() - start
            left = [
                name
                for name in left
                if not (answers[name].address or answers[name].final) and past < guests[name].seconds
            ]
            if left and time.monotonic() - said >= SAID:
                said = time.monotonic()
                names = ", ".join(sorted(left))
                note(f"waiting for the guest agent to tell the address of {names}, {past:.0f} s")
            if left:
                time.sleep(min(PAUSE, max(guests[name].seconds for name in left) - past))
    return answers


def ask(client: Client, guest: Guest) -> Answer:
    """Ask one machine once. Raises no Fault: what is wrong is the answer's reason."""
    path = f"nodes/{guest.node}/qemu/{guest.vmid}/agent/network-get-interfaces"
    try:
        return address_in(client.get(path, most=MOST_BYTES), guest)
    except Refused as refused:
        text = str(refused)
        if refused.status == 595:
            return Answer("", f"node {guest.node} does not answer")
        if refused.status in (401, 403):
            return Answer("", text, final=True)
        if "No QEMU guest agent configured" in text:
            reason = (
                "Proxmox does not ask its guest agent; set agent: true in its file and restart the machine"
            )
            return Answer("", reason, final=True)
        if "guest agent is not running" in text:
            reason = "its guest agent does not run; the template must contain qemu-guest-agent"
            return Answer("", reason)
        if "is not running" in text:
            return Answer("", "the machine does not run")
        return Answer("", text)
    except Fault as fault:
        return Answer("", str(fault))


def address_in(answer: Any, guest: Guest) -> Answer:
    """The IPv4 address of the first card in an answer: the one that it had, else the first that is not a /32.

    A virtual address, which moves from one machine to the next, is usually a /32.
    """
    cards = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(cards, list):
        return Answer("", "its guest agent's answer cannot be read")
    mine = [card for card in cards[:MOST] if isinstance(card, dict) and _is_first(card, guest.mac)]
    found = [one for card in mine for one in _ipv4(card)]
    if not found:
        what = "has no IPv4 address yet" if mine else "is not among the cards that its guest agent lists"
        return Answer("", f"the card with the MAC address {guest.mac} {what}")
    last = [one for one in found if str(one.ip) == guest.last]
    lasting = [one for one in found if one.network.prefixlen < 32]
    return Answer(str((last or lasting or found)[0].ip))


def _is_first(card: Mapping[str, Any], mac: str) -> bool:
    name, own = card.get("name"), card.get("hardware-address")
    known = isinstance(name, str) and isinstance(own, str) and own
    return bool(known) and own.lower() == mac.lower() and not name.startswith(_OF_CONTAINERS)


def _ipv4(card: Mapping[str, Any]) -> Iterator[ipaddress.IPv4Interface]:
    """The addresses of a card that a machine can have."""
    given = card.get("ip-addresses")
    for one in given[:MOST] if isinstance(given, list) else ():
        try:
            interface = ipaddress.IPv4Interface((str(one["ip-address"]), int(one["prefix"])))
        except (ValueError, KeyError, TypeError, OverflowError):
            continue  # IPv6, or nothing that can be used
        if not unusable(interface):
            yield interface
