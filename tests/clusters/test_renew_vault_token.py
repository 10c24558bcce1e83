"""renew_vault_token.py against a real Vault."""

import time

import pytest

import renew_vault_token
from fleet.vault import client as vault_client
from tests.helpers import vault_server


@pytest.fixture(scope="module")
def server():
    with vault_server.running() as running:
        yield running


@pytest.fixture
def run(server, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_ADDR", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(vault_client, "PAUSES", (0.01,))
    for name in ("GITHUB_ACTIONS", "VAULT_NAMESPACE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)

    def call(token):
        monkeypatch.setenv("VAULT_TOKEN", token)
        code = renew_vault_token.main([])
        out, err = capsys.readouterr()
        assert len(token) < 9 or token not in out + err
        assert code == 0, "what fails here stops nobody"
        return out, err

    return call


def made(server, **fields):
    asked = {"policies": ["ci"], "no_parent": True, **fields}
    return server.request("POST", "auth/token/create", asked)["auth"]["client_token"]


def left(server, token):
    return server.request("GET", "auth/token/lookup-self", token=token)["data"]["ttl"]


TOKENS = [
    ({"period": "768h"}, "renewed: it ends in 32 days unless it is renewed again\n", ""),
    ({"ttl": "200h"}, "renewed: it ends in 8 days unless", ""),
    ({"period": "100h"}, "renewed: it ends in 4 days\n", "warning: Vault's token ends in 4 days unless it is renewed"),
    ({"ttl": "1h"}, "renewed: it ends in 1.0 hours", "create another one with `vault token create -orphan"),
    ({"ttl": "700h", "renewable": False}, "not renewed: it ends in 29 days", "in 29 days and cannot be renewed: c"),
    ({"ttl": "700h", "type": "batch"}, "not renewed", "and cannot be renewed"),
    ({"period": "768h", "explicit_max_ttl": "5h"}, "renewed: it ends in 5.0 hours", "unless it is renewed"),
]  # fmt: skip


@pytest.mark.parametrize("fields, out, warning", TOKENS, ids=[str(row[0]) for row in TOKENS])
def test_tokens(run, server, fields, out, warning):
    found = run(made(server, **fields))
    assert out in found[0] and warning in found[1] and bool(found[1]) == bool(warning), found


def test_the_token_lives_longer(run, server):
    token = made(server, period="768h")
    time.sleep(2.1)
    assert left(server, token) < 768 * 3600 - 1
    run(token)
    assert left(server, token) >= 768 * 3600 - 1


def test_a_token_that_does_not_expire(run, server):
    assert run(server.root) == ("Vault's token does not expire\n", "")


def test_no_token(run, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", " ")
    assert run("x") == ("VAULT_ADDR and VAULT_TOKEN are not both set: there is no token to renew\n", "")
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.com")
    assert "not both set" in run(" ")[0]


def test_what_fails_is_a_warning(run, server, monkeypatch):
    out, err = run("hvs.wrong")
    denied = "warning: Vault's token was not renewed: Vault does not allow this token to renew itself: it is invalid"
    assert out == "" and err.startswith(denied)
    assert run(made(server, period="768h", no_default_policy=True)) == (out, err)
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{vault_server.free_port()}")
    assert "Connection refused; tried 2 times" in run("x")[1]
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.com/v1")
    assert "remove /v1" in run("x")[1]


def test_strange_answers(run, server, monkeypatch):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        for script, said in {
            ("{}",): "answered (200), but not like Vault",
            (None, "{}"): "answered (200), but not like Vault",
            (None, (400, '{"errors": ["no"]}')): "Vault did not renew the token: no",
            (None, (307, "{}", f"{server.url}/v1/x")): "redirects are not followed",
        }.items():
            proxy.script = list(script)
            assert said in run(made(server, period="768h"))[1]
