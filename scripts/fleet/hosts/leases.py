"""The addresses of machines on DHCP: asked of their guest agents, and held against those that others have.

A machine that claims another's address would have that one's plays run on it, or its own plays run there.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.addresses import agent
from fleet.ansible.host import Host
from fleet.ansible.inventory import Inventory
from fleet.console import note
from fleet.findings import Finding, printable
from fleet.proxmox.client import Client
from fleet.terraform.outputs import Machine
from fleet.vms.files import VM

WAIT = 120  # seconds for a machine that was never met: it boots
AGAIN = 10  # seconds for one that keeps its last address meanwhile


class Taken(NamedTuple):
    """Whose addresses are taken. `addresses`: what VM files give away, each with what has it and where.

    `inventory` was read from `path`; `adopt`: the machines whose lines by hand take Terraform's values.
    """

    addresses: Mapping[str, str]
    inventory: Inventory
    path: str
    adopt: Collection[str] = ()


class Found(NamedTuple):
    """By machine: its address, why it is not known, why the address that it claims is not used."""

    addresses: dict[str, str]
    unknown: dict[str, str]
    refused: dict[str, str]


def find(client: Client, machines: Mapping[str, Machine], ask: Collection[str], taken: Taken,
         wait: float = WAIT) -> Found:  # fmt: skip
    """Ask these machines for their addresses, all at once, a new one for at most `wait` seconds.

    `machines`: all of Terraform's outputs.
    """
    guests = {}
    for name in ask:
        one, last = machines[name], known_before(name, machines[name], taken.inventory)
        seconds = min(AGAIN, wait) if last else wait
        guests[name] = agent.Guest(one.node, one.vmid, one.mac, seconds, last)
    answers = agent.ask_all(client, guests) if guests else {}
    told = {name: answer.address for name, answer in answers.items() if answer.address}
    # The words may be the guest's.
    unknown = {name: printable(one.reason)[:300] for name, one in answers.items() if not one.address}
    endpoint = {urlsplit(client.url).hostname or "": "that of Proxmox's API (PROXMOX_VE_ENDPOINT)"}
    refused = judge(told, machines, taken._replace(addresses={**taken.addresses, **endpoint}))
    for name, address in told.items():
        if name not in refused and address != guests[name].last:
            before = f", {guests[name].last} before" if guests[name].last else ""
            note(f"{name}: its guest agent tells the address {address}{before}")
    accepted = {name: address for name, address in told.items() if name not in refused}
    return Found(accepted, unknown, refused)


def findings(
    found: Found, files: Mapping[str, VM], machines: Mapping[str, Machine], inventory: Inventory
) -> list[Finding]:
    """What to report of the machines that have no address now, each at its VM file, where there is one.

    Only for a machine that keeps its inventory line it is a warning: nobody else's push is red for that.
    """
    reported = [
        _finding(files, name, f"its guest agent tells {why}; so it is not used")
        for name, why in found.refused.items()
    ]
    for name, why in found.unknown.items():
        last = known_before(name, machines[name], inventory)
        message = f"the address of {name} is not known: {why}; the next run asks again"
        message += (
            f", and its inventory line keeps {last}" if last else ", and until then it has no inventory line"
        )
        reported.append(_finding(files, name, message, "warning" if last else "error"))
    return reported


def _finding(files: Mapping[str, VM], name: str, message: str, level: str = "error") -> Finding:
    vm = files.get(name)  # none where the file is gone and the machine kept
    return vm.finding("ipconfig0", message, level) if vm else Finding(f"{name}: {message}", level=level)


def known_before(name: str, machine: Machine, inventory: Inventory) -> str:
    """The address on the inventory's line; "" for another machine of that name, which was destroyed."""
    host = inventory.managed().get(name)
    is_same = host and host.marks.get("mac", machine.mac).lower() == machine.mac.lower()
    return host.address or "" if host and is_same else ""


def judge(told: Mapping[str, str], machines: Mapping[str, Machine], taken: Taken) -> dict[str, str]:
    """Why an address that a machine told is not used: each such machine with what has the address."""
    refused: dict[str, str] = {}
    while more := _refused({name: told[name] for name in told if name not in refused}, told, machines, taken):
        refused |= more  # each keeps its last address, which nobody else may have
    return refused


def _refused(
    good: Mapping[str, str], told: Mapping[str, str], machines: Mapping[str, Machine], taken: Taken
) -> dict[str, str]:
    owners = {one.address: f"that of {name} in Terraform's outputs" for name, one in machines.items()}
    owners |= taken.addresses
    by_hand: dict[str, Host] = {}
    for host in taken.inventory.hosts:
        place = f"{taken.path}:{host.line + 1}"
        if host.managed:
            name = host.names[0]
            if name in machines and name not in good and not machines[name].address:
                owners.setdefault(host.address or "", f"the last one of {name} ({place}), which has no other")
        elif told.keys() & set(host.names):
            by_hand |= dict.fromkeys(host.names, host) if host.address else {}
        elif host.address:
            owners.setdefault(host.address, f"that of {host.pattern} ({place})")
    refused: dict[str, str] = {}
    for name, address in good.items():
        line = by_hand.get(name)
        twins = sorted(other for other, its in told.items() if its == address and other != name)
        if owner := owners.get(address):
            refused[name] = f"{address}, which is {owner}"
        elif twins:
            refused[name] = f"{address}, which {' and '.join(twins)} {'tell' if twins[1:] else 'tells'} too"
        elif line and line.address != address and not {name, "all"} & {*taken.adopt}:
            refused[name] = (
                f"{address}, but {taken.path}:{line.line + 1} has it at {line.address} by hand; correct that line, or"
                f" commit with [adopt {name}] to take the machine's own address"
            )
    return refused
