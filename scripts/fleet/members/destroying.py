"""What an apply does about members of clusters whose machines Terraform is to destroy, or to make again."""

from collections.abc import Collection, Mapping

from fleet.console import note
from fleet.findings import Fault, Finding, report
from fleet.members import departures
from fleet.members.departures import Find, Fleet

Addresses = Mapping[str, str]  # of the machines in the inventory that there are


class Stays(Exception):
    """Machines that were to be destroyed and could not leave their clusters, each with the reason."""

    def __init__(self, reasons: Mapping[str, str]):
        super().__init__(", ".join(reasons))
        self.reasons = reasons


def cannot_leave(
    approved: Collection[str],
    have: Collection[str],
    files: Collection[str],
    addresses: Addresses,
    find: Find,
) -> dict[str, str]:
    """The machines whose removal is approved and that cannot leave their clusters now, each with the reason.

    `have`: those of Terraform's state; `files`: those of the VM files.
    """
    going = frozenset(approved).intersection(have).difference(files)
    staying = frozenset(files).union(have, addresses) - going
    return departures.refused(Fleet(going, frozenset(), staying, addresses), find)


def let_leave(
    going: Collection[str],
    replaced: Collection[str],
    wanted: Collection[str],
    addresses: Addresses,
    find: Find,
    dry_run: bool,
) -> None:
    """Members leave their clusters. Raises Stays for machines to be kept, Fault for those to be made again.

    `wanted`: the machines that are there after the apply.
    """
    staying = frozenset(wanted).union(addresses).difference(going)
    fleet = Fleet(frozenset(going), frozenset(replaced), staying, addresses)
    if not dry_run:
        _leave(fleet, find)
    elif lines := departures.told(fleet, find):
        print("\n".join(lines), flush=True)


def forget(gone: Collection[str], wanted: Collection[str], addresses: Addresses, find: Find) -> list[Finding]:
    """Take out of their clusters what came back; a finding for each member that its cluster may still have.

    A K3s that is started anew between its leaving and the end of its machine joins again, and etcd would count it.
    `gone`: the destroyed machines; `wanted`: those that are there.
    """
    left = {name: address for name, address in addresses.items() if name not in gone}
    fleet = Fleet(frozenset(gone), frozenset(), frozenset(wanted).union(left).difference(gone), left)
    found = []
    for cluster, names in fleet.clusters().items():
        for name in names:
            try:
                if asked := fleet.ask(cluster, find, (None, None)):
                    asked.forget(name, note)
            except Fault as fault:
                again = f"{cluster} may still have it: run leave_cluster.py {name}"
                found.append(Finding(f"{name} is gone, and {again} ({fault})"))
    return found


def _leave(fleet: Fleet, find: Find) -> None:
    reasons = departures.refused(fleet, find) if fleet.replaced else {}
    if not reasons.keys() & fleet.replaced:  # else nothing is applied, and nobody leaves for that
        reasons = departures.depart(fleet, find, note)[1]
    if stuck := sorted(reasons.keys() & fleet.replaced):
        report(Finding(f"refused: would destroy and recreate {name}: {reasons[name]}") for name in stuck)
        raise Fault("a member is recreated only after it has left its cluster; nothing was applied")
    for cluster in fleet.ending():
        note(f"{cluster} ends with all of its control planes, so nobody leaves it")
    if reasons:
        raise Stays(reasons)
