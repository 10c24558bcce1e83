"""The playbook template.yml as its users meet it: stage by stage, cut off anywhere, failed, and with clones."""

import json
import re
import signal

import pytest

from fleet.paths import PROXMOX_DIR
from fleet.proxmox import tasks
from lab.proxmox import faults
from tests.templates.conftest import WANTED

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
        (CREATE, {"match": "TASK qmcreate:", "delay": 10}),  # longer than the next run needs to get there
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


def clone(number, **more):
    return {
        "name": f"test-{number}",
        "cloud_init_ip": f"192.168.1.6{number}/24",
        "cloud_init_gw": "192.168.1.1",
    } | more


def test_one_of_five_clones_fails(lab):
    """Its VMID is a stranger's: the others run, and the run is red and says which one and why."""
    five = [clone(number) for number in range(1, 6)]
    five[2]["vmid"] = 600
    assert lab.play("--check", clones=five).changed and lab.templates() == {}
    stranger = lab.api.post("nodes/node01/qemu/9000/clone", newid=600, name="stranger")
    tasks.wait(lab.api, stranger, pause=0.1)
    failed = lab.play(clones=five)
    assert failed.code == 2
    said = "1 of 5 clones failed: test-3: VMID 600 is stranger (VMID 600 on node01)"
    assert said in failed.output, failed.output
    assert "The stage clones failed" in failed.output and "half built" not in failed.output
    running = {name for name, one in lab.names().items() if name.startswith("test-") and lab.runs(one)}
    assert running == {"test-1", "test-2", "test-4", "test-5"}
    good = [one for one in five if one["name"] != "test-3"]
    assert lab.play(clones=good).changed == 0
    assert lab.play("--check", clones=good).changed == 0
    assert lab.play(clones=[clone(7)], create_clones=False).changed == 0
    assert lab.play("--tags=clones", clones=[clone(6)]).changed
    assert lab.runs(lab.names()["test-6"]) and "test-7" not in lab.names()


def test_a_list_of_clones_that_cannot_be_is_refused_at_once(lab):
    wrong = [clone(1), clone(1, vmid=600), clone(2, vmid=600, cloud_init_ip="192.168.1.61/24"),
             clone(3, cloud_init_ip="192.168.1.300/24")]  # fmt: skip
    failed = lab.play(clones=wrong)
    assert failed.code == 2 and not lab.templates()
    for said in ("- clones test-1 and test-1 have the same name, test-1; change one",
                 "- clones test-1 and test-2 have the same VMID, 600",
                 "- clones test-1 and test-2 have the same address, 192.168.1.61",
                 "- clone test-3: cloud_init_ip is wrong: "):  # fmt: skip
        assert said in failed.output, failed.output
    misspelt = lab.play(clones=[{"name": "a", "ip": "192.168.1.61/24"}])
    assert misspelt.code == 2 and "ip. Supported parameters include" in misspelt.output, misspelt.output
    assert not lab.templates()


def platform(lab, action: str, **variables: object):
    script = str(PROXMOX_DIR / "manage-platform.sh")
    return lab.run(
        script, "-h", "node01", "proxmox_template", action, "--", "-e", json.dumps(WANTED | variables)
    )


def one_task(lab, name: str):
    return lab.run(str(PROXMOX_DIR / "platform-exec.sh"), "-h", "node01", "proxmox_template", name)


def test_the_life_of_a_template_by_the_platforms_scripts(lab):
    assert platform(lab, "build").changed == 5
    assert platform(lab, "build").changed == 0
    row = re.compile(r"debian12-template +9001 +node01 +ready +debian12-20261102-")
    for shown in (platform(lab, "verify"), platform(lab, "list"), one_task(lab, "verify")):
        assert shown.changed == 0 and row.search(shown.output), shown.output
    cleaned = one_task(lab, "cleanup")
    assert cleaned.changed == 0 and "there is nothing to clean up" in cleaned.output
    refused = platform(lab, "destroy")
    assert refused.code == 2 and "say so with -e proxmox_template_confirm=debian12-template" in refused.output
    assert lab.alone() == 9001
    confirmed = {"proxmox_template_confirm": "debian12-template"}
    assert [platform(lab, "destroy", **confirmed).changed for _ in range(2)] == [1, 0]
    missing = platform(lab, "verify")
    assert (
        missing.code == 2 and "there is no template debian12-template that was built here" in missing.output
    )
    assert platform(lab, "cleanup").changed == 0
    assert lab.templates() == {}
