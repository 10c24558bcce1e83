"""What the schema says of when a change takes effect, what the plan says of it, and under which name: all the same.

A field that is added to the schema alone fails here, until the plan's reading (fleet.plans.fields and restarts) has it.
"""

import copy
import re
from typing import Any

import pytest

from fleet.plans.differences import differences
from fleet.plans.fields import FIELDS
from fleet.plans.plan import Change
from fleet.vms.schema import part_of, schema
from tests.plans.test_plan_guard import MACHINE
from tests.vms.test_machine import fields_of

# Whether the plan says that a restart is needed, for each of the schema's words that say anything of a restart.
WORDS = {"at once": False, "restart": True, "cloud-init": True}
# Fields that Terraform's plan does not show by themselves.
ELSEWHERE = {
    "address": "read from the guest agent",
    "agent.enabled": "the field agent",
    "disks": "seen by its fields",
    "formerly": "the key of the machine's object, whose change is seen as its name's",
    "protected": "the field protection",
    "pool": "not of the machine itself",
    "skip_ipv6": "part of ipconfig0",
    "vm_state": "the start and the stop themselves",
} | dict.fromkeys(
    ("rng0.source", "rng0.max_bytes", "rng0.period"), "set through the API, which says it (steps.provider)"
) | dict.fromkeys(
    ("ha.state", "ha.group", "ha.max_restart", "ha.max_relocate"), "a resource of its own"
)  # fmt: skip
FIELDS_BY_NAME = {field: path for path, field in FIELDS.items()}
KINDS = {
    "net": "network",
    "ipconfig": "ipconfig0",
    "hostpci": "hostpci",
    "usb": "usb",
    "virtiofs": "virtiofs",
}
DEVICE = {"mapping": "a", "usb3": False, "pcie": False, "rombar": True, "xvga": False, "mdev": "", "host": ""}
BEFORE = copy.deepcopy(MACHINE) | {
    "vga": [{"type": "std", "memory": 16, "clipboard": ""}],
    "startup": [{"order": 1, "up_delay": -1, "down_delay": -1}],
    "cdrom": [{"enabled": False, "file_id": "none", "interface": "ide3"}],
    "watchdog": [{"enabled": True, "model": "i6300esb", "action": "none"}],
    "hostpci": [DEVICE | {"device": "hostpci0"}],
    "usb": [DEVICE],
    "virtiofs": [{"mapping": "a", "cache": "auto", "direct_io": False, "expose_acl": False, "expose_xattr": False}],
}  # fmt: skip
BEFORE["network_device"] += copy.deepcopy(BEFORE["network_device"])
BEFORE["initialization"][0]["ip_config"] += copy.deepcopy(BEFORE["initialization"][0]["ip_config"])
BEFORE["initialization"][0]["dns"] = [{"domain": "lan", "servers": ["9.9.9.9"]}]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value or ''}x" if not isinstance(value, list) else [*value, "x"]


def changed(path: str, index: int) -> dict:
    """The machine with another value at a path of the provider's; of a kind with several blocks in this one."""
    after = copy.deepcopy(BEFORE)
    if path == "initialization.ip_config":
        after["initialization"][0]["ip_config"][index]["ipv4"] = [{"address": "10.0.0.9/24", "gateway": ""}]
        return after
    place: Any = after
    *steps, last = path.split(".")
    for step in steps:
        blocks = place[step]
        place = blocks[index if len(blocks) > index else 0]
    place[last] = other(place[last])
    return after


def is_plain(field: str) -> bool:
    return part_of(field).get("x-takes-effect") in WORDS and field not in ELSEWHERE


@pytest.mark.parametrize("field", [field for field in fields_of(schema()) if is_plain(field)])
def test_a_change_is_named_and_said_to_wait_as_the_schema_has_it(field):
    slot = re.match(r"(net|ipconfig|hostpci|usb|virtiofs)(\d)(?=\.|$)", field)
    kind, index = (KINDS[slot[1]], int(slot[2])) if slot and field != "ipconfig0" else ("", 0)
    name = kind + field.removeprefix(slot[0]) if kind else field
    path = FIELDS_BY_NAME.get(name, "")
    if field.startswith("disks.scsi1."):
        path, index = field.replace("disks.scsi1", "disk"), 1
    assert path, f"{field}: fleet.plans.fields has no attribute for it, or ELSEWHERE no reason"
    after = changed(path, index)
    change = Change("k8s-dev", "update", BEFORE, after, (), False, False)
    assert [(one.field, one.said) for one in differences(change)] == [(field, True)]
    waits = bool(change.restart) or change.renews_host_keys
    assert waits == WORDS[part_of(field)["x-takes-effect"]], f"{field}: {change.restart}"
