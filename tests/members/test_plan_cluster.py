"""plan_cluster.py for several clusters at once, against a real Vault: what is wrong with one holds up no other."""

import io
import json
import threading

import pytest

import plan_cluster
from fleet.members import plan
from fleet.members.ask import Answer
from fleet.vault.secret import Secret
from tests.helpers import vault_server

SILENT = Answer("silent", "refused", "")


@pytest.fixture
def planned(environment, monkeypatch, capsys):
    def run() -> dict:
        hosts = {f"k8s-{name}-cp01": {"address": "192.0.2.1"} for name in ("prod", "test")}
        text = json.dumps({"hosts": hosts, "targets": {name: {"version": "v1.34.4+k3s1"} for name in hosts}})
        monkeypatch.setattr(
            "sys.stdin", io.TextIOWrapper(io.BytesIO(f"{environment.token}\n{text}".encode()))
        )
        assert plan_cluster.main(["--check"]) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.setattr(plan.answers, "__defaults__", (0,))
    monkeypatch.setattr(plan.ask, "answer", lambda _: SILENT)
    yield run
    environment.request("DELETE", "kv/metadata/cluster-bootstrap/k8s-test")


@pytest.mark.parametrize("broken", ["deleted", "not a token"])
def test_a_broken_secret_refuses_its_own_cluster_alone(planned, environment, broken):
    Secret("cluster-bootstrap/k8s-prod").write({"server_token": "K10::x"}, 0)
    if broken == "deleted":
        environment.request("DELETE", "kv/data/cluster-bootstrap/k8s-prod")
    found = planned()
    assert "cluster-bootstrap/k8s-prod" in found["k8s-prod"]["refused"][0]
    assert found["k8s-test"]["refused"] == [] and found["k8s-test"]["starts"] == "k8s-test-cp01"


def test_clusters_are_waited_for_side_by_side(planned, monkeypatch):
    both = threading.Barrier(2, timeout=20)  # broken, unless the second is asked while the first still is

    def asked(_: str) -> Answer:
        both.wait()
        return SILENT

    monkeypatch.setattr(plan.ask, "answer", asked)
    assert {one["starts"] for one in planned().values()} == {"k8s-prod-cp01", "k8s-test-cp01"}


def test_no_vault_is_no_plan(environment, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{vault_server.free_port()}")
    given = {"hosts": {"k8s-prod-cp01": {"address": "192.0.2.1"}}, "targets": {"k8s-prod-cp01": {}}}
    text = f"{environment.token}\n{json.dumps(given)}"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert plan_cluster.main([]) == 2
