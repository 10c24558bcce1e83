"""When etcd is started, and when not: by scripted answers in talosctl's own words."""

import pytest

from fleet.talos import bootstrap
from fleet.talos.bootstrap import NotYet
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node
from fleet.talos.talosctl import Answer

REFUSED = Answer(
    1, "", 'rpc error: code = Unavailable desc = "dial tcp 10.0.0.12:50000: connect: connection refused"'
)
UNKNOWN = Answer(1, "", "rpc error: code = Unavailable desc = x509: certificate signed by unknown authority")
MAINTENANCE = Answer(
    1, "", "rpc error: code = Unimplemented desc = API is not implemented in maintenance mode"
)
VERSION = Answer(
    0, "Client:\n\tTag:         v1.12.0\nServer:\n\tNODE:        x\n\tTag:         v1.12.0\n", ""
)
NO_ETCD = Answer(1, "", "error getting members: rpc error: code = Unavailable")
MEMBERS = Answer(
    0, "NODE        ID                 HOSTNAME          PEER URLS               CLIENT URLS             LEARNER\n"
       "10.0.0.11   a1b2c3d4e5f60718   talos-prod-cp01   https://10.0.0.11:2380  https://10.0.0.11:2379  false\n", ""
)  # fmt: skip
EXISTS = Answer(1, "", "rpc error: code = AlreadyExists desc = etcd data directory is not empty")
PREPARING = Answer(0, "NODE     10.0.0.11\nID       etcd\nSTATE    Preparing\nHEALTH   ?\n", "")
STARTED = Answer(0, "NODE     10.0.0.11\nID       etcd\nSTATE    Running\nHEALTH   Fail\n", "")
EARLY = Answer(1, "", "rpc error: code = FailedPrecondition desc = time is not in sync yet")

# What each control plane is: its answers to `version`, to `version --insecure`, to `etcd members`; to `service etcd`.
WAITING = (VERSION, REFUSED, NO_ETCD)
NEW = (UNKNOWN, MAINTENANCE, NO_ETCD)
SILENT = (REFUSED, REFUSED, REFUSED)
RUNNING = (VERSION, REFUSED, MEMBERS)
NO_QUORUM = (VERSION, REFUSED, NO_ETCD, STARTED)


class Scripted:
    def __init__(self, planes: dict[str, tuple], started: Answer):
        self.planes, self.started, self.calls = planes, started, []

    def ask(self, config: str, node: Node, *words: str, timeout: float = 0) -> Answer:
        if words == ("bootstrap",):
            self.calls.append(node.name)
            return self.started
        if words == ("service", "etcd"):
            said = self.planes[node.name]
            return next(iter(said[3:]), PREPARING) if said[0] == VERSION else said[0]
        return self.planes[node.name][2 if words[0] == "etcd" else 0]

    def ask_insecure(self, node: Node, *words: str, timeout: float = 0) -> Answer:
        return self.planes[node.name][1]


CP1, CP2, W1 = "talos-prod-cp01", "talos-prod-cp02", "talos-prod-w01"

# The two control planes; known to Vault; forced; seen from; bootstrap's answer; then changed or the reason, and calls.
CASES = {
    "new cluster": ((WAITING, WAITING), False, False, CP1, None, True, [CP1]),
    "one not configured yet": ((WAITING, NEW), False, False, CP1, None, True, [CP1]),
    "seen from a worker": (
        (WAITING, WAITING),
        False,
        False,
        W1,
        None,
        f"{CP1} starts it when the playbook",
        [],
    ),
    "runs": ((RUNNING, WAITING), False, False, CP1, None, False, []),
    "runs elsewhere": ((WAITING, RUNNING), False, False, CP1, None, False, []),
    "runs, forced": ((WAITING, RUNNING), True, True, CP1, None, False, []),
    "one silent": (
        (WAITING, SILENT),
        False,
        False,
        CP1,
        None,
        f"{CP2} does not answer and may have an etcd",
        [],
    ),
    "one silent, forced": ((WAITING, SILENT), False, True, CP1, None, True, [CP1]),
    "one made anew, the other without a quorum": (
        (WAITING, NO_QUORUM),
        False,
        False,
        CP1,
        None,
        f"was started before, on {CP2}, and does not answer",
        [],
    ),
    "the same, forced": ((NEW, NO_QUORUM), True, True, CP1, None, "reset the machine first", []),
    "it starts": ((NO_QUORUM, WAITING), False, False, W1, None, "it is starting, or has lost its quorum", []),
    "known, all lost": (
        (WAITING, WAITING),
        True,
        False,
        CP1,
        None,
        "bootstrap --recover-from=db.snapshot",
        [],
    ),
    "known, all lost, forced": ((WAITING, WAITING), True, True, CP1, None, True, [CP1]),
    "started before": ((WAITING, WAITING), False, False, CP1, EXISTS, False, [CP1]),
    "too early": ((WAITING, WAITING), False, False, CP1, EARLY, "time is not in sync yet", [CP1]),
}


def decide(case: str, parse, dry_run: bool = False) -> tuple[bool | str, list[str]]:
    planes, known, forced, member, answer, _, _ = CASES[case]
    cluster: Cluster = parse(force_bootstrap=forced)
    ctl = Scripted(dict(zip((CP1, CP2), planes, strict=True)), answer or Answer(0, "", ""))
    bundle = Bundle("", "", "v1.12", cluster.kubernetes)
    try:
        done = bootstrap.bootstrap(cluster, cluster.node(member), bundle, ctl, known, dry_run)
    except NotYet as error:
        return str(error), ctl.calls
    return done.changed, ctl.calls


@pytest.mark.parametrize("case", CASES)
def test_bootstrap(case: str, parse):
    wanted, calls = CASES[case][5:]
    found, called = decide(case, parse)
    assert called == calls
    assert wanted in found if isinstance(wanted, str) else found is wanted


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_starts_nothing(case: str, parse):
    assert decide(case, parse, dry_run=True)[1] == []
