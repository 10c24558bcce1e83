"""The playbook template.yml as its users meet it: stage by stage, cut off anywhere, failed, and with clones."""

import re
import signal

import pytest

from lab.proxmox import faults

DOWNLOAD, CREATE = "Bring the image onto the node's storage", "Create the machine with its disks and firmware"
CONFIGURE, CONVERT = "Set size, cloud-init and devices", "Convert the machine"
PUBLISH = "Give the template its name"


def test_stages_one_by_one(lab):
    """As far as a tag goes, and on from there in another run; a template that is ready is left as it is."""
    only = lab.play("--tags=image")
    assert (only.changed, lab.templates()) == (1, {})
    assert "debian12-20261102-" in only.output
    assert lab.play("--tags=vm").changed == 2
    assert lab.templates() == {9001: "debian12-template-building"}
    assert lab.play("--tags=template").changed == 2
    assert lab.alone() == 9001
    again = lab.play("--tags=image")
    assert again.changed == 0 and "is on node01, verified" in again.output
    assert lab.play("--skip-tags=image").changed == 0
    second = lab.play()
    assert second.changed == 0 and "is as wanted" in second.output


def test_a_machine_that_is_not_to_become_a_template_yet(lab):
    assert lab.play(make_template=False).changed == 3
    assert lab.templates() == {9001: "debian12-template-building"}
    assert lab.play().changed == 2
    lab.alone()


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (DOWNLOAD, {"match": "TASK download:", "delay": 4}),
        (CREATE, {"match": "TASK qmcreate:", "delay": 4}),
        (CONFIGURE, {"match": "TASK resize:", "delay": 4}),
        (CONVERT, {"match": "TASK qmtemplate:", "delay": 4}),
        (CONVERT, {"match": "STEP qmtemplate:9001 scsi0", "delay": 4}),
    ],
)  # fmt: skip
def test_a_killed_run_is_finished_by_the_next(lab, task, fault):
    with faults.injected(fault):
        killed = lab.cut_off(task, signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    assert lab.play().changed
    lab.alone()


def test_a_run_that_is_killed_while_names_are_swapped(lab):
    assert lab.play().changed
    lab.publish("B")
    with faults.injected({"match": "PUT /nodes/node01/qemu/9001/config", "delay": 3}):
        lab.cut_off(PUBLISH, signal.SIGKILL)
    assert lab.play().changed
    assert lab.alone() == 9002


def test_a_run_that_is_interrupted_at_the_keyboard(lab):
    with faults.injected({"match": "TASK qmcreate:", "delay": 4}):
        stopped = lab.cut_off(CREATE, signal.SIGINT)
    assert stopped.code != 0 and "User interrupted execution" in stopped.output
    assert "run the same command again" in stopped.output
    assert lab.play().changed
    lab.alone()


FAILURES = {
    "preflight": (
        {"proxmox_template_storage": "nowhere", "bridge": "vmbr7"}, {}, "",
        ["nothing was changed:", "- node01 has no storage nowhere", "- node01 has no bridge vmbr7"],
    ),
    "image": (
        {}, {"match": "TASK download:", "error": "download failed - wget returned 4"}, ":download:",
        ["attempt 3 of 3", "look whether the node reaches that site"],
    ),
    "vm-create": ({}, {"full": "local-lvm", "at": 40}, ":qmcreate:9001:", ["qmcreate of 9001 on node01 failed"]),
    "vm-configure": (
        {}, {"match": "TASK resize:", "error": "lvresize: no space left"}, ":resize:9001:",
        ["debian12-template on node01 is half built, as VMID 9001", "  TASK ERROR: lvresize: no space left"],
    ),
    "template-create": (
        {}, {"match": "TASK qmtemplate:", "error": "interrupted by signal"}, ":qmtemplate:9001:",
        ["debian12-template on node01 is half built, as VMID 9001"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("stage", FAILURES)
def test_a_failure_says_what_there_is_and_how_to_go_on(lab, stage):
    variables, fault, task, said = FAILURES[stage]
    with faults.injected(fault):
        failed = lab.play(**variables)
    assert failed.code == 2
    said = [f"The stage {stage} failed", "run the same command again: it goes on with what is there", *said]
    assert [text for text in said if text not in failed.output] == [], failed.output
    assert re.search(rf"^Proxmox's task UPID:node01:\S+{task}\S*:$", failed.output, re.M) or not task, (
        failed.output
    )
    assert ("is half built" in failed.output) == bool(lab.templates())
    assert lab.play().changed
    lab.alone()
