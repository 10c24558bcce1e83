"""The passwords that VM files name by a place, read from a real Vault."""

import json

import pytest

from fleet.findings import Fault
from fleet.secrets import passwords
from tests.helpers import vault_server

POLICY = 'path "kv/data/machines/*" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def server():
    with vault_server.running() as running:
        running.request("PUT", "sys/policies/acl/machines", {"policy": POLICY})
        secret = {"password": "geheim!", "lines": "a\nb", "empty": "", "number": 5}
        running.request("POST", "kv/data/machines/a", {"data": secret})
        running.request("POST", "kv/data/machines/gone", {"data": secret})
        running.request("DELETE", "kv/data/machines/gone")
        yield running


@pytest.fixture
def vault(server, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", server.url)
    monkeypatch.setenv("VAULT_TOKEN", server.new_token("machines"))


def test_a_password(vault):
    assert passwords.read({"a": "kv/machines/a#password"}) == {"a": "geheim!"}


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("kv/machines/b#password", "a: cipassword: Vault has no secret kv/machines/b"),
        ("kv/machines/gone#password", "a: cipassword: Vault has no secret kv/machines/gone"),
        ("kv/machines/a#pass", "a: cipassword: kv/machines/a has no text on one line as pass"),
        *((f"kv/machines/a#{key}", f"has no text on one line as {key}") for key in ("lines", "empty", "number")),
        ("kv/other/a#password", "to read kv/other/a for cipassword of a.*its policy lacks read on kv/data/other/a"),
        ("none/machines/a#password", "to read none/machines/a for cipassword of a"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_place(vault, place, problem):
    with pytest.raises(Fault, match=problem) as caught:
        passwords.read({"a": place})
    assert "geheim" not in str(caught.value)


def test_only_a_machine_that_is_made_needs_one(vault):
    vms = {name: {"hardware": {"cipassword": "kv/machines/a#password"}} for name in ("new", "old", "taken")}
    values = {"vms": vms | {"without": {}}, "imports": {"taken": "node01/500"}}
    found = passwords.of_new(values, {"old": None})
    assert {key: json.loads(value) for key, value in found.items()} == {
        "TF_VAR_passwords": {"new": "geheim!"}
    }
    assert passwords.of_new({"vms": {"without": {}}, "imports": {}}, {}) == {}
