"""The chain in a lab of its own (.lab-bench): where the seconds between a push and its run's end go.

Every 20 ms the processes of the run of terraform-apply.yml are looked at, which Ansible is part of; such a
moment counts for the first of PARTS that one of them belongs to.
"""

import contextlib
import os
import re
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bench import ENVIRONMENT, ROOT, Row

NOTE = """
One push to the lab's forge per run, each of one new K3s machine, then of one and of twenty HAProxy
machines; seconds from the start of the run of `terraform-apply.yml` to its end, beside it the whole chain.
Every 20 ms the run's processes are looked at: a moment counts for Terraform or Ansible while one of their
processes runs, for the boot while SSH and cloud-init are waited for, for this project's scripts while one of
them is at work (their Python, or git and ansible-inventory that they call; also after the release has ended
and until that is seen, and in `update_kubeconfig.py` called by Ansible), and for the runner (act, checkout,
environment) otherwise. A machine of the lab boots in about half a second, which no share here can hide
behind. The steps are the same seconds once more.
"""
FOLDER, MANY = ROOT / ".lab-bench", 20
PYTHON, TOOLS, REST = "their Python", "git and ansible-inventory, called by them", "the runner"
TERRAFORM, ANSIBLE, BOOT, RELEASE = "Terraform", "Ansible", "the machine's boot", "waiting for the release"
PARTS = {
    TERRAFORM: r"(^|/)(terraform(-provider-\S*)?|tofu) ",
    PYTHON: r"scripts/update_kubeconfig\.py ",  # called by Ansible, but no work of Ansible's
    ANSIBLE: r"/ansible-playbook ",
    BOOT: r"^(ssh|ssh-keyscan) ",
    RELEASE: r"scripts/wait_for_release\.py ",
}
OWN = r"scripts/\w+\.py "
TOOL = r"^git |^\S*/git |/ansible-inventory "


def part(lines: list[str]) -> str:
    """What a moment counts for, by the command lines of a run's processes."""
    text = "\n".join(lines)
    for name, pattern in PARTS.items():
        if re.search(pattern, text, re.M):
            return name
    if not re.search(OWN, text):
        return REST
    return TOOLS if re.search(TOOL, text, re.M) else PYTHON


def observed(action: Callable[[], list[dict]]) -> tuple[list[dict], list[tuple[float, dict]]]:
    """What `action` returns, and for each moment the command lines of each run's processes."""
    from lab import cgroup

    seen, over = [], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            runs: dict[str, list[str]] = {}
            for pid in cgroup.pids("forge.daemon"):
                try:
                    number = re.search(rb"LAB_FORGE_RUN=[^\0]*#(\d+)", _read(pid, "environ"))
                    line = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if number:
                    runs.setdefault(number[1].decode(), []).append(line)
            seen.append((time.time(), runs))

    watch = threading.Thread(target=look)
    watch.start()
    try:
        return action(), seen
    finally:
        over.set()
        watch.join()


def push(fleet, names: dict[str, str], tag: str) -> dict[str, float]:
    """Push machines ({name: address}) with a tag: seconds by part, and by step of the job."""
    from lab import user
    from lab.forge import client

    files = {}
    for name, address in names.items():
        files[f"proxmox/vms/{name}.yaml"] = user.machine_file(name, address, memory=512)
    message = f"feat(proxmox): add {len(names)} machines [ansible {tag}]"
    runs, seen = observed(lambda: client.wait(fleet.push(message, files)))
    if bad := client.failed(runs):
        raise SystemExit(f"bench: {bad[0]['path']} failed; its log ends:\n{client.log(bad[0]['id'])[-3000:]}")
    run = next(run for run in runs if "terraform-apply" in run["path"])
    released = max(_at(other["completed_at"]) for other in runs if "release" in other["path"])
    end = _at(run["completed_at"])
    found = dict.fromkeys([*PARTS, TOOLS, REST], 0.0)
    moments = [(when, part(runs.get(str(run["id"]), []))) for when, runs in seen]
    boots = [when for when, name in moments if name == BOOT]
    for (when, name), (following, _) in zip(moments, [*moments[1:], (end, "")], strict=True):
        if not _at(run["run_started_at"]) <= when <= end:
            continue
        if name == RELEASE and when > released:
            name = PYTHON  # it slept on
        elif name == PYTHON and boots and boots[0] < when < boots[-1]:
            name = BOOT  # between two tries to log in
        found[name] += following - when
    for job in run["jobs"]:
        for step in job["steps"]:
            if step["completed_at"]:
                name = f"step {job['name']} / {step['name']}"
                found[name] = found.get(name, 0) + _at(step["completed_at"]) - _at(step["started_at"])
    return found | {"all": end - _at(run["run_started_at"])}


@contextlib.contextmanager
def new_fleet():
    """A clone in a new lab, so that the machines of before take no memory."""
    from lab import daemons, setup
    from lab.clone import Clone

    os.environ.clear()
    os.environ.update(ENVIRONMENT, LAB_DIR=str(FOLDER))
    daemons.down()
    shutil.rmtree(FOLDER, ignore_errors=True)
    setup.everything()
    daemons.up()
    try:
        yield Clone(FOLDER / "person" / "fleet")
    finally:
        daemons.down()


def rows(runs: int) -> list[Row]:
    with new_fleet() as fleet:
        single = [push(fleet, {f"k8s-{n}": f"192.168.1.{20 + n}"}, f"k8s-{n}") for n in range(runs)]
        one = push(fleet, {"haproxy-one": "192.168.1.100"}, "haproxy")
    with new_fleet() as fleet:
        push(fleet, {"k8s-0": "192.168.1.20"}, "k8s-0")  # what the HAProxy machines balance
        many = push(fleet, {f"haproxy-{n}": f"192.168.1.{101 + n}" for n in range(MANY)}, "haproxy")
    median = {name: statistics.median(found.get(name, 0) for found in single) for name in single[0]}
    whole, size = median.pop("all"), "1 K3s machine"
    own = median[PYTHON] + median[TOOLS]
    others = own + median[RELEASE] + median[REST]
    result = [
        Row("the chain: this project's scripts / all of it", size, own, whole, 0.15),
        Row("… everything but Terraform, boot and Ansible", size, others, whole),
        *(Row(f"… {name}", size, took, whole) for name, took in median.items() if took >= whole / 50),
    ]
    size = f"{MANY} HAProxy machines"
    result += [
        Row("the chain: this project's scripts / all of it", size, many[PYTHON] + many[TOOLS], many["all"]),
        *(Row(f"… {name}", size, many[name], many["all"]) for name in (TERRAFORM, BOOT, ANSIBLE)),
        Row("the chain: in one push / one machine", size, many["all"], one["all"]),
    ]
    return result


def _read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
