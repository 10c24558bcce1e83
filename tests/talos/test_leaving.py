"""Who is kept from being destroyed, by a script that answers in talosctl's words, and a cluster's secrets."""

import base64
from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.talos import bundle, leaving
from fleet.vault.secret import Stored

CP1, CP2, CP3 = PLANES = ("talos-prod-cp01", "talos-prod-cp02", "talos-prod-cp03")
ADDRESSES = dict(zip(PLANES, ("10.0.0.11", "10.0.0.12", "10.0.0.13"), strict=True)) | {"web": "web"}
FIELDS = {
    "secrets": f"certs: {{k8s: {{crt: {base64.b64encode(b'authority').decode()}}}}}",
    "talosconfig": "context: talos-prod",
    "version_contract": "v1.12",
    "kubernetes_version": "v1.34.4",
}
# Only 10.0.0.12 answers; cp03 is not in etcd any more.
TALOSCTL = """#!/bin/sh
case "$*" in "etcd members --nodes 10.0.0.12 "*) ;; *) echo "no answer within 10 s" >&2; exit 1;; esac
echo "NODE        ID                 HOSTNAME          PEER URLS               CLIENT URLS             LEARNER"
echo "10.0.0.12   a1b2c3d4e5f60718   talos-prod-cp01   https://10.0.0.11:2380  https://10.0.0.11:2379  false"
echo "10.0.0.12   b1b2c3d4e5f60718   talos-prod-cp02   https://10.0.0.12:2380  https://10.0.0.12:2379  false"
"""


class Vault:
    place = "kv/cluster-bootstrap/talos-prod"

    def __init__(self, fields: dict[str, str]):
        self.fields = fields

    def read(self) -> Stored:
        return Stored(self.fields, 1)


@pytest.fixture
def fields(monkeypatch, tmp_path: Path) -> dict[str, str]:
    """What Vault has of talos-prod, to be changed."""
    program, known = tmp_path / "talosctl", dict(FIELDS)
    program.write_text(TALOSCTL)
    program.chmod(0o755)
    monkeypatch.setenv("TALOSCTL", str(program))
    monkeypatch.setattr(bundle, "secret", lambda cluster: Vault(known if cluster == "talos-prod" else {}))
    return known


KEPT = "it is still a member of etcd of talos-prod"
CASES = {
    "a member": ([CP1], [CP2, CP3], KEPT),
    "a member that alone answers": ([CP2], [CP1, CP3], KEPT),
    "has left": ([CP3], [CP1, CP2], ""),
    "nobody approved it": ([], [CP2, CP3], ""),
    "its file is there": ([CP1], PLANES, ""),
    "the cluster ends": (PLANES, ["talos-prod-w01"], ""),
    "a worker": (["talos-prod-w01"], PLANES, ""),
    "another cluster's": (["talos-new-cp01"], ["talos-new-cp02", *PLANES], ""),
    "no Talos": (["k8s-prod-cp01", "web"], PLANES, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_kept(case: str, fields):
    approved, files, said = CASES[case]
    have = {*PLANES, "talos-prod-w01", "talos-new-cp01", "k8s-prod-cp01", "web"}
    kept = leaving.cannot_leave(approved, have, files, ADDRESSES)
    assert list(kept) == (list(approved) if said else [])
    assert all(said in why for why in kept.values())


def test_a_kept_one_is_told_how_it_leaves(fields):
    said = leaving.cannot_leave([CP1], PLANES, [CP2, CP3], ADDRESSES)[CP1]
    assert "`talosctl --nodes 10.0.0.11 reset`" in said
    assert "--nodes 10.0.0.12 etcd remove-member a1b2c3d4e5f60718`" in said


def test_a_cluster_that_was_never_made_keeps_nobody(fields):
    fields.clear()
    assert leaving.cannot_leave([CP1], PLANES, [CP2, CP3], ADDRESSES) == {}


def test_a_cluster_that_cannot_be_asked_keeps_its_control_planes(fields, monkeypatch):
    silent = ADDRESSES | {CP2: "10.0.0.22"}
    said = leaving.cannot_leave([CP1], PLANES, [CP2, CP3], silent)[CP1]
    assert said.startswith("it cannot leave talos-prod: none of its control planes (")
    monkeypatch.setenv("TALOSCTL", "/nonexistent")
    said = leaving.cannot_leave([CP1], PLANES, [CP2, CP3], ADDRESSES)[CP1]
    assert "TALOSCTL is /nonexistent, which is not a program; install it" in said
    monkeypatch.undo()
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert "set VAULT_ADDR" in leaving.cannot_leave([CP1], PLANES, [CP2, CP3], ADDRESSES)[CP1]


def test_one_is_made_again_only_after_it_has_left(fields, capsys):
    with pytest.raises(Fault, match="only after it has left etcd; nothing was applied"):
        leaving.check_replaced([CP1], PLANES, ADDRESSES)
    assert f"refused: would destroy and recreate {CP1}: {KEPT}" in capsys.readouterr().err
    leaving.check_replaced([CP3], PLANES, ADDRESSES)
    leaving.check_replaced(PLANES, PLANES, ADDRESSES)  # then it is another cluster
