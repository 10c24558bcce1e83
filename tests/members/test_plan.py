"""Who starts a cluster, or whom the others join: by what the control planes answer and what Vault knows."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.findings import Fault
from fleet.members import plan
from fleet.members.ask import Answer
from fleet.members.cluster import clusters
from fleet.members.plan import Plan, Wish
from fleet.members.tokens import Store, Tokens
from tests.members.conftest import described

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ALIVE, SILENT = Answer("alive", "", PEM), Answer("silent", "refused", "")
BUSY, FOREIGN = Answer("busy", "it answers 503 to /readyz", ""), Answer("alive", "", PEM.replace("A", "B"))


HASH = hashlib.sha256(PEM.encode()).hexdigest()
KNOWN = Tokens("secret", f"K10{HASH}::server:secret", "")
NEW, CLAIMED = Tokens("", "", ""), Tokens("secret", "", "k8s-prod-cp01")
ALL = "cp01 cp02 cp03 w01"


class Vaulted:
    """A store that has these tokens and notes what would be claimed; the real one has tests of its own."""

    place = "kv/cluster-bootstrap/k8s-prod"

    def __init__(self, tokens: Tokens):
        self.tokens, self.claims = tokens, []

    def read(self) -> Tokens:
        return self.tokens

    def claim(self, starter: str, instead: str = "", anew: bool = False) -> Tokens:
        self.claims.append((starter, instead, anew))
        return Tokens(self.tokens.token or "made", "", starter)


# name: the targets, what each control plane answers ("+" alive, "-" silent, "b" busy, "f" another cluster's), the
# tokens in Vault, whether its kubeconfig has the cluster; then who starts, who is joined, or what is said
CASES = {
    "new": (ALL, "---", NEW, False, "cp01", "", ""),
    "new, and the first is not played": ("cp02 cp03", "---", NEW, False, "", "", "k8s-prod-cp01 starts it"),
    "a worker alone": ("w01", "---", NEW, False, "", "", "k8s-prod does not exist yet"),
    "killed between token and start": (ALL, "---", CLAIMED, False, "cp01", "", ""),
    "killed after the start": (ALL, "+--", CLAIMED, False, "cp01", "", ""),
    "killed while it starts": (ALL, "b--", CLAIMED, False, "cp01", "", ""),
    "the starter is gone": (ALL, "---", CLAIMED._replace(starter="k8s-prod-cp09"), False, "cp01", "", ""),
    "the starter is another run's": ("cp02 cp03", "---", CLAIMED, False, "", "", "k8s-prod-cp01 is to start k8s-prod"),
    "one runs": (ALL, "+--", KNOWN, True, "", "cp01", ""),
    "the first lost its disk": (ALL, "-++", KNOWN, True, "", "cp02", ""),
    "one that is not played is joined": ("cp01 w01", "+-+", KNOWN, True, "", "cp03", ""),
    "all run": (ALL, "+++", KNOWN, True, "", "cp01", ""),
    "one is not well": (ALL, "b+-", KNOWN, True, "", "cp02", ""),
    "no kubeconfig yet": (ALL, "+--", KNOWN, False, "", "cp01", ""),
    "all gone": (ALL, "---", KNOWN, True, "", "", "restore a snapshot (docs/clusters.md). To start from nothing"),
    "all gone, token only": (ALL, "---", KNOWN, False, "", "", "none of its control planes answers"),
    "all gone, kubeconfig only": (ALL, "---", NEW, True, "", "", "A second cluster of that name would be born"),
    "all busy": (ALL, "bbb", KNOWN, True, "", "", "k8s-prod-cp01 (it answers 503 to /readyz)"),
    "busy and new": (ALL, "-b-", NEW, False, "", "", "k8s-prod-cp02 (it answers 503 to /readyz) on port 6443"),
    "another cluster": (ALL, "f--", KNOWN, True, "", "", "k8s-prod-cp01 answers on port 6443 as a server of"),
    "another cluster among them": (ALL, "+f-", KNOWN, True, "", "", "k8s-prod-cp02 answers on port 6443 as a"),
    "a single-node K3s": (ALL, "+--", NEW, False, "", "", "k8s-prod-cp01 runs a K3s that Vault has no token of"),
    "a stranger beside the starter": (ALL, "-+-", CLAIMED, False, "", "", "k8s-prod-cp02 runs a K3s that Vault has no"),
}  # fmt: skip


def said(signs: str):
    answers = {"+": ALIVE, "-": SILENT, "b": BUSY, "f": FOREIGN}
    return lambda planes: {one.name: answers[sign] for one, sign in zip(planes, signs, strict=True)}


@pytest.mark.parametrize("case", CASES)
def test_the_plan(case):
    targets, signs, tokens, known, starts, joins, refused = CASES[case]
    (cluster,) = clusters(described(targets=targets))
    store = Vaulted(tokens)
    made = plan.plan(cluster, store, Wish(known, wait=0), said(signs))
    assert (made.starts, made.joins) == tuple(name and f"k8s-prod-{name}" for name in (starts, joins))
    assert (refused in " ".join(made.refused)) if refused else made.refused == ()
    assert "secret" not in " ".join(made.refused)
    assert bool(store.claims) == bool(starts)
    assert (made.tokens.token != "") == (made.refused == ())


def test_a_check_claims_nothing():
    (cluster,) = clusters(described())
    store = Vaulted(NEW)
    made = plan.plan(cluster, store, Wish(False, check=True), said("---"))
    assert made.starts == "k8s-prod-cp01" and store.claims == []


@pytest.mark.parametrize("signs", ["---", "+--"])
def test_force_starts_only_what_nobody_runs(signs):
    (cluster,) = clusters(described())
    store = Vaulted(KNOWN)
    made = plan.plan(cluster, store, Wish(True, force=True), said(signs))
    assert made[:3] == (((), "k8s-prod-cp01", "") if signs == "---" else ((), "", "k8s-prod-cp01"))
    assert store.claims == ([("k8s-prod-cp01", "", True)] if signs == "---" else [])


def test_a_wrong_description_asks_nobody():
    (cluster,) = clusters(described(planes=2))
    made = plan.plan(cluster, None, Wish(False), None)
    assert "2 control planes" in made.refused[0]


def test_another_runs_start_is_waited_for(monkeypatch):
    monkeypatch.setattr(plan.time, "sleep", lambda _: None)
    (cluster,) = clusters(described(targets="cp02 cp03"))
    store, looks = Vaulted(CLAIMED), []

    def asked(planes):
        looks.append(1)
        if len(looks) == 3:
            store.tokens = KNOWN
        return said("+--" if len(looks) > 2 else "b--")(planes)

    assert plan.plan(cluster, store, Wish(False), asked) == Plan((), joins="k8s-prod-cp01", tokens=KNOWN)
    assert len(looks) == 3


def test_two_plans_at_once_make_one_cluster(environment):
    """With a real Vault; and one run whose inventory begins with another control plane."""

    def planned(planes_before: int) -> Plan | Fault:
        given = described()
        for name in [f"k8s-prod-cp{number:02}" for number in range(1, planes_before + 1)]:
            del given["hosts"][name], given["targets"][name]
        (cluster,) = clusters(given)
        signs = "-" * len(cluster.control_planes)
        try:
            return plan.plan(cluster, Store("k8s-prod"), Wish(False, wait=0), said(signs))
        except Fault as fault:
            return fault

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(planned, [0, 0, 2, 2, 0, 2]))
    started = {one.starts for one in made if isinstance(one, Plan) and one.starts}
    tokens = {one.tokens.token for one in made if isinstance(one, Plan) and one.tokens.token}
    assert len(started) == len(tokens) == 1
    assert started == {Store("k8s-prod").read().starter}
