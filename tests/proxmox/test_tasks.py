"""Waiting for tasks, at a server that tells their states one after the other."""

from urllib.parse import quote

import pytest

from fleet.findings import Fault
from fleet.proxmox import errors, tasks
from tests.helpers.https_server import certificate, serving

UPID = "UPID:node01:0000A1B2:00C3D4E5:66554433:qmclone:120:ci@pve!gitops:"
PATH = f"nodes/node01/tasks/{quote(UPID, safe='')}"
EMPTY = (200, "OK", {"data": [{"n": 1, "t": "no content"}]})  # Proxmox's word for an empty log
RUNNING = (200, "OK", {"data": {"status": "running"}})


def stopped(exitstatus):
    return (200, "OK", {"data": {"status": "stopped", "exitstatus": exitstatus}})


@pytest.fixture
def wait(tmp_path, use):
    pem = certificate(tmp_path)

    def waited(status: list, log=None, **options):
        with serving(pem, {f"{PATH}/status": status, f"{PATH}/log": log or EMPTY}) as endpoint:
            return tasks.wait(use(endpoint, pem), UPID, pause=0.01, **options)

    return waited


@pytest.mark.parametrize(
    "status",
    [
        [RUNNING, RUNNING, stopped("OK")],
        [(595, "No route to host", {}), RUNNING, (500, "boom", {}), stopped("OK")],
        [RUNNING, (0, "", "hang up"), stopped("OK")],
    ],
)
def test_it_ends_well(wait, status):
    assert wait(status) == "OK"


def log(*lines):
    return (200, "OK", {"data": [{"n": number, "t": text} for number, text in enumerate(lines, 1)]})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (log("x", "WARN: no agent", "WARN: old", "TASK WARNINGS: 2"), "warnings: WARN: no agent / WARN: old"),
        ((403, "no", {}), "warnings: see its log in Proxmox"),
    ],
)
def test_warnings_are_no_failure_and_said(wait, lines, words):
    said = []
    assert wait([stopped("WARNINGS: 2")], lines, say=said.append) == "WARNINGS: 2"
    assert len(said) == 1 and words in said[0]


def test_a_failure_has_the_end_of_the_log(wait):
    lines = log("a", "b", "transferred 10%", "qemu-img: broken", "TASK ERROR: unable to import")
    with pytest.raises(tasks.Failed) as caught:
        wait([stopped("unable to import")], lines)
    assert str(caught.value).endswith("failed: unable to import; its log says: a / b / qemu-img: broken")
    assert caught.value.log[-1] == "TASK ERROR: unable to import"


@pytest.mark.parametrize(
    ("status", "timeout", "words"),
    [
        ([stopped("unable to create VM 120\n")], 9,
         "Proxmox's task qmclone of 120 on node01 failed: unable to create VM 120"),
        ([stopped(None)], 9, "failed: no exit status"),
        ([RUNNING], 0.05, "task qmclone of 120 on node01 did not end within 0.05 s; see its log in Proxmox"),
        ([(595, "No route", {})], 0, "; a node does not answer the cluster"),
    ],
)  # fmt: skip
def test_it_does_not(wait, status, timeout, words):
    with pytest.raises(Fault) as caught:
        wait(status, timeout=timeout)
    assert words in str(caught.value)
    assert caught.value.code == 2


@pytest.mark.parametrize("status", [401, 403])
def test_what_waiting_does_not_mend_ends_at_once(wait, status):
    with pytest.raises(errors.Refused):
        wait([(status, "no", {})])


def test_progress(wait):
    def log(*lines):
        return (200, "OK", {"data": [{"n": number, "t": text} for number, text in lines]})

    shown = []
    logs = [
        log((1, "no content")),
        log((1, "drive 10%"), (2, "drive \x1b[1m")),
        log((2, "drive \x1b[1m20%")),  # the last line of a task that runs may grow
        log((2, "drive \x1b[1m20%"), (3, "TASK OK")),
    ]
    assert wait([RUNNING, RUNNING, RUNNING, stopped("OK")], logs, progress=shown.append) == "OK"
    assert shown == ["drive 10%", "drive \\x1b[1m20%", "TASK OK"]


@pytest.mark.parametrize("answer", [None, 120, "", "UPID:", "UPID:node01:1:2:3:qmclone:120"])
def test_no_upid(answer):
    assert not tasks.is_upid(answer)
    with pytest.raises(Fault, match="is not the UPID of a task"):
        tasks.parse(answer)
