"""What the QEMU guest agent says of a machine's addresses.

The answer comes from inside the guest, whose owner may lie: it is taken apart without trust in any type or size, and
nothing of it but usable addresses is passed on.

More than 150 lines because this is the only judge of such an answer.
"""

import concurrent.futures
import ipaddress
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fleet.console import note
from fleet.findings import Fault, cut, listed, printable
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused, Unanswered
from fleet.proxmox.tls import CONNECTIONS
from fleet.vms.addresses import Interface, unusable

MOST_BYTES = 1 << 20  # of an answer; that of a node with hundreds of containers is about 100 kB
MOST = 1000  # network cards, and addresses of a card, that are looked at
PAUSE = 2  # seconds between two questions
SAID = 10  # seconds between two reports of what is waited for
ANY = 0  # family: IPv4, and where there is none IPv6
# Global unicast and unique local: what others may reach.
_REACHABLE = tuple(map(ipaddress.IPv6Network, ("2000::/3", "fc00::/7")))
_HALF = (1 << 64) - 1
# Links that the guest makes for its containers, which may carry the MAC address of its card.
_OF_CONTAINERS = ("docker", "br-", "cni", "flannel", "veth", "cali", "cilium", "lxc", "virbr", "kube-")


class Guest(NamedTuple):
    """Whom to ask, for how many seconds at most; `mac`: of its first card; `last`: the address that it had.

    `family` is 4, 6 or ANY. With `card` it is the card of that name in the guest, and not the first.
    """

    node: str
    vmid: int
    mac: str
    seconds: float
    last: str = ""
    family: int = 4
    card: str = ""


class Answer(NamedTuple):
    """The address, or "" and why there is none; `final`: asking again would not help.

    `addresses`: all of the card, of both families. `trouble`: Proxmox did not answer, so the machine may have one.
    """

    address: str
    reason: str = ""
    final: bool = False
    addresses: tuple[str, ...] = ()
    trouble: bool = False


NOT_CONFIGURED = Answer(
    "",
    "no guest agent is configured; set agent: true in its VM file, or its option agent to 1 in Proxmox, and restart"
    " the machine",
    final=True,
)


def ask_all(client: Client, guests: Mapping[str, Guest]) -> dict[str, Answer]:
    """Ask all machines at once, in rounds, each until it tells its address or its time is over.

    Says what it waits for, the first time at once.
    """
    start = time.monotonic()
    said = -math.inf
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
                why = f": {printable(answers[left[0]].reason)[:200]}" if len(left) == 1 else ""
                names = listed(sorted(left))
                note(f"waiting for the guest agent to tell the address of {names}, {past:.0f} s{why}")
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
            return Answer("", f"node {guest.node} does not answer", trouble=True)
        if refused.status in (401, 403):
            return Answer("", text, final=True, trouble=True)
        if "No QEMU guest agent configured" in text:
            return NOT_CONFIGURED
        if "guest agent is not running" in text:
            reason = "its guest agent does not run; the template must contain qemu-guest-agent"
            return Answer("", reason)
        if "is not running" in text:
            return Answer("", "the machine does not run; start it")
        return Answer("", text)
    except Fault as fault:
        return Answer("", str(fault), trouble=isinstance(fault, Unanswered))


def address_in(answer: Any, guest: Guest) -> Answer:
    """The address of the first card in an answer: the one that it had, else the one that is likeliest to last."""
    cards = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(cards, list):
        return Answer("", f"its guest agent's answer cannot be read{_error_in(cards)}")
    mine = [card for card in cards[:MOST] if isinstance(card, dict) and _is_meant(card, guest)]
    usable = [one for card in mine for one in _usable(card)]
    families = {version: _lasting_first(usable, version, guest.mac) for version in (4, 6)}
    every = (*families[4], *families[6])
    found = every if guest.family == ANY else families[guest.family]
    if found:
        return Answer(guest.last if guest.last in found else found[0], addresses=every)
    card = f"card {guest.card}" if guest.card else f"card with the MAC address {guest.mac}"
    if not mine:
        return Answer("", f"the {card} is not among the cards that its guest agent lists")
    kind = "address" if guest.family == ANY else f"IPv{guest.family} address"
    other = f", only {every[0]}" if every else ""
    return Answer("", f"the {card} has no {kind} yet{other}", addresses=every)


def _error_in(result: Any) -> str:
    """The agent's own words, as where somebody disabled the command in the guest."""
    error = result.get("error") if isinstance(result, dict) else None
    words = error.get("desc") if isinstance(error, dict) else None
    return f": {cut(words)}" if isinstance(words, str) else ""


def _is_meant(card: Mapping[str, Any], guest: Guest) -> bool:
    name, own = card.get("name"), card.get("hardware-address")
    if guest.card:
        return name == guest.card
    known = isinstance(name, str) and isinstance(own, str) and own
    return bool(known) and own.lower() == guest.mac.lower() and not name.startswith(_OF_CONTAINERS)


def _usable(card: Mapping[str, Any]) -> Iterator[Interface]:
    """The addresses of a card that a machine can have."""
    given = card.get("ip-addresses")
    for one in given[:MOST] if isinstance(given, list) else ():
        try:
            text = str(one["ip-address"])
            interface = ipaddress.ip_interface((text, int(one["prefix"])))
        except (ValueError, KeyError, TypeError, OverflowError):
            continue  # nothing that can be used
        if "%" in text or unusable(interface):  # a % begins the name of a link
            continue
        if interface.version == 4 or any(interface.ip in network for network in _REACHABLE):
            yield interface


def _lasting_first(found: Iterable[Interface], version: int, mac: str) -> tuple[str, ...]:
    """A virtual address, which moves from one machine to the next, is usually a /32.

    The agent's protocol does not tell which IPv6 addresses are temporary. The one that is made of the MAC address
    is not, nor is a /128, which a DHCP server gave; and Linux lists the newest of the others first.
    """
    mine = [one for one in found if one.version == version]
    if version == 4:
        mine.sort(key=lambda one: one.network.prefixlen == 32)
    else:
        mine.reverse()
        mine.sort(key=lambda one: (int(one.ip) & _HALF != _eui64(mac), one.network.prefixlen < 128))
    return tuple(dict.fromkeys(str(one.ip) for one in mine))


def _eui64(mac: str) -> int:
    """The lower half of the IPv6 address that is made of a MAC address; -1 without one."""
    try:
        octets = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        return -1
    return (
        int.from_bytes(bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]))
        if len(octets) == 6
        else -1
    )
