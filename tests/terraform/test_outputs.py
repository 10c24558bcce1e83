"""Terraform's outputs with the addresses that guest agents tell."""

import copy

import pytest

from fleet.findings import Fault
from fleet.terraform import outputs

FIXED = {
    "user": "suporte",
    "node": "node01",
    "vmid": 500,
    "mac": "BC:24:11:00:00:01",
    "instance": "a1",
    "mounts": {},
}
PRINTED = {
    "vm_ips": {"value": {"k8s-a": None, "web": None, "db": "192.168.1.20"}},
    "k8s_nodes": {"value": {"k8s-a": {"address": None, "node": "node01", "vmid": 500}}},
    "ansible_inventory": {"value": {name: FIXED | {"address": address} for name, address in
                                    (("k8s-a", None), ("web", None), ("db", "192.168.1.20"))}},
    "templates": {"value": {}},
}  # fmt: skip


def test_a_machine_whose_address_only_its_agent_knows():
    found = outputs.machines(PRINTED)
    assert {name: one.address for name, one in found.items()} == {
        "k8s-a": "",
        "web": "",
        "db": "192.168.1.20",
    }
    assert (found["k8s-a"].node, found["k8s-a"].vmid, found["k8s-a"].mac) == (
        "node01",
        500,
        "BC:24:11:00:00:01",
    )


def test_every_output_gets_the_address():
    before = copy.deepcopy(PRINTED)
    filled = outputs.with_addresses(PRINTED, {"k8s-a": "192.168.1.60"})
    assert before == PRINTED
    assert filled["vm_ips"]["value"] == {"k8s-a": "192.168.1.60", "web": None, "db": "192.168.1.20"}
    assert filled["k8s_nodes"]["value"]["k8s-a"]["address"] == "192.168.1.60"
    assert outputs.machines(filled)["k8s-a"].address == "192.168.1.60"
    assert outputs.machines(filled)["web"].address == ""


@pytest.mark.parametrize(
    "words",
    [
        'Error: parse "postgres://u:hid%den@pg/d": invalid URL escape "%de"',
        'Error: parse "postgres://u:hid/den@pg/d": invalid port ":hid" after host',
        'Error: missing "=" after "hidden" in connection info string"',
    ],
)
def test_a_password_that_breaks_the_connection_string_is_not_quoted(tmp_path, monkeypatch, words):
    """What Terraform says of it was seen in Terraform 1.11."""
    program = tmp_path / "terraform"
    program.write_text(f"#!/bin/sh\necho '{words}' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("TERRAFORM", str(program))
    with pytest.raises(Fault, match="PG_CONN_STR is no connection string") as caught:
        outputs.load(None, tmp_path)
    assert "hid" not in str(caught.value)
