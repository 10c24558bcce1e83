"""What a plan changes in a guest, in a VM file's words, and what of it needs a person's word.

tests/lab/test_takeover.py has the same with guests that were made by hand and the real provider.
"""

import copy
import re

import pytest

from fleet.plans import plan as changes
from fleet.plans.differences import differences
from fleet.plans.fields import FIELDS
from fleet.plans.guard import Allowed, judge
from fleet.plans.unseen import unseen
from fleet.vms.schema import schema
from tests.plans.test_plan_guard import IMPORT, MACHINE, entry, plan
from tests.vms.test_machine import fields_of


def change(before: dict, after: dict, **more) -> changes.Change:
    return changes.read(plan(entry(before, after, **more)))[0]


def with_block(block: str, **values) -> dict:
    machine = copy.deepcopy(MACHINE)
    machine[block][0] |= values
    return machine


def taken_over(name: str, cut_off: bool = False, **changed) -> dict:
    """A plan's entry that takes over a guest that is as its file says, but for our mark and `changed`."""
    after = (
        MACHINE
        | {"description": f"by hand\n\nproxmox-gitops: {name}", "tags": ["a", "proxmox-gitops"]}
        | changed
    )
    return entry(
        MACHINE | {"description": "by hand", "tags": ["a"]}, after, name, **({} if cut_off else IMPORT)
    )


@pytest.mark.parametrize(
    ("entries", "count"),
    [
        ([taken_over(f"a{n}") for n in range(30)], 0),
        ([taken_over(f"a{n}", tags=["a", "b", "proxmox-gitops"]) for n in range(30)], 30),
        ([entry(MACHINE, MACHINE | {"protection": True}, f"a{n}") for n in range(30)], 30),
        # A run that was cut off has left them in the state, as they were.
        ([taken_over(f"a{n}", cut_off=True) for n in range(30)], 0),
        (
            [*(taken_over(f"a{n}") for n in range(30)), *(entry(None, MACHINE, f"b{n}") for n in range(21))],
            21,
        ),
    ],
)
def test_a_takeover_that_changes_nothing_is_not_among_the_changes_that_are_limited(entries, count):
    found = changes.read(plan(*entries))
    judged = judge(found, Allowed(adopt=[one.name for one in found]))
    limit = [one.message for one in judged if "at once" in one.message]
    assert [message.split()[1] for message in limit] == ([str(count)] if count else [])


CLOUD_INIT = MACHINE["initialization"][0]
GPU = {"device": "hostpci0", "mapping": "a"}
HAND = MACHINE | {"description": "by hand"}
SHOWN = [
    (with_block("cpu", cores=2), MACHINE, ["cores: 2 → 4"]),
    (MACHINE | {"cpu": []}, MACHINE, ["cores: 1 → 4", "cpu_type: none → host"]),
    (MACHINE | {"memory": []}, MACHINE, ["memory: 512 → 3072"]),
    (with_block("memory", floating=512), MACHINE, ["balloon: 512 → none"]),
    (with_block("agent", timeout="1m", wait_for_ip=[]), MACHINE, []),
    (MACHINE | {"migrate": False, "reboot_after_update": True}, MACHINE, []),
    (MACHINE | {"tags": ["a"]}, MACHINE | {"tags": ["a", "b"]}, ["tags: a → a b"]),
    (MACHINE | {"started": False}, MACHINE, ["vm_state: stopped → running"]),
    (MACHINE | {"pool_id": None}, MACHINE | {"pool_id": ""}, []),
    (
        MACHINE | {"network_device": [*MACHINE["network_device"], {"bridge": "vmbr1", "model": "e1000"}]},
        MACHINE,
        ["net1: bridge=vmbr1,model=e1000 → none"],
    ),
    (MACHINE | {"network_device": [None, *MACHINE["network_device"]]}, MACHINE, 2),
    (
        MACHINE | {"initialization": [CLOUD_INIT | {"dns": [{"domain": "", "servers": ["9.9.9.9"]}]}]},
        MACHINE,
        ["nameserver: 9.9.9.9 → none"],
    ),
    (
        MACHINE
        | {"initialization": [CLOUD_INIT | {"user_account": [CLOUD_INIT["user_account"][0] | {"password": "x"}]}]},
        MACHINE,
        ["cipassword: (secret) → (secret)"],
    ),
    (MACHINE | {"description": "a\n::error::b"}, MACHINE | {"description": "x" * 99}, 1),
    (
        MACHINE | {"hostpci": [GPU, GPU | {"device": "hostpci2", "mapping": "b"}]},
        MACHINE | {"hostpci": [GPU | {"device": "hostpci2", "mapping": "c"}, GPU | {"device": "hostpci3"}]},
        ["hostpci0: device=hostpci0,mapping=a → none", "hostpci2.mapping: b → c",
         "hostpci3: none → device=hostpci3,mapping=a"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), SHOWN)
def test_differences(before, after, expected):
    found = list(map(str, differences(change(before, after))))
    assert (len(found) if isinstance(expected, int) else found) == expected
    assert all(text.isprintable() and len(text) < 160 for text in found)


# Fields that are no attribute: Terraform's own, and those whose name differs by slot.
NO_ATTRIBUTE = {
    "full_clone",
    "clone",
    "image",
    "vmid",
    "skip_ipv6",
    "formerly",
    "protected",
    "serial",
    "disks",
    "rng0",
    "ha",
    "cipassword",
    "address",
    "playbook_vars",
}


def test_every_field_of_a_file_has_its_attribute():
    """A field that is added to the VM file is one that a plan names as the file does."""
    fields = {
        re.sub(r"^(net|ipconfig|hostpci|usb|virtiofs)\d", r"\1", field) for field in fields_of(schema())
    }
    said = {
        field
        for field in fields - {"agent.enabled"}
        if field.split(".")[0] not in {*NO_ATTRIBUTE, "net", "ipconfig"}
    } | {"ipconfig0"}
    assert said - {"cicustom", "network"} <= {*FIELDS.values()} | {"usb", "hostpci", "virtiofs"}
    assert {*FIELDS.values()} - said <= {"network", "ipconfig0"}


JUDGED = [
    # before, after, import, known to the inventory, refusals
    (HAND, MACHINE | {"description": "by hand\n\nproxmox-gitops: k8s-dev"}, True, False, 0),
    (
        MACHINE | {"description": "", "tags": None},
        MACHINE | {"description": "proxmox-gitops: k8s-dev"},
        True,
        False,
        0,
    ),
    (HAND, MACHINE | {"description": "proxmox-gitops: k8s-dev"}, True, False, 2),
    (HAND | {"on_boot": False}, MACHINE, True, False, 3),
    # The guest was imported by a run that failed afterwards.
    (HAND | {"on_boot": False}, MACHINE, False, False, 3),
    # Ours: a clone that was cut off, and a machine that stands.
    (MACHINE | {"on_boot": False}, MACHINE, True, False, 0),
    (MACHINE | {"on_boot": False}, MACHINE, False, True, 0),
    (HAND | {"on_boot": False}, MACHINE, False, True, 0),
    (MACHINE | {"audio_device": [{"device": "AC97"}]}, MACHINE | {"audio_device": []}, False, True, 2),
    (MACHINE | {"audio_device": [{"device": "AC97"}]}, MACHINE | {"audio_device": []}, True, False, 0),
    # The file says so: what it does not say stays (tests/terraform/test_unsaid.py).
    (with_block("memory", floating=512), MACHINE, False, True, 0),
    (MACHINE | {"network_device": MACHINE["network_device"] * 2}, MACHINE, False, True, 0),
]


@pytest.mark.parametrize(("before", "after", "imported", "known", "count"), JUDGED)
def test_a_persons_word_is_needed(before, after, imported, known, count):
    found = [change(before, after, **(IMPORT if imported else {}))]
    names = {"k8s-dev"} if known else ()
    messages = [finding.message for finding in judge(found, Allowed(names))]
    assert len(messages) == count, messages
    assert not count or "commit with [adopt k8s-dev]" in messages[-1]
    assert judge(found, Allowed(names, adopt={"k8s-dev"})) == []


RAW = {"cpu": "host,flags=+aes,hidden=1", "agent": "1,freeze-fs-on-backup=0", "scsi0": "x:y,size=4G,wwn=1,ssd=1",
       "ide2": "local:iso/x.iso,media=cdrom,size=600M"}  # fmt: skip
UNSEEN = [
    (MACHINE, MACHINE | {"on_boot": False}, []),
    (with_block("cpu", cores=2), MACHINE, ["cpu.hidden"]),
    (with_block("agent", enabled=False), MACHINE, ["agent.freeze-fs-on-backup"]),
    (with_block("disk", cache="writeback"), MACHINE, ["scsi0.wwn"]),
    (MACHINE | {"initialization": []}, MACHINE, ["ide2"]),
]


@pytest.mark.parametrize(("before", "after", "expected"), UNSEEN)
def test_what_the_provider_would_drop_without_a_word(before, after, expected):
    assert [one.field for one in unseen(change(before, after), RAW)] == expected
