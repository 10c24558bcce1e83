#!/usr/bin/env python3
"""Print the address of a machine in Proxmox, as its QEMU guest agent tells it.

The address is that of the machine's first network card: the card with the MAC address of net0. Loopback, link-local
addresses and the bridges of containers are left out. With --all there is one line for each machine that runs.
Reads: Proxmox's API (PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN, from the environment or .env). Writes nothing.
Exit codes: 0 each machine has an address; 1 one has none yet, or there is no such machine, and why; 2 wrong usage, or
Proxmox does not answer or refuses.
"""

import json

from fleet import cli
from fleet.addresses import agent, machines
from fleet.addresses.machines import Asking, Machine
from fleet.console import table
from fleet.findings import Finding, guarded, printable, report, visible
from fleet.proxmox.client import connect

FAMILIES = {"4": 4, "6": 6, "any": agent.ANY}
EXAMPLES = """\
examples:
  ssh ubuntu@$(scripts/proxmox_get_vm_ip.py --name web-1 --wait 120)
  scripts/proxmox_get_vm_ip.py --all --format json"""


def _entry(machine: Machine) -> dict[str, object]:
    found = machine.answer.addresses
    return {
        "name": machine.name,
        "vmid": machine.guest.vmid,
        "node": machine.guest.node,
        "mac": machine.mac,
        "address": machine.answer.address,
        "ipv4": [address for address in found if ":" not in address],
        "ipv6": [address for address in found if ":" in address],
        "reason": machine.answer.reason,
    }


def _table(found: list[Machine]) -> str:
    return table(("NAME", "ADDRESS"), ((one.name, one.answer.address or "-") for one in found))


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--name", default="", help="the machine of this name")
    which.add_argument("--vmid", type=int, help="the machine with this VMID")
    which.add_argument("--all", action="store_true", help="all machines that run")
    family = "4 or 6; any: IPv4, and where there is none IPv6 (default: %(default)s)"
    parser.add_argument("--family", choices=FAMILIES, default="4", help=family)
    card = "the card of this name inside the machine, as eth1, in place of that of net0"
    parser.add_argument("--interface", default="", metavar="NAME", help=card)
    wait = "ask for at most this many seconds, until there is an address (default: once)"
    parser.add_argument("--wait", type=float, default=0, metavar="S", help=wait)
    shape = "text: the address alone, or a table; json: a list with all addresses (default: %(default)s)"
    parser.add_argument("--format", choices=("text", "json"), default="text", help=shape)
    args = parser.parse_args(argv)
    client = connect()
    cluster = client.guests()
    chosen = machines.running(cluster) if args.all else [machines.one(client, cluster, args.name, args.vmid)]
    asking = Asking(args.wait, FAMILIES[args.family], args.interface)
    found = machines.ask(client, machines.read(client, chosen), asking)
    if args.format == "json":
        print(json.dumps([_entry(one) for one in found], indent=2))
    elif args.all:
        print(visible(_table(found)))
    elif found[0].answer.address:
        print(found[0].answer.address)
    missing = [one for one in found if not one.answer.address]
    # The words may be the guest's.
    report((Finding(f"{one.label}: {printable(one.answer.reason)[:400]}") for one in missing), "text")
    return 2 if any(one.answer.trouble for one in missing) else int(bool(missing))


if __name__ == "__main__":
    raise SystemExit(main())
