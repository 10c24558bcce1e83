"""Asking the machines of a cluster, with real TLS: who is up, whose CA it is, and what etcd's members are."""

import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.findings import Fault
from fleet.members import ask, prove
from fleet.members.access import Access
from fleet.members.tokens import Tokens
from tests.helpers.https_server import certificate

HOST = "127.0.0.1"
MEMBERS = [
    {"ID": 9927684372, "name": "k8s-prod-cp01-1a2b3c4d", "peerURLs": ["https://10.0.0.1:2380"]},
    {"ID": 7, "name": "k8s-prod-cp02-99887766", "peerURLs": ["https://[fd00::2]:2380"], "isLearner": True},
    {"ID": 8, "peerURLs": ["https://10.0.0.3:2380"]},
]


def node(ready: str = "True", voter: str = "True", version: str = "v1.34.4+k3s1") -> tuple[int, str]:
    conditions = [{"type": "Ready", "status": ready}, {"type": "EtcdIsVoter", "status": voter}]
    return 200, json.dumps({"status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": version}}})


class Server(ThreadingHTTPServer):
    """Answers `path: (status, body)`; a status of 0 drips bytes without an end."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that has had enough."""


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def authority(pem) -> str:
    return pem.read_text().partition("-----BEGIN PRIVATE")[0]


@pytest.fixture
def answers(pem, authority, monkeypatch) -> Iterator[dict]:
    given = {
        "/readyz": (401, "Unauthorized"),
        "/cacerts": (200, authority),
        "/db/info": (200, {"members": MEMBERS}),
    }
    given["asked"] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given["asked"].append((self.path, self.headers.get("Authorization")))
            status, body = given.get(self.path, (404, '{"reason": "NotFound"}'))
            while not status:
                self.wfile.write(b"x")
                time.sleep(0.1)
            self.send_response(status)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Server((HOST, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(ask, "PORT", server.server_port)
        yield given
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "state"), [(200, "alive"), (401, "alive"), (500, "busy"), (503, "busy"), (403, "busy")]
)
def test_who_is_up(status, state, answers, authority):
    answers["/readyz"] = (status, "")
    found = ask.answer(HOST)
    assert (found.state, found.authority) == (state, authority)
    assert (found.problem == "") == (state == "alive")
    assert all(credentials is None for _, credentials in answers["asked"])


def test_nobody_and_somebody_without_tls(monkeypatch):
    with ThreadingHTTPServer((HOST, 0), BaseHTTPRequestHandler) as plain:
        monkeypatch.setattr(ask, "PORT", plain.server_port)
        threading.Thread(target=plain.serve_forever, args=(0.02,), daemon=True).start()
        assert ask.answer(HOST).state == "busy"
        plain.shutdown()
    assert ask.answer(HOST).state == "silent"
    assert ask.answer("no-such-machine.invalid").state == "silent"


def test_an_answer_without_end_is_cut_off(answers, monkeypatch):
    monkeypatch.setattr(ask, "TIMEOUT", 0.5)
    answers["/readyz"] = (0, "")
    started = time.monotonic()
    assert ask.answer(HOST).state != "alive"
    assert time.monotonic() - started < 3


def test_the_hash_of_a_ca(authority, tmp_path):
    alone = hashlib.sha256(authority.encode()).hexdigest()
    root = certificate(tmp_path, "root.example").read_text().partition("-----BEGIN PRIVATE")[0]
    of_root = hashlib.sha256(ssl.PEM_cert_to_DER_cert(root)).hexdigest()
    assert ask.has_hash(authority, alone) and ask.has_hash(authority + root, of_root)
    assert not ask.has_hash(authority, of_root) and not ask.has_hash("", hashlib.sha256(b"").hexdigest())


def test_etcds_members(answers, authority):
    found = ask.etcd(HOST, authority, "pass:word")
    assert [(one.node, one.learner, sorted(one.hosts)) for one in found] == [
        ("k8s-prod-cp01", False, ["10.0.0.1"]), ("k8s-prod-cp02", True, ["fd00::2"]), ("", False, ["10.0.0.3"]),
    ]  # fmt: skip
    sent = answers["asked"][-1][1]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"server:pass:word"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((401, ""), "does not accept the cluster's token"),
        ((500, "failed to get etcd MemberList"), "etcd may lack its quorum"),
        ((200, {"members": [{"name": "k8s-prod-cp01-1a2b3c4d"}]}), "etcd may lack its quorum"),
        ((200, "not json"), "does not tell etcd's members"),
        ((200, {"members": "many"}), "does not tell etcd's members"),
    ],
)
def test_etcd_that_cannot_be_asked(given, said, answers, authority):
    answers["/db/info"] = given
    with pytest.raises(Fault, match=said) as fault:
        ask.etcd(HOST, authority, "the-password")
    assert "the-password" not in str(fault.value)


def test_a_stranger_gets_no_password(answers, tmp_path):
    other = certificate(tmp_path, "127.0.0.1").read_text().partition("-----BEGIN PRIVATE")[0]
    with pytest.raises(Fault, match="does not tell etcd's members"):
        ask.etcd(HOST, other, "the-password")
    assert answers["asked"] == []


@pytest.fixture
def entry(answers, authority) -> Access:
    answers["/readyz"] = (200, "ok")
    answers["/api/v1/nodes/k8s-prod-cp01"] = node()
    answers["/api/v1/nodes/k8s-prod-w01"] = node(voter="")
    return Access(Tokens("word", "", ""), authority, ssl.create_default_context(cadata=authority))


CP01, W01, CP = "k8s-prod-cp01", "k8s-prod-w01", "/api/v1/nodes/k8s-prod-cp01"
LACKING = [
    ({}, CP01, ""),
    ({}, W01, ""),
    ({"/readyz": (500, "[-]etcd failed")}, CP01, "k8s-prod-cp01 answers 500 to /readyz: [-]etcd failed"),
    ({"/db/info": (200, {"members": MEMBERS[1:]})}, CP01, "k8s-prod-cp01 is not a member of etcd"),
    ({"/db/info": (200, {"members": [MEMBERS[0] | {"isLearner": True}]})}, CP01, "has joined etcd, but has no vote"),
    ({CP: (404, '{"reason": "NotFound"}')}, CP01, "the cluster has no Node k8s-prod-cp01"),
    ({CP: node(ready="False")}, CP01, "the Node k8s-prod-cp01 is not Ready"),
    ({CP: node(voter="False")}, CP01, "does not say EtcdIsVoter"),
    ({CP: node(version="v1.34.3+k3s1")}, CP01, "reports v1.34.3+k3s1, not v1.34.4+k3s1"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "name", "said"), LACKING)
def test_what_a_member_lacks(given, name, said, answers, entry):
    answers |= given
    found = prove.lacking(name, HOST if name == CP01 else "", HOST, "v1.34.4+k3s1", entry)
    assert (said in found) if said else found == ""


def member(name: str, **more) -> dict:
    return {"ID": 5, "name": f"{name}-1a2b3c4d", "peerURLs": ["https://10.0.0.1:2380"], **more}


PLANES = {f"k8s-prod-cp0{number}": HOST for number in (1, 2, 3)}
STOPPED = [
    ([member(CP01)], {}, ""),  # one alone has nobody to keep the cluster up, and none to disturb
    ([member(name) for name in PLANES], {}, ""),
    ([member(name) for name in list(PLANES)[:2]], {}, "etcd has 2 members with a vote and needs 2 of them"),
    (
        [member(name) for name in PLANES],
        {"k8s-prod-cp03": "127.0.0.9"},
        "without k8s-prod-cp01 there would be 1",
    ),
    ([member(CP01), member("k8s-prod-cp02", isLearner=True)], {}, "k8s-prod-cp02 is still joining etcd"),
    ([member("k8s-prod-cp02"), member("k8s-prod-cp03")], {}, ""),  # it has no vote to lose
]


@pytest.mark.parametrize(("members", "elsewhere", "said"), STOPPED)
def test_who_may_be_stopped(members, elsewhere, said, answers, entry):
    answers["/db/info"] = (200, {"members": members})
    found = prove.may_stop(CP01, PLANES | elsewhere, entry)
    assert (said in found) if said else found == ""


def test_waiting_ends_with_the_last_problem():
    problems = iter(["first", "second", ""])
    assert prove.wait(lambda: next(problems), 5) == ""
    assert prove.wait(lambda: "the same", 0) == "the same"
