"""The status page from what the places say: stages, the line on top, names of strangers, size and speed."""

import json
import re
import time

import pytest

from fleet.ansible.queue import Entry
from fleet.drift import rows
from fleet.drift.sources import Sources
from fleet.preflight.room import Node, Room, Storage
from fleet.proxmox.guest import guest
from fleet.status.facts import facts
from fleet.status.page import headline, page
from fleet.terraform.state import Resource
from fleet.vms.machine import TAG

AT = "2026-11-27T07:00:00+00:00"
ROOM = Room(
    {"pve1": Node("pve1", True, 64 * 2**30, 32 * 2**30, 96 * 2**30)},
    {("local", "pve1"): Storage("local", "pve1", 100 * 2**30, 95 * 2**30)},
)


def fleet(count: int, **changes) -> Sources:
    names = [f"haproxy-{n}" for n in range(count)]
    entries = [
        {"vmid": n, "name": name, "node": "pve1", "status": "running", "tags": TAG}
        for n, name in enumerate(names)
    ]
    attributes = {"tags": [TAG], "started": True, "password": "hunter2", "description": "hunter3"}
    clean = {
        "files": {name: f"proxmox/vms/{name}.yaml" for name in names},
        "state": {
            name: Resource(n, "pve1", False, "address", (), attributes) for n, name in enumerate(names)
        },
        "addresses": {name: f"10.0.{n // 250}.{n % 250 + 1}" for n, name in enumerate(names)},
        "guests": tuple(map(guest, entries)),
        "configs": {},
        "inventory": {name: f"10.0.{n // 250}.{n % 250 + 1}" for n, name in enumerate(names)},
        "queue": (),
    }
    return Sources(**(clean | changes))


def told(has: Sources, room: Room | None = ROOM) -> dict:
    return facts(
        has, rows.find(has), room, {"proxmox/vms/haproxy-0.yaml": AT, "proxmox/new_hosts.txt": AT}, AT
    )


CASES = {
    "ready": ({}, "ready", "", "All is well: 1 machine"),
    "queued": (
        {"queue": (Entry("10.0.0.1", "haproxy-0", "haproxy"),)},
        "made, waits for haproxy",
        "",
        "1 waits for a playbook",
    ),
    "not made": (
        {"state": {}, "guests": (), "inventory": {}},
        "not made yet",
        "state: missing",
        "1 needs somebody: haproxy-0",
    ),
    "gone": ({"guests": ()}, "ready", "machine: missing", "1 needs somebody: haproxy-0"),
    "no state": (
        {"state": None, "unknown": ("Terraform's state: away",)},
        "unknown: the state could not be read",
        "",
        "1 could not be looked at",
    ),
}


@pytest.mark.parametrize(("changes", "stage", "needs", "line"), CASES.values(), ids=CASES)
def test_a_machine_and_the_line_on_top(changes, stage, needs, line):
    found = told(fleet(1, **changes))
    (machine,) = found["machines"]
    assert (machine["stage"], machine["needs"], headline(found)) == (stage, needs, line)
    assert machine["since"] == AT


def test_nothing_that_is_not_on_the_list_is_told():
    text = json.dumps(told(fleet(3))) + page(told(fleet(3)))
    assert "hunter" not in text


def test_a_name_is_text_and_never_a_part_of_the_page():
    evil = "</script><script>alert(1)</script>"
    stranger = guest({"vmid": 9, "name": evil, "node": "pve1", "status": "running", "tags": TAG})
    text = page(told(fleet(1, guests=(*fleet(1).guests, stranger))))
    assert "<script>alert" not in text and text.count("</script>") == 2
    data = re.search(r'id="facts">(.*?)</script>', text, re.S)[1]
    assert evil in {one["machine"] for one in json.loads(data)["drift"]}


def test_bars_are_what_proxmox_says():
    memory, storage = told(fleet(1))["room"]
    assert (memory["total"], memory["used"], memory["promised"]) == (64, 32, 96)
    assert (storage["name"], storage["total"], storage["used"]) == ("local (pve1)", 100, 95)
    assert told(fleet(1), None)["room"] == []


def test_a_thousand_machines_fit_and_are_quick():
    has, began = fleet(1000), time.process_time()
    text = page(told(has))
    assert time.process_time() - began < 2 and len(text) < 1_000_000
    assert "src=" not in text and "://" not in text
