"""Machines under new names, protected ones, disks that may go, and limits: the real provider on the lab's Proxmox.

The machines are empty processes here; Vault and the repository's origin are real.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import publish_inventory
from fleet.clusters.vault import FIELD, PATH
from fleet.hosts import known_hosts
from fleet.vault.secret import Secret
from lab.proxmox import faults
from tests.helpers import vault_server
from tests.helpers.fleet import (
    TWO_DISKS,
    Fleet,
    clean,
    config,
    kill_session,
    one_machine,
    pve,
    running,
    vmids,
    wait_for,
)

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOLD"
NEW_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAINEW"
ADDRESS = "192.168.1.20"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "k8s-dev",
    "clusters": [{"name": "cozy-haven", "cluster": {"server": f"https://{ADDRESS}:6443"}},
                 {"name": "other", "cluster": {"server": "https://10.0.0.1:6443"}}],
    "contexts": [{"name": "other", "context": {"cluster": "other", "user": "other"}},
                 {"name": "k8s-dev", "context": {"cluster": "cozy-haven", "user": "cozy-haven"}}],
    "users": [{"name": "cozy-haven", "user": {"token": "t1"}}, {"name": "other", "user": {"token": "t2"}}],
}  # fmt: skip


@pytest.fixture
def fleet(proxmox, tmp_path):
    made = Fleet(tmp_path / "fleet")
    yield made
    clean()


@pytest.fixture
def machine(fleet) -> Fleet:
    return one_machine(fleet)


@pytest.fixture(scope="module")
def vault():
    with vault_server.running() as started:
        yield started


def renamed(fleet: Fleet, new: str, old: str, number: int = 20, **fields) -> None:
    (fleet.proxmox / "vms" / f"{old}.yaml").unlink(missing_ok=True)
    fleet.write(new, number, **({"disks": TWO_DISKS, "formerly": old} | fields))
    fleet.commit(f"feat: {old} is called {new}")


class Published:
    """What publish_inventory.py makes of a fleet's outputs, in its repository with a real origin."""

    def __init__(self, fleet: Fleet):
        self.fleet, self.origin = fleet, fleet.home.parent / "origin.git"
        ini = Path(publish_inventory.__file__).parents[1] / "proxmox/k8s.ini"
        (fleet.proxmox / "k8s.ini").write_text(ini.read_text() + "\n[mine]\nk8s-dev\n")
        (fleet.home / ".gitignore").write_text(
            "*.tfstate*\n.terraform*\n*.tfvars.json\n/*.json\nk8s.ini.bak\n.*.lock\n"
        )
        fleet.git(
            "add", "-A", ".gitignore", "proxmox/k8s.ini", "proxmox/new_hosts.txt", "proxmox/known_hosts"
        )
        fleet.git("commit", "-qm", "chore: inventory")
        subprocess.run(["git", "clone", "-q", "--bare", fleet.home, self.origin], check=True)
        fleet.git("remote", "add", "origin", str(self.origin))
        fleet.git("fetch", "-q", "origin")
        fleet.git("remote", "set-head", "origin", "main")

    def run(self) -> int:
        self.fleet.git("push", "-q", "origin", "HEAD:main")
        head = self.fleet.git("rev-parse", "HEAD")
        requests = self.fleet.home / "requests.json"
        requests.write_text(json.dumps({"head": head, "since": None, "requests": []}))
        outputs = str(self.fleet.home / "outputs.json")
        return publish_inventory.main(
            ["--requests", str(requests), "--outputs", outputs, "--repo", str(self.fleet.home)]
        )

    def text(self, name: str) -> str:
        return (self.fleet.proxmox / name).read_text()

    def add(self, name: str, line: str) -> None:
        path = self.fleet.proxmox / name
        path.write_text((path.read_text() if path.exists() else "") + line)
        self.fleet.git("add", "proxmox")
        self.fleet.git("commit", "-qm", "chore: as a run left it")


def contexts() -> dict:
    return yaml.safe_load(Secret(PATH).read().data[FIELD])


def test_a_machine_keeps_its_life_under_another_name(machine, vault, monkeypatch, capsys):
    """State, Proxmox, inventory, queue, host keys and the context in Vault; a second run changes none of them."""
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    published = Published(machine)
    assert published.run() == 0
    instance = machine.outputs["k8s-dev"]["instance"]
    published.add("known_hosts", f"{ADDRESS} ssh-ed25519 {KEY} k8s-dev instance={instance}\n")
    Secret(PATH).write({FIELD: yaml.safe_dump(KUBECONFIG)}, Secret(PATH).read().version)
    before, since = config(500), running(500)
    group = published.text("k8s.ini")
    assert "\n[mine]\nk8s-dev\n" in group and f"{ADDRESS},k8s-dev" in published.text("new_hosts.txt")

    renamed(machine, "k8s-new", "k8s-dev")
    status, output = machine.plan()
    assert (status, "update  k8s-new (formerly k8s-dev)" in output) == (0, True), output
    assert "new host keys: k8s-new, at its next restart" in output
    assert "0 to add, 1 to change, 0 to destroy" in output
    assert config(500) == before
    status, output = machine.apply()
    assert (status, list(machine.outputs)) == (0, ["k8s-new"]), output
    after = config(500)
    assert (after["name"], after["description"]) == ("k8s-new", "proxmox-gitops: k8s-new")
    same = before.keys() - {"name", "description", "digest", "ide2"}
    assert {key: before[key] for key in same} == {key: after[key] for key in same}
    assert (vmids(), running(500)) == ([500], since)  # the same process: it was never stopped

    # A run that was killed here has changed nothing else; the next applies no change and goes on.
    status, output = machine.apply()
    assert (status, "No changes." in output) == (0, True), output
    assert not (machine.proxmox / "renamed.tf.json").exists()
    vault.seal()
    capsys.readouterr()
    assert published.run() == 1
    assert "could not be renamed, so its inventory line keeps the earlier name" in capsys.readouterr().err
    assert "k8s-dev ansible_host" in published.text("k8s.ini") and "k8s-new" not in published.text("k8s.ini")
    assert f"{ADDRESS},k8s-dev" in published.text("new_hosts.txt")
    vault.unseal()
    assert published.run() == 0
    inventory = published.text("k8s.ini")
    assert inventory.replace("k8s-new", "k8s-dev") == group and "k8s-dev" not in inventory
    assert f"{ADDRESS},k8s-new" in published.text("new_hosts.txt")
    assert "k8s-dev" not in published.text("new_hosts.txt")
    told = contexts()
    assert told["current-context"] == "k8s-new"
    assert told["contexts"][1] == {
        "name": "k8s-new",
        "context": {"cluster": "cozy-haven", "user": "cozy-haven"},
    }
    assert (told["clusters"], told["users"]) == (KUBECONFIG["clusters"], KUBECONFIG["users"])
    # Its keys are what they were until it starts again, and others are right then.
    keys = published.text("known_hosts")
    assert known_hosts.keys_of(keys, ADDRESS) == {"ssh-ed25519": KEY}
    assert (KEY in keys, "k8s-dev" in keys) == (True, False)
    assert known_hosts.renewed(keys, "k8s-new", ADDRESS, {"ssh-ed25519": KEY}, instance) == keys
    later = known_hosts.renewed(keys, "k8s-new", ADDRESS, {"ssh-ed25519": NEW_KEY}, instance)
    assert (
        later.splitlines(keepends=True)[-1]
        == f"{ADDRESS} ssh-ed25519 {NEW_KEY} k8s-new instance={instance}\n"
    )

    texts = [published.text(name) for name in ("k8s.ini", "new_hosts.txt", "known_hosts")]
    version = Secret(PATH).read().version
    assert machine.apply()[0] == published.run() == 0
    assert [published.text(name) for name in ("k8s.ini", "new_hosts.txt", "known_hosts")] == texts
    assert Secret(PATH).read().version == version


def test_twice_in_one_push_and_a_swap(machine):
    """k8s-dev became k8s-b, and k8s-c before that was applied: Git knows what k8s-b was called."""
    since = running(500)
    renamed(machine, "k8s-b", "k8s-dev")
    renamed(machine, "k8s-c", "k8s-b")
    status, output = machine.apply()
    assert (status, list(machine.outputs), vmids()) == (0, ["k8s-c"], [500]), output
    assert running(500) == since
    # An earlier name that nobody has ever had is a new machine, which is said once.
    machine.write("k8s-d", 23, formerly="k8s-nobody")
    machine.commit()
    status, output = machine.apply()
    assert (status, "has no k8s-nobody, so that k8s-d is a new machine" in output) == (0, True), output
    assert "k8s-nobody" not in machine.plan()[1]


def test_a_renamed_file_that_does_not_say_so_is_refused_with_the_way_out(machine):
    (machine.proxmox / "vms/k8s-dev.yaml").unlink()
    machine.write("k8s-new", 20, disks=TWO_DISKS)
    machine.commit()
    status, output = machine.apply()
    assert (status, "write `formerly: k8s-dev` into this file" in output) == (1, True), output
    machine.write("k8s-new", 21, disks=TWO_DISKS)
    status, output = machine.plan()
    assert "if it has a new name, write `formerly: k8s-dev` into its file" in output
    assert (vmids(), config(500)["name"]) == ([500], "k8s-dev")


def test_killed_while_it_is_renamed(proxmox, either, machine):
    since = running(500)
    renamed(machine, "k8s-new", "k8s-dev", memory=2048)
    faults.inject({"match": "PUT /nodes/node01/qemu/500/config", "delay": 3, "times": 1})
    process = machine.start()
    wait_for(lambda: not faults.current())
    kill_session(process)
    status, output = machine.apply()
    assert (status, list(machine.outputs), vmids()) == (0, ["k8s-new"], [500]), output
    assert (config(500)["name"], running(500)) == ("k8s-new", since)
    assert "No changes." in machine.plan()[1]


def test_renamed_while_somebody_takes_a_disk(machine):
    """The provider needs its disks to be read again, from the address that the state still has."""
    pve("set", "/nodes/node01/qemu/500/config", delete="scsi1")
    since = running(500)
    renamed(machine, "k8s-new", "k8s-dev")
    status, output = machine.apply()
    assert (status, "k8s-new lost a disk in Proxmox" in output, vmids()) == (0, True, [500]), output
    assert (config(500)["name"], running(500), "scsi1" in config(500)) == ("k8s-new", since, True)
    assert "No changes." in machine.plan()[1]


def test_a_protected_machine_stays_until_a_run_has_taken_that_off(machine):
    machine.write("k8s-dev", 20, disks=TWO_DISKS, protected=True)
    machine.commit()
    assert machine.apply()[0] == 0
    assert config(500)["protection"] == 1
    before = running(500)
    # Recreated, or without its disk: the whole plan is refused.
    for fields, tags in (
        ({"vmid": 700}, ("--approve-destroy", "k8s-dev")),
        (
            {"disks": {"scsi0": {"size": "4G"}}, "protected": False},
            ("--approve-drop-disk", "k8s-dev", "scsi1"),
        ),
    ):
        machine.write("k8s-dev", 20, **({"disks": TWO_DISKS, "protected": True} | fields))
        status, output = machine.apply(*tags)
        assert (status, "which is protected; no tag lifts that" in output) == (1, True), output
    # Removed: it is kept with an error, and all else is applied.
    machine.remove("k8s-dev")
    machine.write("k8s-other", 21)
    machine.commit()
    status, output = machine.apply("--approve-destroy", "k8s-dev")
    assert (status, sorted(machine.outputs)) == (3, ["k8s-dev", "k8s-other"]), output
    assert "k8s-dev is not removed: it is protected, and only a run of its own takes that off" in output
    # Somebody takes the flag off in Proxmox: what was applied last still counts.
    pve("set", "/nodes/node01/qemu/500/config", protection=0)
    status, output = machine.apply("--approve-destroy", "k8s-dev")
    assert (status, vmids(), running(500)) == (3, [500, 501], before), output
    machine.write("k8s-dev", 20, disks=TWO_DISKS, protected=False)
    machine.commit()
    assert machine.apply()[0] == 0
    machine.remove("k8s-dev")
    machine.commit()
    status, output = machine.apply("--approve-destroy", "k8s-dev")
    assert (status, vmids()) == (0, [501]), output


def test_a_disk_that_may_go_is_an_unused_disk_afterwards(machine):
    volume = config(500)["scsi1"].split(",")[0]
    since = running(500)
    machine.write("k8s-dev", 20, disks={"scsi0": {"size": "4G"}})
    machine.commit()
    status, output = machine.apply()
    assert (status, "[drop-disk k8s-dev scsi1]: its volume stays" in output) == (1, True), output
    status, output = machine.apply("--approve-drop-disk", "k8s-dev", "scsi0")
    assert (status, "refused: would remove scsi1" in output) == (1, True), output
    status, output = machine.apply("--approve-drop-disk", "k8s-dev", "scsi1")
    assert (status, config(500).get("unused0"), "scsi1" in config(500)) == (0, volume, False), output
    assert (running(500), "No changes." in machine.plan()[1]) == (since, True)


def test_many_at_once_need_a_digest_that_somebody_accepts(fleet):
    names = ["web-1", "web-2", "web-3", "web-4"]
    for number, name in enumerate(names):
        fleet.write(name, 20 + number)
    fleet.commit()
    assert fleet.apply()[0] == 0
    for name in names[:3]:
        fleet.remove(name)
    fleet.commit()
    tags = [word for name in names[:3] for word in ("--approve-destroy", name)]
    status, output = fleet.apply(*tags)
    assert (status, "refused: would destroy or recreate 3 of 4 machines at once" in output) == (1, True), (
        output
    )
    assert len(vmids()) == 4
    digest = re.search(r"accept=([0-9a-f]{12}) ", output)[1]
    status, output = fleet.apply(*tags, "--accept", "0" * 12)
    assert (status, "What was accepted, 000000000000, is not this" in output) == (1, True), output
    status, output = fleet.apply(*tags, "--accept", digest)
    assert (status, list(fleet.outputs)) == (0, ["web-4"]), output


def test_control_planes_are_not_stopped_below_quorum(fleet):
    names = [f"k8s-prod-cp0{number}" for number in (1, 2, 3)]

    def write(*stopped: str) -> None:
        for number, name in enumerate(names):
            fleet.write(name, 20 + number, vm_state="stopped" if name in stopped else "running", memory=1024)
        fleet.commit("x")

    write()
    assert fleet.apply()[0] == 0
    write(*names[:2])
    status, output = fleet.apply()
    assert status == 1 and "would stop k8s-prod-cp01, k8s-prod-cp02, and 1 of 3 control planes" in output, (
        output
    )
    assert all(map(running, (500, 501, 502)))
    write(names[0])
    status, output = fleet.apply()
    assert (status, running(500)) == (0, None), output
    # What waits for a restart is only said: no apply restarts a machine.
    since = [running(vmid) for vmid in (501, 502)]
    for number, name in enumerate(names):
        fleet.write(name, 20 + number, memory=2048, vm_state="stopped" if number == 0 else "running")
    fleet.commit("x")
    status, output = fleet.apply()
    assert (status, [running(vmid) for vmid in (501, 502)]) == (0, since), output
    assert "restart needed: k8s-prod-cp02" in output and "restart needed: k8s-prod-cp03" in output
