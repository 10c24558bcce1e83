"""Leaving a Talos cluster without machines: scripted answers in talosctl's own words, and a Node that is only data.

With a real Vault for how a cluster is found.
"""

import base64
import datetime
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from fleet.findings import Fault
from fleet.members import place as places
from fleet.members.leave import K3s
from fleet.members.place import Place
from fleet.talos import leave
from fleet.talos.cluster import Node
from fleet.talos.leave import Talos
from fleet.talos.talosctl import Answer
from fleet.vault.secret import Secret
from tests.helpers import vault_server
from tests.talos.test_bootstrap import NO_ETCD, REFUSED, VERSION

CP1, CP2, CP3, W1 = "talos-prod-cp01", "talos-prod-cp02", "talos-prod-cp03", "talos-prod-w01"
ADDRESSES = {CP1: "10.0.0.11", CP2: "10.0.0.12", CP3: "10.0.0.13", W1: "10.0.0.21"}
NODES = {name: Node(name, address, "-cp" in name) for name, address in ADDRESSES.items()}
GONE = Answer(1, "", "error removing member: rpc error: code = NotFound desc = etcdserver: member not found")
OK = Answer(0, "", "")


def members(*rows: str) -> Answer:
    """`talosctl etcd members`; a row is ID, name ("" while it is unknown) and whether it is a learner."""
    head = "NODE        ID                 HOSTNAME          PEER URLS               CLIENT URLS             LEARNER\n"
    lines = [
        f"10.0.0.11   {one} https://10.0.0.9:2380 https://10.0.0.9:2379 {learner}"
        for one, _, learner in (row.rpartition(" ") for row in rows)
    ]
    return Answer(0, head + "\n".join(lines) + "\n", "")


THREE = members(f"a1 {CP1} false", f"a2 {CP2} false", f"a3 {CP3} false")


class Scripted:
    """`script`: a machine and the first word to an answer, or to several, of which the last holds."""

    def __init__(self, script: dict[tuple[str, str], Answer | list[Answer]]):
        self.script, self.calls = script, []

    def ask(self, config: str, node: Node, *words: str, timeout: float = 0) -> Answer:
        said = " ".join(word for word in words if not word.startswith("--"))
        self.calls.append(f"{node.name}: {said}")
        found = self.script.get((node.name, words[1] if words[0] == "etcd" else words[0]), REFUSED)
        return found if isinstance(found, Answer) else found.pop(0) if len(found) > 1 else found[0]

    def ask_insecure(self, node: Node, *words: str, timeout: float = 0) -> Answer:
        return REFUSED


class Server:
    """In place of Kubernetes' API: what it was asked."""

    def __init__(self):
        self.asked: list[tuple] = []

    def ask(self, *asked) -> None:
        self.asked.append(asked)


def cluster(script: dict, nodes: dict[str, Node] = NODES) -> Talos:
    planes = {name: one.address for name, one in nodes.items() if one.control_plane}
    return Talos(Place("talos-prod", planes, "", None), nodes, "config", Scripted(script))


def kubernetes_node(name: str, *addresses: str, unschedulable: bool = False) -> SimpleNamespace:
    known = [SimpleNamespace(type="InternalIP", address=address) for address in addresses]
    known.append(SimpleNamespace(type="Hostname", address="10.0.0.21"))  # a name that looks like an address
    return SimpleNamespace(
        metadata=SimpleNamespace(name=name),
        spec=SimpleNamespace(unschedulable=unschedulable),
        status=SimpleNamespace(addresses=known),
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(leave, "PAUSE", 0)


@pytest.mark.parametrize(
    ("listed", "voters", "well", "joining"),
    [
        (THREE, {CP1, CP2, CP3}, {CP1, CP3}, set()),
        (members(f"a1 {CP1} false", f"a2 {CP2} true"), {CP1}, {CP1}, {CP2}),
        (members(f"a1 {CP1} false", "a2 true"), {CP1}, {CP1}, {"a2"}),
        (members(f"a1 {CP1} false", "a9 talos-prod-cp09 false"), {CP1, "talos-prod-cp09"}, {CP1}, set()),
    ],
)
def test_what_etcd_is_like(monkeypatch, listed, voters, well, joining):
    """CP2 is not well, and nobody knows where CP9 is."""
    monkeypatch.setattr(places, "is_well", lambda _, __, name, address: bool(address) and name != CP2)
    state = cluster({(CP2, "members"): listed}).state(Server())
    assert (state.voters, state.well, state.joining) == (voters, well, joining)


def test_who_cannot_tell_etcds_members_is_named():
    found = cluster({(CP1, "version"): VERSION, (CP1, "members"): NO_ETCD})
    with pytest.raises(Fault, match="no control plane tells etcd's members") as fault:
        found.state(Server())
    assert f"{CP1} (10.0.0.11) is a member without an etcd that answers" in str(fault.value)
    assert f"{CP2} (10.0.0.12) is not answering: rpc error" in str(fault.value)


@pytest.mark.parametrize(
    ("at", "has", "answers"),
    [
        (W1, ("10.0.0.21",), True),
        (W1, ("fd00::21", "10.0.0.21"), True),
        (W1, ("10.0.0.13",), "the Node talos-prod-w01 is at 10.0.0.13; correct the inventory"),
        (W1, (), "the Node talos-prod-w01 is at none"),
        (W1, None, False),  # no Node: nothing proves whose the machine is
        (CP2, ("10.0.0.12",), False),  # it is off
        ("talos-prod-w09", ("10.0.0.29",), False),  # the inventory does not have it
    ],
)
def test_a_machine_is_only_reset_where_its_node_is(at, has, answers):
    found = cluster({(W1, "version"): VERSION})
    known = None if has is None else kubernetes_node(at, *has)
    if isinstance(answers, str):
        with pytest.raises(Fault, match=answers):
            found._answers(at, known)
    else:
        assert found._answers(at, known) is answers


# What talosctl answers; the calls that matter; then whether anything changed, or the reason.
REMOVALS = {
    "by the first that stays": ({(CP2, "remove-member"): OK}, [CP2], True),
    "by the next": ({(CP2, "remove-member"): REFUSED, (CP3, "remove-member"): OK}, [CP2, CP3], True),
    "another run was faster": ({(CP2, "remove-member"): GONE}, [CP2], True),
    "nobody can": ({}, [CP2, CP3, CP1], "member a1 cannot be removed from etcd: talos-prod-cp01: rpc error"),
    "not a member": ({(CP2, "members"): members(f"a2 {CP2} false")}, [], False),
}


@pytest.mark.parametrize(("script", "asked", "changed"), REMOVALS.values(), ids=REMOVALS)
def test_a_dead_one_is_removed_by_another(script, asked, changed):
    found, said = cluster({(CP2, "members"): THREE} | script), []
    if isinstance(changed, str):
        with pytest.raises(Fault, match=changed):
            found._remove(CP1, said.append)
    else:
        assert found._remove(CP1, said.append) is changed
    removals = [call for call in found.talosctl.calls if "remove-member" in call]
    assert removals == [f"{name}: etcd remove-member a1" for name in asked]
    assert bool(said) == bool(asked)


def test_no_worker_is_looked_for_in_etcd():
    found = cluster({})
    assert found._remove(W1, print) is False and found.talosctl.calls == []


@pytest.mark.parametrize("before", [False, True])
def test_a_machine_that_refuses_its_reset_is_of_use_again(before):
    found, server = (
        cluster({(W1, "version"): VERSION, (W1, "reset"): Answer(1, "", "error locked")}),
        Server(),
    )
    with pytest.raises(Fault, match=f"{W1} refuses its reset: locked"):
        found._reset(server, kubernetes_node(W1, unschedulable=before), print)
    assert server.asked == ([] if before else [("patch_node", W1, {"spec": {"unschedulable": None}})])


def test_a_reset_is_waited_for_with_what_it_waits_for(monkeypatch):
    two = members(f"a1 {CP1} false", f"a2 {CP2} false")
    script = {
        (CP3, "reset"): OK,
        (CP1, "members"): [THREE, REFUSED, two],
        (CP3, "version"): [VERSION, VERSION, REFUSED],
    }
    said: list[str] = []
    cluster(script)._reset(Server(), kubernetes_node(CP3), said.append)
    assert said[0] == f"{CP3} is still in etcd; waiting for its reset"
    assert "no control plane tells etcd's members" in said[1]  # for a moment, without a leader
    assert said[2:] == [f"{CP3} still runs; waiting for its reset"]


def test_a_reset_that_does_not_end_is_an_error(monkeypatch):
    monkeypatch.setattr(leave, "RESET", -1)
    found = cluster({(W1, "version"): VERSION, (W1, "reset"): OK})
    with pytest.raises(
        Fault, match=f"{W1} still runs -1 s after its reset began; see `talosctl --nodes 10.0.0.21"
    ):
        found._reset(Server(), kubernetes_node(W1), print)


@pytest.fixture(scope="module")
def vault() -> Iterator[vault_server.Vault]:
    with vault_server.running() as running:
        yield running


def certificate() -> tuple[str, str]:
    """One that signs itself, and its key: base64 of PEM."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now,
                                   now + datetime.timedelta(days=1)).sign(key, None)  # fmt: skip
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(made.public_bytes(pem)).decode(), base64.b64encode(text).decode()


AUTHORITY, KEY = certificate()
FIELDS = {
    "secrets": yaml.safe_dump({"certs": {"k8s": {"crt": AUTHORITY}}}),
    "talosconfig": "context: talos-prod",
    "version_contract": "v1.12",
    "kubernetes_version": "v1.34.4",
}


def kubeconfig(authority: str = AUTHORITY, **user: str) -> str:
    server = {"server": "https://10.0.0.9:6443", "certificate-authority-data": authority}
    user = user or {"client-certificate-data": AUTHORITY, "client-key-data": KEY}
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config",
        "contexts": [{"name": "talos-prod", "context": {"cluster": "talos-prod", "user": "talos-prod"}}],
        "clusters": [{"name": "talos-prod", "cluster": server}],
        "users": [{"name": "talos-prod", "user": user}],
    })  # fmt: skip


@pytest.fixture
def stored(vault, monkeypatch, tmp_path) -> Callable:
    """Puts a cluster's fields and a kubeconfig into Vault; its address and token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TALOSCTL", "true")

    def store(fields: dict, text: str) -> tuple[str, str]:
        at = (vault.url, vault.token)
        for path, data in (
            ("cluster-bootstrap/talos-prod", fields),
            (vault_server.PATH, {"KUBECONFIG": text}),
        ):
            vault.request("DELETE", f"kv/metadata/{path}", token=vault.root)
            if data and any(data.values()):
                Secret(path, *at).write(data, 0)
        return at

    return store


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        (FIELDS, "", "Vault does not have the kubeconfig of talos-prod; run the playbook talos"),
        ({}, kubeconfig(), r"Vault does not have the secrets of talos-prod \(kv/cluster-bootstrap"),
        (FIELDS, kubeconfig(certificate()[0]), "talos-prod has another authority than the secrets in Vault"),
        (FIELDS, kubeconfig(token="not-one-of-talos"), "Vault's kubeconfig of talos-prod cannot be used"),
        (FIELDS | {"talosconfig": ""}, kubeconfig(), "has secrets without talosconfig"),
    ],
)
def test_a_cluster_that_vault_does_not_know_whole_is_not_left(stored, fields, text, reason):
    with pytest.raises(Fault, match=reason):
        leave.find("talos-prod", ADDRESSES, stored(fields, text))


def test_how_a_cluster_is_found(stored, monkeypatch):
    assert leave.find("talos-prod", ADDRESSES, stored({}, "")) is None  # Vault has never heard of it
    at = stored(FIELDS, kubeconfig())
    found = leave.find("talos-prod", ADDRESSES | {CP2: ""}, at)
    assert found.nodes.keys() == {CP1, CP3, W1} and found.place.planes.keys() == {CP1, CP3}
    assert found.place.endpoint == "10.0.0.9"
    with pytest.raises(Fault, match=f"{CP1} is at a-name in the inventory, which is not an IP address"):
        leave.find("talos-prod", {CP1: "a-name"}, at)
    monkeypatch.setenv("TALOSCTL", "/nowhere")
    with pytest.raises(Fault, match="TALOSCTL is /nowhere, which is not a program; talosctl takes a member"):
        leave.find("talos-prod", ADDRESSES, at)


def test_a_cluster_of_k3s_is_left_as_such(monkeypatch):
    monkeypatch.setattr(leave.leave, "find", lambda cluster, planes, *_: Place(cluster, planes, "", None))
    members_ = {"k8s-prod-cp01": "10.0.0.1", "k8s-prod-cp02": "", "k8s-prod-w01": "10.0.0.3"}
    found = leave.find("k8s-prod", members_, (None, None))
    assert isinstance(found, K3s) and found.place.planes == {"k8s-prod-cp01": "10.0.0.1"}
