"""What keeps a machine out of the inventory of a role: a name or an address that another one has."""

from collections import Counter
from collections.abc import Mapping

from fleet.addresses.lines import Line
from fleet.addresses.machines import Machine


def names(asked: Mapping[int, Machine], others: Mapping[int, Line]) -> dict[int, str]:
    """The machines that share their name with another: by VMID, with what is wrong."""
    labels = {vmid: machine.label for vmid, machine in asked.items()}
    called = {vmid: machine.name for vmid, machine in asked.items()}
    labels |= {vmid: f"{each.name} (VMID {vmid})" for vmid, each in others.items()}
    called |= {vmid: each.name for vmid, each in others.items()}
    found = {}
    for vmid, machine in asked.items():
        twins = [labels[other] for other, name in called.items() if name == machine.name and other != vmid]
        if twins:
            found[vmid] = f"and {' and '.join(twins)} have one name, so no line changes; rename one of them"
    return found


def addresses(
    asked: Mapping[int, Machine],
    has: Mapping[int, str],
    last: Mapping[int, str],
    others: Mapping[int, Line],
    taken: Mapping[str, str],
) -> dict[int, str]:
    """Why a machine's address is not used: by VMID, with who has it. It would be played in that one's place."""
    by_others = {
        each.address: f"that of {each.name} (VMID {vmid}) in this file" for vmid, each in others.items()
    }
    sharing = Counter(has.values())
    refused: dict[int, str] = {}
    while True:
        kept = {
            address: f"the last one of {asked[vmid].label}, whose line keeps it; start that one, or remove its line"
            for vmid, address in last.items()
            if vmid in refused or not has[vmid]
        }
        owners = kept | by_others | taken
        more = {}
        for vmid, address in has.items():
            if not address or vmid in refused:
                continue
            twins = [asked[other].label for other in has if has[other] == address and other != vmid]
            if sharing[address] > 1:
                more[vmid] = f"has {address}, which {' and '.join(twins)} has too; so it is not used"
            elif address in owners:
                more[vmid] = f"has {address}, which is {owners[address]}; so it is not used"
        if not more:
            return refused
        refused |= more  # each keeps its last address, which nobody else may have
