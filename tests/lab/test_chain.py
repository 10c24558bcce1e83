"""The whole chain on the lab: from a person's push to a cluster in Vault, on good days and on bad ones.

The tests build on each other in their order: one fleet grows, is disturbed and is looked at.
"""

import base64
import contextlib
import json
import re
import subprocess
import sys
import time

import pytest

import lab as laboratory
from lab import network, user, vault
from lab.clone import Clone
from lab.demo import changes, creation, proof
from lab.forge import client
from lab.forge.settings import SECRETS
from lab.proxmox import faults

QUEUE, INVENTORY = proof.QUEUE, proof.INVENTORY
CRASH = "k8s-crash"


def queued(fleet: Clone) -> list[str]:
    fleet.pull()
    return [line for line in fleet.read(QUEUE).splitlines() if line and not line.startswith("#")]


def push_machine(fleet: Clone, name: str, address: str, tag: str, **changes) -> str:
    text = user.machine_file(name, address, **changes)
    return fleet.push(f"feat(proxmox): add {name} [ansible {tag}]", {f"proxmox/vms/{name}.yaml": text})


def apply_run(commit: str) -> int:
    """The number of the run that applies a pushed commit."""
    return until(lambda: next(iter(client.runs(commit, "terraform-apply.yml")), {}).get("id"), "its run")


def until(condition, what: str, seconds: float = 120):
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")


def until_said(number: int, pattern: str) -> None:
    def said() -> bool:
        ended = client.run(number)["status"] == "completed"  # before its log is read, which is whole then
        text = client.log(number)
        found = re.search(pattern, text)
        if ended and not found:
            pytest.fail(f"run {number} ended without saying {pattern!r}:\n{text[-3000:]}")
        return bool(found)

    until(said, f"{pattern!r} in run {number}")


def proxmox(path: str):
    """A GET of the Proxmox API, as its owner."""
    program = (
        "import os, requests; e = os.environ; "
        f"a = requests.get(e['PROXMOX_VE_ENDPOINT'] + 'api2/json/{path}',"
        " headers={'Authorization': 'PVEAPIToken=' + e['PROXMOX_VE_API_TOKEN']}); print(a.text)"
    )
    return json.loads(user.inside(["python3", "-c", program]))["data"]


def machines() -> dict[str, list[dict]]:
    """Proxmox's machines by name; two of a name would be a duplicate."""
    found: dict[str, list[dict]] = {}
    for machine in proxmox("cluster/resources?type=vm"):
        found.setdefault(machine["name"], []).append(machine)
    return found


def test_a_new_repository_is_green_and_says_what_comes_next(fleet, lab):
    """Its first push meets no machine, no secret and no runner."""
    with settings(lab, secrets=dict.fromkeys(SECRETS)):
        commit = fleet.push("docs: a first word", {"NOTES.md": "Our machines.\n"})
        assert client.failed(client.wait(commit)) == []
    for file in ("terraform-apply.yml", "ansible.yml"):
        (run,) = client.runs(commit, file)
        assert run["conclusion"] == "success"
        assert "There is no machine yet" in client.summary(run["id"])


def test_one_commit_makes_two_machines_and_a_cluster(fleet):
    creation.create(fleet)
    assert {name: len(found) for name, found in machines().items() if name in proof.ADDRESS} == {
        proof.K8S: 1,
        proof.HAPROXY: 1,
    }


def test_a_second_run_changes_nothing(fleet):
    creation.again(fleet)


def test_more_memory_cuts_nothing(fleet):
    changes.memory(fleet)


def test_a_restart_is_made_when_asked_for(fleet):
    boot = "systemctl show -P ActiveEnterTimestampMonotonic k3s; cat /etc/machine-id; stat -c %Z /run"
    before = user.ssh(proof.ADDRESS[proof.K8S], boot)
    vmid = machines()[proof.K8S][0]["vmid"]
    pending = f"nodes/node01/qemu/{vmid}/pending"
    assert [item for item in proxmox(pending) if item["key"] == "memory" and "pending" in item]
    proof.provision("reboot", proof.K8S)
    assert not [item for item in proxmox(pending) if "pending" in item]
    assert user.ssh(proof.ADDRESS[proof.K8S], boot) != before
    until(lambda: user.kubectl(proof.K8S, "get", "--raw", "/readyz", check=False) == "ok", "the API")


def test_a_disk_grows_online(fleet):
    changes.disk(fleet)


def test_drift_appears_in_the_plan(fleet):
    changes.drift(fleet)


def test_the_commands_of_the_pages(fleet, lab):
    """Those that a person runs in a clone; `make demo` and `make test` are what runs here."""
    pages = "\n".join(path.read_text() for path in sorted((laboratory.ROOT / "docs").glob("*.md")))
    blocks = re.findall(r"^```\w*\n(.*?)^```$", pages, re.M | re.S)
    playbook, kubeconfig, look = (
        next(block for block in blocks if block.startswith(start))
        for start in ("ansible-playbook proxmox/playbooks/k8s.yml", "cd proxmox", "make lab-status")
    )
    requests = re.search(r"python3 scripts/extract_ansible_tag\.py --range [\w./]+", pages)[0]
    key = laboratory.secrets_dir() / "ssh_key"
    options = f"-i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    kubeconfig = kubeconfig.replace("ssh ", f"ssh {options} ")
    kubeconfig = kubeconfig.replace("https://vault.example.org", laboratory.VAULT_URL)
    fleet.pull()
    outputs = lab / "person" / "outputs.json"
    outputs.write_text(json.dumps({k: {"value": v} for k, v in user.terraform_output(fleet).items()}))

    def run(commands: str) -> str:
        env = {"ANSIBLE_HOST_KEY_CHECKING": "false", "ANSIBLE_PRIVATE_KEY_FILE": str(key)}
        env["PROXMOX_GITOPS_VENV"] = sys.prefix  # nothing can be installed from inside the lab's network
        script = f"set -eu -o pipefail; cd '{fleet.path}'\n{commands}"
        return user.inside(["bash", "-c", script], **env)

    assert "changed=0" in run(playbook)
    version = user.kubeconfig()[1]
    assert "unchanged" in run(kubeconfig)
    assert user.kubeconfig()[1] == version
    run("make validate")
    assert "No changes" in run("make plan")
    assert "machines" in run("make tfvars 2>&1")
    assert "written: nothing" in run(f"make inventory OUTPUTS={outputs}")
    assert "written: nothing" in run("proxmox/update-inventory.sh")
    assert "demo" in run("make") and "terraform-apply" in run(look)
    run(requests)
    assert fleet.git("status", "--porcelain", "--untracked-files=no") == ""


def test_a_removal_is_refused_until_it_is_approved(fleet):
    changes.remove(fleet)


@contextlib.contextmanager
def settings(folder, **values):
    """Other secrets and variables of the repository, for a while."""
    file = folder / "forge" / "settings.json"
    file.write_text(json.dumps(values))
    try:
        yield
    finally:
        file.unlink()


def test_a_runner_that_dies_anywhere_loses_nothing(fleet, lab):
    """Killed during the clone, before the inventory's commit, in the play, and after Vault's write."""
    with faults.injected({"match": "TASK qmclone:", "delay": 6}):
        commit = push_machine(fleet, CRASH, "192.168.1.40", CRASH)
        number = apply_run(commit)
        until(lambda: CRASH in json.dumps(proxmox("cluster/resources?type=vm")), "the clone")
        client.kill(number)
    client.wait(commit)
    assert CRASH not in user.terraform_output(fleet)["vm_ips"], "it was killed before Terraform knew"

    number = client.dispatch("terraform-apply.yml")
    until_said(number, "Apply complete!")
    client.kill(number)
    client.wait(numbers=[number])
    fleet.pull()
    assert CRASH not in fleet.read(INVENTORY), "it was killed before the inventory's commit"
    assert len(machines()[CRASH]) == 1, "the half-made machine was taken over, not made again"

    number = client.dispatch("terraform-apply.yml")
    until_said(number, r"TASK \[")
    client.kill(number)
    client.wait(numbers=[number])
    assert queued(fleet) == [f"192.168.1.40,{CRASH},k8s"]

    with holding_vault_writes() as (address, written), settings(lab, secrets={"VAULT_ADDR": address}):
        number = client.dispatch("terraform-apply.yml")
        until(written.is_set, "the write to Vault")
        client.kill(number)
        client.wait(numbers=[number])
    assert queued(fleet) == [f"192.168.1.40,{CRASH},k8s"]
    version = user.kubeconfig()[1]

    proof.served(number=client.dispatch("terraform-apply.yml"))
    assert queued(fleet) == []
    assert len(machines()[CRASH]) == 1
    assert user.kubectl(CRASH, "get", "--raw", "/readyz") == "ok"
    assert user.kubeconfig()[1] == version, "what was written before the kill was not written again"


@contextlib.contextmanager
def holding_vault_writes():
    """A way to Vault on which a write arrives, but its answer never comes back."""
    import asyncio
    import threading

    import aiohttp
    from aiohttp import web

    written, ready, stop = threading.Event(), threading.Event(), threading.Event()

    async def handle(request: web.Request) -> web.Response:
        headers = {key: value for key, value in request.headers.items() if key.startswith("X-Vault")}
        async with aiohttp.ClientSession() as session:
            body = await request.read()
            url = laboratory.VAULT_URL + request.path_qs
            async with session.request(request.method, url, headers=headers, data=body) as answer:
                text = await answer.read()
                if request.method in ("POST", "PUT") and request.path.startswith("/v1/kv/data"):
                    written.set()
                    await asyncio.sleep(60)
                return web.Response(body=text, status=answer.status, content_type=answer.content_type)

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 8299).start()
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        await runner.cleanup()

    def run() -> None:
        network.enter()
        asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield "http://127.0.0.1:8299", written
    finally:
        stop.set()
        thread.join(10)


def test_one_machine_that_never_answers_does_not_stop_the_others(fleet, lab):
    files = {
        "proxmox/vms/haproxy-dead.yaml": user.machine_file(
            "haproxy-dead", "192.168.1.51", vm_state="stopped"
        ),
        "proxmox/vms/haproxy-live.yaml": user.machine_file("haproxy-live", "192.168.1.52"),
    }
    with settings(lab, vars={"SSH_TIMEOUT": "6"}):
        commit = fleet.push("feat(proxmox): add two balancers [ansible haproxy]", files)
        runs = client.wait(commit)
    assert client.failed(runs), "the run is red"
    log = "\n".join(client.log(run["id"]) for run in runs)
    assert re.search(r"error.*haproxy-dead", log), "and says which machine"
    assert queued(fleet) == ["192.168.1.51,haproxy-dead,haproxy"]
    assert "active" in user.ssh("192.168.1.52", "systemctl is-active haproxy")
    started = user.machine_file("haproxy-dead", "192.168.1.51")
    proof.served(fleet.push("fix(proxmox): switch it on", {"proxmox/vms/haproxy-dead.yaml": started}))
    assert queued(fleet) == []


def test_a_sealed_vault_costs_only_time(fleet):
    before = user.kubeconfig()
    vault.seal()
    try:
        commit = push_machine(fleet, "k8s-sealed", "192.168.1.41", "k8s-sealed")
        runs = client.wait(commit)
        assert client.failed(runs)
        assert "sealed" in "\n".join(client.log(run["id"]) for run in runs)
        assert queued(fleet) == ["192.168.1.41,k8s-sealed,k8s"]
    finally:
        vault.unseal()
    assert user.kubeconfig() == before
    proof.served(number=client.dispatch("terraform-apply.yml"))
    assert queued(fleet) == []
    assert {"k8s-sealed", *names(before[0])} == names(user.kubeconfig()[0])


def names(kubeconfig: dict) -> set[str]:
    return {context["name"] for context in kubeconfig["contexts"]}


def test_two_pushes_within_a_second(fleet):
    one = push_machine(fleet, "haproxy-one", "192.168.1.61", "haproxy")
    two = push_machine(fleet, "haproxy-two", "192.168.1.62", "haproxy")
    for commit in (one, two):
        client.wait(commit)
    assert queued(fleet) == []
    for address in ("192.168.1.61", "192.168.1.62"):
        assert "active" in user.ssh(address, "systemctl is-active haproxy")


def test_an_inventory_broken_by_hand_is_refused(fleet):
    fleet.pull()
    good = fleet.read(INVENTORY)
    broken = good.replace("[haproxy]", "[haproxy", 1)
    line = broken.splitlines().index("[haproxy") + 1
    commit = fleet.push("chore: a slip of the hand", {INVENTORY: broken})
    runs = client.wait(commit)
    assert client.failed(runs)
    log = "\n".join(client.log(run["id"]) for run in runs)
    assert re.search(rf"file=proxmox/k8s\.ini,line={line}\b|proxmox/k8s\.ini:{line}\b", log), log[-3000:]
    fleet.pull()
    assert fleet.read(INVENTORY) == broken, "nothing was written"
    proof.served(fleet.push("fix: mend it", {INVENTORY: good}))


def test_a_file_that_is_not_valid_stops_the_run_before_terraform(fleet):
    name = "proxmox/vms/haproxy-bad.yaml"
    text = user.machine_file("haproxy-bad", "192.168.1.70").replace("cores: 1", "cores: none")
    line = text.splitlines().index("cores: none") + 1
    commit = fleet.push("feat(proxmox): add haproxy-bad [ansible haproxy]", {name: text})
    runs = client.wait(commit)
    assert client.failed(runs)
    log = "\n".join(client.log(run["id"]) for run in runs)
    assert f"::error file={name},line={line}" in log
    assert not re.search(r"(terraform|tofu) plan", log)
    proof.served(fleet.push("fix(proxmox): not needed", {name: None}))


def plain(value: str) -> list[str]:
    """What base64 hides: the lines of a private key."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return []
    return [line for line in text.splitlines() if len(line) >= 12 and not line.startswith("-----")]


def leaks(folder) -> list[str]:
    """Where a secret that the lab made stands in a log, a summary or a commit, as secret and place."""
    secrets = laboratory.secrets()
    for entry in user.kubeconfig()[0]["users"]:  # made inside the machines
        secrets |= {f"{entry['name']}: {key}": value for key, value in entry["user"].items() if "key" in key}
    secrets |= {f"{name}, plain": decoded for name, value in secrets.items() for decoded in plain(value)}
    secrets = {name: value.encode() for name, value in secrets.items()}
    places = ("log/*", "forge/runs/*/*", "proxmox/tasks/**/*")
    texts = {
        str(file.relative_to(folder)): file.read_bytes()
        for place in places
        for file in folder.glob(place)
        if file.is_file()
    }
    history = ["git", "-C", str(folder / "forge" / "repo.git"), "log", "--patch", "--all", "--format=%B"]
    texts["the repository"] = subprocess.run(history, capture_output=True, check=True).stdout
    return [
        f"{name} in {place}"
        for place, text in texts.items()
        for name, value in secrets.items()
        if value in text
    ]


def test_no_secret_is_in_any_log(lab):
    assert leaks(lab) == []
    planted = lab / "log" / "planted.log"
    planted.write_text(f"token: {laboratory.secret('vault_token')}\n")
    try:
        assert leaks(lab), "the search finds a secret that is there"
    finally:
        planted.unlink()
