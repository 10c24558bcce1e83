"""What is to be done with a K3s cluster: who starts it, or whom the others join, or why nothing may be done."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from fleet.findings import Fault, listed
from fleet.members import ask
from fleet.members.ask import Answer
from fleet.members.cluster import Cluster, Member
from fleet.members.described import problems
from fleet.members.tokens import Store, Tokens

PATIENCE = 6  # seconds in which a machine must answer before it counts as silent


class Plan(NamedTuple):
    refused: tuple[str, ...]  # why nothing may be done, each with the way out; empty when it may
    starts: str = ""  # the control plane that starts the cluster; "" when it runs
    joins: str = ""  # the control plane that the others join; "" while the cluster does not run
    tokens: Tokens = Tokens("", "", "")


class Wish(NamedTuple):
    """How the plan is to be made."""

    known: bool  # Vault's kubeconfig has the cluster
    force: bool = False  # k8s_ha_force_init: start it although it is known
    check: bool = False  # write nothing
    wait: float = 300  # seconds for a cluster that another run is starting


def answers(planes: tuple[Member, ...], seconds: float = PATIENCE) -> dict[str, Answer]:
    """What every control plane answers; when none is up they are asked again until then."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(max(len(planes), 1)) as pool:
        while True:
            found = list(pool.map(lambda one: ask.answer(one.address), planes))
            if any(one.state == "alive" for one in found) or time.monotonic() > end:
                return {one.name: said for one, said in zip(planes, found, strict=True)}
            time.sleep(0.5)


def plan(
    cluster: Cluster,
    store: Store,
    wish: Wish,
    asked: Callable[[tuple[Member, ...]], Mapping[str, Answer]] = answers,
) -> Plan:
    """The plan for one cluster. A new one gets a token and a starter in Vault, unless `wish.check`. Raises Fault."""
    if found := problems(cluster):
        return Plan(tuple(found))
    end = time.monotonic() + wish.wait
    while True:
        said, tokens = asked(cluster.control_planes), store.read()
        made, again = _decided(cluster, said, tokens, wish)
        if not again or time.monotonic() > end:
            return made if made.refused or not made.starts else _claimed(made, store, wish)
        time.sleep(2)


def _decided(cluster: Cluster, said: Mapping[str, Answer], tokens: Tokens, wish: Wish) -> tuple[Plan, bool]:
    """The plan by what is seen, and whether another look may change it: another run is starting the cluster."""
    alive = [one for one in cluster.control_planes if said[one.name].state == "alive"]
    busy = [f"{name} ({answer.problem})" for name, answer in said.items() if answer.state == "busy"]
    if tokens.authority and (foreign := _foreign(alive, said, tokens)):
        return Plan((foreign,)), False
    if alive and tokens.authority:
        others = [one for one in alive if one.settings is None]
        return Plan((), joins=(others or alive)[0].name, tokens=tokens), False
    starter = next((one for one in cluster.control_planes if one.name == tokens.starter), None)
    if starter and (starter.settings is not None) and all(one.name == starter.name for one in alive):
        return Plan((), starts=starter.name, tokens=tokens), False  # a run was killed between token and start
    if starter and starter.settings is None:
        waiting = (
            f"{starter.name} is to start {cluster.name} and has not yet. Run k8s-ha.yml for {starter.name} (again), or"
            f" remove the field starter of kv/cluster-bootstrap/{cluster.name} in Vault"
        )
        return Plan((waiting,)), True
    if alive:
        return Plan((_unknown(cluster, alive[0]),)), False
    if busy:
        return Plan(
            (f"{listed(busy)} on port 6443: wait until it is up, or see its journal and repair it",)
        ), True
    if (wish.known or tokens.server_token) and not wish.force:
        return Plan((_lost(cluster),)), False
    lowest = next((one for one in cluster.control_planes if one.settings is not None), None)
    first = cluster.control_planes[0]
    if lowest is None or lowest.name != first.name:
        waiting = f"{cluster.name} does not exist yet, and {first.name} starts it: run k8s-ha.yml for {first.name} too"
        return Plan((waiting,)), False
    return Plan((), starts=first.name, tokens=tokens), False


def _claimed(made: Plan, store: Store, wish: Wish) -> Plan:
    """The plan with a token and a starter that Vault knows, if another run has not been faster with its own."""
    if wish.check:
        return made
    tokens = store.claim(made.starts, made.tokens.starter, wish.force)
    if tokens.starter and tokens.starter != made.starts:
        raise Fault(
            f"another run has just chosen {tokens.starter} to start the cluster: run this again", code=2
        )
    return made._replace(tokens=tokens)


def _foreign(alive: list[Member], said: Mapping[str, Answer], tokens: Tokens) -> str:
    strangers = [one.name for one in alive if not ask.has_hash(said[one.name].authority, tokens.authority)]
    if not strangers:
        return ""
    return (
        f"{listed(strangers)} answers on port 6443 as a server of another cluster: its CA is not the one of the token"
        " in Vault. Nothing was changed. If that K3s may go, run k3s-uninstall.sh there; if it is the right one,"
        " restore the token with `vault kv rollback`"
    )


def _unknown(cluster: Cluster, one: Member) -> str:
    return (
        f"{one.name} runs a K3s that Vault has no token of (kv/cluster-bootstrap/{cluster.name}): a single-node one of"
        " k8s.yml, or one made by hand. Nothing was changed. Move what runs there to another cluster and run"
        " k3s-uninstall.sh; a cluster made by hand is taken over by writing the content of its file"
        " /var/lib/rancher/k3s/server/token to the field server_token there"
    )


def _lost(cluster: Cluster) -> str:
    return (
        f"{cluster.name} is known in Vault, and none of its control planes answers"
        f" ({listed(one.name for one in cluster.control_planes)}). A second cluster of that name would be born, with"
        " none of its data. Where K3s is only stopped, start it: systemctl start k3s. Where the disks are lost,"
        " restore a snapshot (docs/clusters.md). To start from nothing on purpose, set k8s_ha_force_init=true for one"
        " run"
    )
