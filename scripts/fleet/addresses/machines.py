"""Which machines of the cluster are meant, and what their guest agents tell of their addresses.

One call lists the cluster; each machine then costs two, its configuration and its agent. The first cannot be saved:
nothing else tells which MAC address net0 has, and so which of the cards that the agent lists is the machine's own.
"""

import concurrent.futures
import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fleet.addresses import agent
from fleet.addresses.agent import Answer
from fleet.findings import Fault, listed
from fleet.proxmox import properties
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused
from fleet.proxmox.guest import Guest
from fleet.proxmox.tls import CONNECTIONS

_OFF = ("0", "off", "no", "false")


class Machine(NamedTuple):
    """`config` is empty where it could not be read; then `answer` says why."""

    guest: Guest
    config: Mapping[str, Any]
    answer: Answer = Answer("")

    @property
    def name(self) -> str:
        # The list of the cluster has no name for a guest that is seconds old.
        return str(self.config.get("name") or self.guest.name)

    @property
    def mac(self) -> str:
        return properties.mac(str(self.config.get("net0") or ""))

    @property
    def label(self) -> str:
        return f"{self.name} (VMID {self.guest.vmid} on {self.guest.node})"


class Asking(NamedTuple):
    """What the machines are asked: for how many seconds at most, which family of addresses, of which card.

    `last`: the addresses that they had, by VMID.
    """

    seconds: float = 0
    family: int = agent.ANY
    card: str = ""
    last: Mapping[int, str] = {}


def one(client: Client, cluster: Sequence[Guest], name: str = "", vmid: int | None = None) -> Guest:
    """The machine of this name or VMID. Raises Fault where there is none, or several have the name."""
    found = [guest for guest in cluster if guest.vmid == vmid or (vmid is None and guest.name == name)]
    if not found and name:
        young = [guest for guest in cluster if guest.name in ("", f"VM {guest.vmid}") and not guest.container]
        found = [each.guest for each in read(client, young) if each.name == name]
    if len(found) > 1:
        places = listed(f"{_kind(guest)} {guest.vmid} on {guest.node}" for guest in found)
        raise Fault(f"{name} exists {len(found)} times, as {places}; say which with --vmid")
    if not found:
        names = [guest.name for guest in cluster if not guest.template and not guest.container]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {listed(sorted(names))}"
        raise Fault(f"Proxmox has no machine {name or f'VMID {vmid}'}, or the token may not see it: {hint}")
    if found[0].container or found[0].template:
        kind = (
            "a container, whose address only Proxmox's console shows" if found[0].container else "a template"
        )
        raise Fault(f"{found[0].name} (VMID {found[0].vmid}) is {kind}; name a machine")
    return found[0]


def running(cluster: Iterable[Guest]) -> list[Guest]:
    """The machines that run, and those of nodes that do not answer, by name."""
    found = [guest for guest in cluster if not guest.template and not guest.container]
    return sorted(
        (guest for guest in found if guest.status in ("running", "unknown")),
        key=lambda guest: (guest.name, guest.vmid),
    )


def read(client: Client, guests: Sequence[Guest]) -> list[Machine]:
    """The machines with their configurations, all asked at once. Raises Fault where Proxmox does not answer."""
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(lambda guest: _read(client, guest), guests))


def ask(client: Client, found: Sequence[Machine], asking: Asking) -> list[Machine]:
    """The same machines, each with its address or with why it has none."""
    known = {each.guest.vmid: _without_asking(each, asking) for each in found}
    twice = {name for name, count in Counter(each.name for each in found).items() if count > 1}
    labels = {each.guest.vmid: each.label if each.name in twice else each.name for each in found}
    wanted = {
        labels[each.guest.vmid]: agent.Guest(
            each.guest.node,
            each.guest.vmid,
            each.mac,
            asking.seconds,
            asking.last.get(each.guest.vmid, ""),
            asking.family,
            asking.card,
        )
        for each in found
        if not known[each.guest.vmid]
    }
    told = agent.ask_all(client, wanted) if wanted else {}
    return [each._replace(answer=known[each.guest.vmid] or told[labels[each.guest.vmid]]) for each in found]


def _read(client: Client, guest: Guest) -> Machine:
    if guest.status == "unknown":  # asking would only wait for the node
        return Machine(guest, {}, Answer("", f"node {guest.node} does not answer", trouble=True))
    try:
        return Machine(guest, client.config(guest.node, guest.vmid))
    except Refused as refused:
        if "does not exist" in str(refused):
            gone = f"it was removed or moved from {guest.node} a moment ago; run this again"
            return Machine(guest, {}, Answer("", gone))
        if refused.status == 595:
            return Machine(guest, {}, Answer("", f"node {guest.node} does not answer", trouble=True))
        return Machine(guest, {}, Answer("", str(refused), trouble=True))


def _without_asking(machine: Machine, asking: Asking) -> Answer | None:
    """Why there is no use in asking a machine's agent; None where it is to be asked."""
    if machine.answer.reason:
        return machine.answer
    agent_option = properties.parse(str(machine.config.get("agent") or "0"), "enabled")
    if agent_option.get("enabled", "0") in _OFF:
        return agent.NOT_CONFIGURED
    if not machine.mac and not asking.card:
        return Answer("", "it has no network card net0", final=True)
    return None


def _kind(guest: Guest) -> str:
    return "container" if guest.container else "VMID"
