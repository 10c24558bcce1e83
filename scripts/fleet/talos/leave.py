"""Leaving a Talos cluster: without pods, out of etcd, switched off, without a Node. The machine is destroyed then.

A machine that answers is reset, which takes it out of etcd and wipes Talos' configuration and data. One that does not
is removed from etcd by another control plane. Kubernetes is asked as for K3s, with the kubeconfig in Vault.
It has more than 150 lines because the steps of leaving share how, and by whom, the cluster is asked.
"""

import base64
import ipaddress
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, listed, printable
from fleet.members import access as members_access
from fleet.members import leave
from fleet.members import place as places
from fleet.members.access import Access
from fleet.members.api import Api
from fleet.members.departures import Asked, Vault
from fleet.members.place import Place, State
from fleet.members.tokens import Tokens
from fleet.names import is_control_plane, is_talos
from fleet.talos import bundle, health, node, settings
from fleet.talos.cluster import Node
from fleet.talos.node import Member
from fleet.talos.talosctl import LEAVING, Talosctl, located

RESET = 300  # seconds until a machine that is reset has left etcd and is off
PAUSE = 2
# Wiped whole, the disk would not boot again where its machine is kept after all.
WIPE = ("--system-labels-to-wipe=STATE", "--system-labels-to-wipe=EPHEMERAL")


class Talos(NamedTuple):
    """A Talos cluster as members/departures.py asks it."""

    place: Place
    nodes: Mapping[str, Node]  # by name, as far as their addresses are known
    talosconfig: str
    talosctl: Talosctl

    def state(self, server: Api) -> State:
        members = self._etcd()
        voters = {one.name for one in members if one.name and not one.learner}
        well = {name for name in voters if places.is_well(self.place, server, name, self._address(name))}
        joining = {one.name or one.id for one in members if one.learner or not one.name}
        return State(frozenset(voters), frozenset(well), frozenset(joining))

    def leave(self, name: str, seconds: float, say: Callable[[str], None]) -> bool:
        server = places.api(self.place, [name])
        found = server.get("node", name)
        self._keeps_quorum(server, name)
        answers = self._answers(name, found)
        leave.drained(server, found, seconds, say)
        if answers:
            self._reset(server, found, say)
        return self._out(server, name, say) or answers

    def forget(self, name: str, say: Callable[[str], None]) -> bool:
        server = places.api(self.place, [name])
        self._keeps_quorum(server, name)
        return self._out(server, name, say)

    def _keeps_quorum(self, server: Api, name: str) -> None:
        if is_control_plane(name) and (reason := places.lost(self.place.cluster, self.state(server), [name])):
            raise Fault(reason)

    def _out(self, server: Api, name: str, say: Callable[[str], None]) -> bool:
        changed = self._remove(name, say)
        changed |= server.delete("node", name)
        return leave.gone(self.place.cluster, server, name, lambda: self._names([name]), say) or changed

    def would(self, name: str) -> str:
        said = leave.would(self.place, name)
        if self._answers(name, places.api(self.place, [name]).get("node", name)):
            return f"{said}; its machine would be reset, and be off"
        if is_control_plane(name) and name in self._names([name]):
            return f"{said}; its machine does not answer, and would be removed from etcd"
        return said

    def _answers(self, name: str, found: Any) -> bool:
        """Whether the machine can be told to leave. Raises Fault when it may be another's, which would be wiped."""
        machine = self.nodes.get(name)
        if machine is None or found is None:
            return False
        if node.look(self.talosctl, self.talosconfig, machine).state is not node.State.MEMBER:
            return False
        own = {one.address for one in found.status.addresses or [] if one.type == "InternalIP"}
        if machine.address not in {_normal(address) for address in own}:
            raise Fault(
                f"a member answers at {machine.address}, the address of {name} in the inventory, and the Node {name} is"
                f" at {printable(listed(sorted(own))) or 'none'}; correct the inventory, or delete the Node if it is"
                " that of an earlier machine"
            )
        return True

    def _reset(self, server: Api, found: Any, say: Callable[[str], None]) -> None:
        name = found.metadata.name
        machine = self.nodes[name]
        done = self.talosctl.ask(self.talosconfig, machine, "reset", "--graceful", "--wait=false", *WIPE)
        if done.code and node.look(self.talosctl, self.talosconfig, machine).state is node.State.MEMBER:
            leave.of_use(server, found)
            raise Fault(f"{name} refuses its reset: {done.problem}")
        end, told = time.monotonic() + RESET, ""
        while waits := self._still(machine):
            if time.monotonic() > end:
                raise Fault(
                    f"{waits} {RESET} s after its reset began; see `talosctl --nodes {machine.address} dmesg`"
                )
            if waits != told:
                say(f"{waits}; waiting for its reset")
                told = waits
            time.sleep(PAUSE)

    def _still(self, machine: Node) -> str:
        """What a machine that is reset has not done yet; "" when it has."""
        try:
            if machine.control_plane and machine.name in self._names([machine.name]):
                return f"{machine.name} is still in etcd"
        except Fault as fault:  # for a moment, when the leader left
            return str(fault)
        seen = node.look(self.talosctl, self.talosconfig, machine)
        return f"{machine.name} still runs" if seen.state is node.State.MEMBER else ""

    def _remove(self, name: str, say: Callable[[str], None]) -> bool:
        """Have another control plane take a member out of etcd; False when it was not in it."""
        ids = [one.id for one in self._etcd([name]) if one.name == name] if is_control_plane(name) else []
        for one in ids:
            say(f"{name} does not answer, so it is removed from etcd")
            health.remove_from_etcd(one, self._planes([name]), self.talosconfig, self.talosctl)
        return bool(ids)

    def _etcd(self, leaving: Collection[str] = ()) -> tuple[Member, ...]:
        return health.etcd_of(self._planes(leaving), self.talosconfig, self.talosctl)

    def _names(self, leaving: Collection[str]) -> set[str]:
        return {one.name for one in self._etcd(leaving)}

    def _planes(self, leaving: Collection[str]) -> list[Node]:
        """The control planes, those that stay first."""
        return sorted(
            (one for one in self.nodes.values() if one.control_plane),
            key=lambda one: (one.name in leaving, one.name),
        )

    def _address(self, name: str) -> str:
        return self.nodes[name].address if name in self.nodes else ""


def find(cluster: str, members: Mapping[str, str], vault: Vault) -> Asked | None:
    """How a cluster is asked, of either kind: members/departures.py's `Find`. Raises Fault."""
    if not any(map(is_talos, members)):
        return leave.k3s(cluster, members, vault)
    known = members_access.administrator(cluster, *vault)
    secret = bundle.secret(cluster, *vault)
    secrets = bundle.read(secret.read().data, secret.place)
    if known is None and secrets is None:
        return None
    if known is None or secrets is None:
        lacks = f"the secrets of {cluster} ({secret.place})" if known else f"the kubeconfig of {cluster}"
        raise Fault(f"Vault does not have {lacks}; run the playbook talos, or restore it", code=2)
    if base64.b64decode(secrets.kubernetes_authority).decode() != known.authority:
        raise Fault(f"Vault's kubeconfig of {cluster} has another authority than the secrets in Vault")
    nodes = {
        name: Node(name, settings.address(name, address), is_control_plane(name))
        for name, address in members.items()
        if address
    }
    planes = {one.name: one.address for one in nodes.values() if one.control_plane}
    # Only K3s has tokens; with this Kubernetes alone is asked.
    access = Access(Tokens("", "", ""), known.authority, known.context)
    where = Place(cluster, planes, known.host, access)
    return Talos(where, nodes, secrets.talosconfig, Talosctl(located(LEAVING)))


def _normal(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
