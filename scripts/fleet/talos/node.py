"""What a machine is to the cluster (new, a member, somebody else's, silent), and what runs there."""

import enum
import re
import time
from typing import NamedTuple

from fleet.findings import Fault
from fleet.talos.cluster import Node, Version, version
from fleet.talos.talosctl import Answer, Talosctl

PROBE = 10  # seconds for the answer to one small question
PAUSE = 3  # seconds between two looks
GOING = 180  # seconds until a machine that starts again has stopped answering
SURE = (
    3  # looks in a row before a machine counts as somebody else's: while it starts, its certificate changes
)

_SILENT = re.compile(
    r"connection refused|i/o timeout|no route|deadline exceeded|unreachable|host is down|no answer within",
    re.I,
)


class State(enum.Enum):
    MAINTENANCE = "in maintenance, without a configuration"
    MEMBER = "a member of the cluster"
    FOREIGN = "configured with the certificates of another cluster"
    SILENT = "not answering"


class Seen(NamedTuple):
    state: State
    version: Version | None  # of Talos; None unless a member
    problem: str  # what talosctl said, where it is not a member


class Member(NamedTuple):
    """One of etcd's; `name` is "" while it joins, and `learner`: it does not vote yet."""

    id: str
    name: str
    learner: bool


def look(talosctl: Talosctl, config: str, node: Node) -> Seen:
    """What the machine is now. The question gives nothing away: no configuration is sent to find out."""
    asked = talosctl.ask(config, node, "version", timeout=PROBE)
    if asked.code == 0:
        return Seen(State.MEMBER, _version(asked, node), "")
    open_ = talosctl.ask_insecure(node, "version", timeout=PROBE)
    if open_.code == 0 or "in maintenance mode" in open_.err:
        return Seen(State.MAINTENANCE, None, asked.problem)
    state = State.SILENT if _SILENT.search(asked.err) or _SILENT.search(open_.err) else State.FOREIGN
    return Seen(state, None, asked.problem)


def wait(talosctl: Talosctl, config: str, node: Node, seconds: float, wanted: frozenset[State]) -> Seen:
    """Look until the machine is one of `wanted`. Raises Fault when it is not in time, or somebody else's."""
    end, foreign = time.monotonic() + seconds, 0
    while True:
        seen = look(talosctl, config, node)
        if seen.state in wanted:
            return seen
        foreign = foreign + 1 if seen.state is State.FOREIGN else 0
        if foreign == SURE:
            raise Fault(
                f"{node.name} ({node.address}) has a configuration, but not one of this cluster: it does not accept the"
                " certificates in Vault. See whether the address is that machine's. If it is and may be wiped, reset"
                f" it with its own talosconfig, or create it anew. talosctl says: {seen.problem}"
            )
        if time.monotonic() > end:
            message = f"{node.name} ({node.address}) is {seen.state.value} after {seconds:.0f} s"
            raise Fault(f"{message}: {seen.problem}" if seen.problem else message)
        time.sleep(PAUSE)


def wait_for_restart(talosctl: Talosctl, config: str, node: Node, seconds: float) -> None:
    """Wait until a machine that was told to start again has gone and come back. Raises Fault."""
    end = time.monotonic() + min(seconds, GOING)
    while look(talosctl, config, node).state is State.MEMBER and time.monotonic() < end:
        time.sleep(0.5)
    wait(talosctl, config, node, seconds, frozenset({State.MEMBER}))


def wait_for_version(talosctl: Talosctl, config: str, node: Node, seconds: float, wanted: Version) -> Seen:
    """Look until a member runs that version, at most `seconds`; how it was seen last."""
    end = time.monotonic() + seconds
    while (seen := look(talosctl, config, node)).version != wanted and time.monotonic() < end:
        time.sleep(PAUSE)
    return seen


def etcd_members(talosctl: Talosctl, config: str, node: Node) -> tuple[Member, ...] | None:
    """etcd's members as this control plane has them; None: its etcd does not answer."""
    asked = talosctl.ask(config, node, "etcd", "members", timeout=PROBE)
    head, *lines = asked.out.splitlines() or [""]
    if asked.code or "HOSTNAME" not in head:
        return None
    first = head.split().index("HOSTNAME") - 1  # the ID; before it, the machine that was asked may stand
    members = []
    for words in map(str.split, lines):
        if len(words) > first + 1:
            name = "" if "://" in words[first + 1] else words[first + 1]  # none while it is joining
            members.append(Member(words[first], name, words[-1] == "true"))
    return tuple(members)


def runs_etcd(talosctl: Talosctl, config: str, node: Node) -> bool:
    """Whether a control plane has an etcd that was started, be it one without a quorum, which tells no members."""
    asked = talosctl.ask(config, node, "service", "etcd", timeout=PROBE)
    return asked.code == 0 and bool(re.search(r"^STATE\s+Running\b", asked.out, re.MULTILINE))


def _version(asked: Answer, node: Node) -> Version:
    found = re.search(r"Server:.*?^\s*Tag:\s*(\S+)", asked.out, re.MULTILINE | re.DOTALL)
    if not found:
        raise Fault(f"{node.name} answers without a version")
    return version(found[1], f"the version that {node.name} tells")
