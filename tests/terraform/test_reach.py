"""Whatever a VM file can say reaches Terraform's input; tests/lab/test_reach.py has what the provider makes of it."""

from pathlib import Path

import pytest
import yaml

from fleet.rules import file as rules
from fleet.terraform import tfvars
from fleet.vms.files import load_text
from fleet.vms.hardware import Hardware
from fleet.vms.machine import machine
from fleet.vms.schema import schema
from fleet.vms.violations import findings

CASES = Path(__file__).parents[1] / "cases/reach"
INPUT = yaml.safe_load((CASES / "input.yaml").read_text())
FILES = sorted(CASES.glob("*/*.yaml"))
# Fields that no case has: another resource of Terraform's, and a place in Vault.
ELSEWHERE = {"ha", "cipassword"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_input_of_a_case(path):
    vm, unread = load_text(path.name, path.read_text())
    assert [found for found in (*unread, *findings(vm), *rules.check(vm)) if found.level == "error"] == []
    data = tfvars.as_data(machine(vm))
    card = {key: data["network"][key] for key in ("queues", "link_down") if key in data["network"]}
    found = data.get("hardware", {}) | ({"network": card} if card else {})
    if any("format" in disk for disk in data["disks"]):
        found["disks"] = data["disks"]
    assert found == INPUT[path.stem][path.parent.name]


def test_every_field_beyond_the_basics_has_a_case():
    said = {field.rstrip("0123456789") for path in FILES for field in yaml.safe_load(path.read_text())}
    fields = {
        field.rstrip("0123456789") for field in Hardware._fields if field in {*schema()["properties"], "net"}
    }
    fields |= {part["x-name"].rstrip("N") for part in schema()["patternProperties"].values()}
    assert fields - said == ELSEWHERE & fields
