"""A real Vault, and descriptions of clusters as the role k8s_ha gives them."""

import pytest

from fleet.vault import client
from tests.helpers import vault_server


@pytest.fixture(scope="session")
def vault():
    with vault_server.running() as running:
        yield running


@pytest.fixture
def environment(vault, monkeypatch, tmp_path):
    """The real Vault is the one of the environment, and holds nothing of the cluster k8s-prod."""
    for path in ("cluster-bootstrap/k8s-prod", vault_server.PATH):
        vault.request("DELETE", f"kv/metadata/{path}")
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "PAUSES", (0.01, 0.02))
    return vault


def described(planes: int = 3, workers: int = 1, targets: str = "cp01 cp02 cp03 w01", **settings) -> dict:
    """k8s-prod with so many members, as the role describes it."""
    names = [f"cp{number:02}" for number in range(1, planes + 1)]
    names += [f"w{number:02}" for number in range(1, workers + 1)]
    hosts = {f"k8s-prod-{name}": {"address": f"10.0.0.{number}"} for number, name in enumerate(names, 1)}
    chosen = [f"k8s-prod-{name}" for name in targets.split() if name in names]
    return {
        "hosts": hosts,
        "load_balancers": {},
        "targets": {name: {"version": "v1.34.4+k3s1"} | settings for name in chosen},
    }
