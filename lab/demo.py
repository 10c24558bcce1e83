"""The demo: a commit becomes two running machines, and what else happens in a machine's life.

Steps: create (or, when the machines are there, proof that a second run changes nothing), memory, disk, drift,
remove. All of them the first time, `create` alone later. Exit codes: 0 done, 1 a stage failed, 2 wrong usage.
"""

import argparse
import re
import time
from datetime import datetime
from pathlib import Path

from lab import LabError, daemons, lab_dir, setup, user
from lab.forge import client

K8S, HAPROXY = "k8s-dev", "haproxy-dev"
ADDRESS = {K8S: "192.168.1.20", HAPROXY: "192.168.1.30"}
FILE = {name: f"proxmox/vms/{name}.yaml" for name in ADDRESS}
QUEUE, INVENTORY = "proxmox/new_hosts.txt", "proxmox/k8s.ini"


def machine(name: str, **changes) -> str:
    """The VM file of one of the demo's two machines."""
    disks = {"scsi0": {"size": "4G", "storage": "local-lvm"}}
    if name == K8S:
        disks["scsi1"] = {"size": "2G", "storage": "local-lvm", "mount": "/mnt/storage"}
    defaults = {"cores": 2, "memory": 2048} if name == K8S else {"node": "node02"}
    return user.machine_file(name, ADDRESS[name], **{"disks": disks, **defaults, **changes})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo STEP=…", description=__doc__)
    parser.add_argument("step", nargs="?", choices=STEPS, help="one step alone")
    chosen = parser.parse_args(argv).step
    started = time.monotonic()
    setup.everything()
    if up := daemons.up():
        say(f"the lab is up: {', '.join(up)}")
    done = lab_dir() / "demo" / "complete"
    fleet = user.fleet()
    if newer := fleet.update():
        title("the fleet takes what this checkout has committed since the last demo")
        served(newer)
    steps = [chosen] if chosen else ["create"] if done.exists() else list(STEPS)
    for step in steps:
        STEPS[step](fleet)
    if not chosen:
        if len(steps) > 1:
            create(fleet)  # `remove` took the HAProxy machine away
        done.touch()
        say(
            f"done in {time.monotonic() - started:.0f} s; look around: make lab-status,"
            f" .venv/bin/python -m lab.forge runs, {fleet.path};"
            f" one step alone: make demo STEP={'|'.join(STEPS)}"
        )
    return 0


def create(fleet: user.Clone) -> None:
    """Both machines from one commit, or proof that nothing changes when they are there."""
    fleet.pull()
    missing = [name for name in ADDRESS if not (fleet.path / FILE[name]).exists()]
    if not missing:
        return again(fleet)
    tags = " ".join(f"[ansible {name if name == K8S else 'haproxy'}]" for name in missing)
    message = f"feat(proxmox): add {' and '.join(missing)} {tags}"
    title(f"a commit on a branch, merged and pushed: {message}")
    for name in missing:
        print(machine(name))
    known = fleet.read(INVENTORY)
    commit = fleet.merge_branch("add-machines", message, {FILE[name]: machine(name) for name in missing})
    runs = served(commit)
    table(fleet, runs)
    # A machine that was only about to be removed is there still, and needs nothing.
    prove(fleet, "" if all(f"{name} ansible_host" in known for name in missing) else tags)


def again(fleet: user.Clone) -> None:
    """A second run of everything: Terraform, Ansible and Vault have nothing to change."""
    title("a second run of everything changes nothing")
    before = user.kubeconfig()[1]
    applied = served(number=client.dispatch("terraform-apply.yml"))
    need("No changes" in client.log(applied[0]["id"]), "Terraform has nothing to change")
    runs = [provision("k8s", K8S), provision("haproxy", HAPROXY)]
    need(all(count == 0 for run in runs for count in changed(run)), "Ansible reports 0 changed")
    need(user.kubeconfig()[1] == before, f"Vault still has version {before}")
    table(fleet, applied)
    prove(fleet)
    title("a task undone by hand is done again, and nothing else")
    user.ssh(ADDRESS[HAPROXY], "sudo rm /etc/haproxy/haproxy.cfg")
    need(sum(changed(provision("haproxy", HAPROXY))) > 0, "Ansible reports what it mended as changed")


def memory(fleet: user.Clone) -> None:
    """More memory is written, and needs a restart that nobody makes unasked."""
    title("more memory: the plan says that a restart is needed, nothing is cut")
    boot = user.ssh(
        ADDRESS[K8S], "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp k3s"
    )
    text = fleet.read(FILE[K8S])
    size = int(re.search(r"memory: (\d+)", text)[1]) + 512
    runs = served(fleet.push(f"feat(proxmox): {K8S} gets {size} MB", {FILE[K8S]: _set(text, "memory", size)}))
    need(
        re.search(rf"{K8S}.*restart|restart.*{K8S}", _logs(runs)), f"the run says that {K8S} needs a restart"
    )
    after = user.ssh(
        ADDRESS[K8S], "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp k3s"
    )
    need(after == boot, "the machine was not touched")


def disk(fleet: user.Clone) -> None:
    """A disk grows while in use, and the machine sees it."""
    title("a bigger disk, online")
    device = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"
    before = int(user.ssh(ADDRESS[K8S], f"lsblk -bdno SIZE {device}"))
    text = fleet.read(FILE[K8S])
    head, _, tail = text.partition("scsi1:")
    gib = before // 2**30 + 1
    served(fleet.push(f"feat(proxmox): {K8S} gets a disk of {gib} GiB", {
        FILE[K8S]: f"{head}scsi1:{re.sub(r'size: [0-9]+G', f'size: {gib}G', tail, count=1)}"
    }))  # fmt: skip
    print(user.ssh(ADDRESS[K8S], f"lsblk {device}"))
    need(
        int(user.ssh(ADDRESS[K8S], f"lsblk -bdno SIZE {device}")) == gib * 2**30,
        f"the machine sees {gib} GiB",
    )
    provision("k8s", K8S)
    size = int(user.ssh(ADDRESS[K8S], "df --output=size -B1 /mnt/storage | tail -1"))
    need(size > 0.9 * gib * 2**30, "the playbook gave the new space to its file system")


def drift(fleet: user.Clone) -> None:
    """A change behind Terraform's back appears in the plan."""
    title("memory changed behind Terraform's back appears in the plan")
    fleet.pull()
    vmid = user.terraform_output(fleet)["vm_ids"][HAPROXY]
    _set_memory(vmid, 1536)
    try:
        plan = user.inside(
            ["python3", str(fleet.path / "scripts/apply_terraform.py"), "--plan-only"], check=False
        )
        print(
            "\n".join(
                line
                for line in plan.splitlines()
                if "memory" in line or "dedicated" in line or "Plan:" in line
            )
        )
        need(re.search(r"dedicated\s+= 1536 -> 1024", plan), "the plan shows 1536 -> 1024")
    finally:
        _set_memory(vmid, 1024)


def remove(fleet: user.Clone) -> None:
    """A removed file destroys nothing until a commit says so; then all that belongs to the machine goes."""
    title("a removed VM file: refused, while other pushes go on")
    fleet.pull()
    if not (fleet.path / FILE[HAPROXY]).exists():
        create(fleet)
    before = fleet.read(INVENTORY), user.kubeconfig()
    runs = user.wait(fleet.push(f"chore(proxmox): remove {HAPROXY}", {FILE[HAPROXY]: None}), told=say)
    need(
        user.failed(runs) and f"[destroy {HAPROXY}]" in _logs(runs), "the run is red and says what is missing"
    )
    text = fleet.read(FILE[K8S])
    served(fleet.push("docs(proxmox): another push", {FILE[K8S]: text + "# another push\n"}))
    user.ssh(ADDRESS[HAPROXY], "true")
    need(True, f"another push went through, and {HAPROXY} still runs")

    title(f"a commit that says [destroy {HAPROXY}]")
    served(fleet.push(f"chore(proxmox): it is no longer needed [destroy {HAPROXY}]", {}))
    fleet.pull()
    kept = [line for line in before[0].splitlines() if not line.startswith(HAPROXY)]
    need(
        fleet.read(INVENTORY).splitlines() == kept,
        "its inventory lines are gone, all others are as they were",
    )
    need(HAPROXY not in fleet.read(QUEUE), "it is not in the queue")
    need(user.kubeconfig() == before[1], "the clusters in Vault are as they were")
    need(HAPROXY not in user.terraform_output(fleet)["vm_ips"], "Terraform no longer has it")
    need(user.ssh(ADDRESS[HAPROXY], "echo ok", check=False) != "ok", "it no longer answers")


STEPS = {"create": create, "memory": memory, "disk": disk, "drift": drift, "remove": remove}


def served(commit: str | None = None, number: int | None = None) -> list[dict]:
    """Wait for the runs; LabError with the failing job's last lines if one of them failed."""
    runs = user.wait(commit, number, told=say)
    for run in user.failed(runs):
        job = next((job["name"] for job in run["jobs"] if job["conclusion"] == "failure"), "")
        lines = [line for line in client.log(run["id"]).splitlines() if f" {job} | " in line or not job]
        print("\n".join(lines[-25:]))
        raise LabError(
            f"{run['path']}, job {job!r} failed; look further: .venv/bin/python -m lab.forge log {run['id']}"
        )
    return runs


def provision(playbook: str, name: str) -> dict:
    """Run the workflow ansible by hand on one machine."""
    return served(number=client.dispatch("ansible.yml", {"playbook": playbook, "hosts": name}))[0]


def changed(run: dict) -> list[int]:
    """What Ansible's recap says was changed, for each machine of a run."""
    return [int(count) for count in re.findall(r"ok=\d+\s+changed=(\d+)", client.log(run["id"]))]


def prove(fleet: user.Clone, tags: str = "") -> None:
    """What somebody who trusts nobody would look at."""
    title("proof from outside")
    need(
        user.kubectl(K8S, "get", "--raw", "/readyz") == "ok", f"kubectl --context {K8S} get --raw /readyz: ok"
    )
    print(user.kubectl(K8S, "get", "namespaces"))
    answer = user.kubectl(
        K8S,
        f"--server=https://{ADDRESS[HAPROXY]}:6443",
        f"--tls-server-name={ADDRESS[K8S]}",
        "get",
        "--raw",
        "/version",
    )
    need("gitVersion" in answer, f"the same API answers through {HAPROXY}")
    fleet.pull()
    print(fleet.git("log", "-12", "--format=%h %s"))
    record = f"Auto-update Ansible inventory {tags or '[ansible'}"
    need(record in fleet.git("log", "--format=%s"), "the tagged commit is the record")
    waiting = [line for line in fleet.read(QUEUE).splitlines() if line and not line.startswith("#")]
    need(not waiting, "the queue is empty")


def table(fleet: user.Clone, runs: list[dict]) -> None:
    """The machines, and how long each stage took."""
    fleet.pull()
    output = user.terraform_output(fleet)
    contexts = {item["name"]: item["context"]["cluster"] for item in user.kubeconfig()[0].get("contexts", [])}
    steps = [(job["name"], step) for run in runs for job in run["jobs"] for step in job["steps"]]
    log = _logs(runs)
    created = dict(re.findall(r'this\["([^"]+)"\]: Creation complete after (\w+)', log))
    provisioned = dict(re.findall(r"\| (\S+) +\w+ +ok +\d+ +(\d+)$", log, re.M))
    title("the machines")
    print(f"{'machine':<14}{'node':<8}{'VMID':<6}{'address':<15}{'created':<12}{'provisioned':<13}cluster")
    for name, one in sorted(output["ansible_inventory"].items()):
        made = f"in {created[name]}" if name in created else "was there"
        played = f"in {provisioned[name]}s" if name in provisioned else "was"
        where = f"{name:<14}{one['node']:<8}{one['vmid']:<6}{one['address']:<15}"
        print(f"{where}{made:<12}{played:<13}{contexts.get(name, '-')}")
    print(f"\n{'stage':<60}{'seconds'}")
    for job, step in steps:
        if step["completed_at"]:
            print(f"{(job + ' / ' + step['name'])[:58]:<60}{_seconds(step):>7.1f}")
    for run in runs:
        seconds = _seconds(run | {"started_at": run["run_started_at"]})
        print(f"{'all of ' + Path(run['path']).name:<60}{seconds:>7.1f}")


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def need(condition: object, text: str) -> None:
    """Tell what was proven, or end the demo."""
    if not condition:
        raise LabError(f"NOT so: {text}")
    say(f"proven: {text}")


def _seconds(item: dict) -> float:
    begin, end = (datetime.fromisoformat(item[key]) for key in ("started_at", "completed_at"))
    return (end - begin).total_seconds()


def _logs(runs: list[dict]) -> str:
    return "\n".join(client.log(run["id"]) for run in runs)


def _set(text: str, field: str, value: object) -> str:
    return re.sub(rf"^{field}: .*$", f"{field}: {value}", text, flags=re.M)


def _set_memory(vmid: int, size: int) -> None:
    """What somebody does who clicks in Proxmox's own interface."""
    program = (
        "import os, sys, urllib.request as r; e = os.environ; vmid, size = sys.argv[1:];"
        "h = {'Authorization': 'PVEAPIToken=' + e['PROXMOX_VE_API_TOKEN']};"
        "p = f'api2/json/nodes/node02/qemu/{vmid}/config'; d = f'memory={size}'.encode();"
        "r.urlopen(r.Request(e['PROXMOX_VE_ENDPOINT'] + p, d, h, method='PUT')).read()"
    )
    user.inside(["python3", "-c", program, str(vmid), str(size)])
