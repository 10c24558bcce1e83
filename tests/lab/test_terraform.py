"""The real provider on the lab's Proxmox: each danger of a plan.

The machines are empty processes here, since only what Proxmox is asked matters.
"""

import json
import shutil
import subprocess
import sys

import pytest

import plan_guard
from lab import ROOT, lab_dir, network, secret
from lab.environment import environment
from lab.proxmox import access, faults
from tests.helpers.fleet import (
    TWO_DISKS,
    Fleet,
    clean,
    config,
    disks,
    one_machine,
    pve,
    resources,
    running,
    vmids,
)


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


def test_a_machine_is_made_and_a_second_plan_is_empty(proxmox, either, tmp_path):
    fleet = Fleet(tmp_path / "fleet", backend="pg")
    fleet.write(
        "k8s-all", 20, sockets=2, cpu_type="x86-64-v2-AES", tags="Web;db", description="A\nB",
        disks={f"scsi{n}": {"size": "4G"} for n in range(11)},
        ipconfig0="ip=192.168.1.20/24,gw=192.168.1.1,ip6=fd00::20/64,gw6=fd00::1",
        nameserver="192.168.1.1 1.1.1.1", searchdomain="lan", onboot=False, boot="order=scsi0;net0",
        network={"bridge": "vmbr0", "model": "virtio", "macaddr": "bc:24:11:2e:01:aa", "tag": 20, "rate": 100,
                 "firewall": True, "mtu": 1400},
    )  # fmt: skip
    fleet.write("haproxy-min", 21, disks=None, ipconfig0="ip=192.168.1.21/24,ip6=auto", agent=0)
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    made = config(501)
    assert made["name"] == "k8s-all"
    assert made["description"] == "A\nB\n\nproxmox-gitops: k8s-all"
    assert made["tags"] == "db;proxmox-gitops;web"
    assert (made["sockets"], made["cores"], made["cpu"].split(",")[0]) == (2, 1, "x86-64-v2-AES")
    assert (
        made["ipconfig0"] == "ip=192.168.1.20/24,gw=192.168.1.1,ip6=fd00::20/64,gw6=fd00::1"
        or made["ipconfig0"]
    )
    assert made["boot"] == "order=scsi0;net0"
    assert not int(made.get("onboot", 0))
    assert {key for key in made if key.startswith("scsi") and key != "scsihw"} == {
        f"scsi{n}" for n in range(11)
    }
    assert len({made[f"scsi{n}"].split(",")[0] for n in range(11)}) == 11
    assert fleet.outputs["k8s-all"]["mac"] == "BC:24:11:2E:01:AA"
    assert fleet.outputs["haproxy-min"]["address"] == "192.168.1.21"
    assert fleet.outputs["haproxy-min"]["vmid"] == 500
    status, output = fleet.plan()
    assert (status, "no changes" in output, "No changes." in output) == (0, True, True), output
    # The secret of the state's connection and the token are in no file beside the state.
    token = environment()["PROXMOX_VE_API_TOKEN"].split("=")[1].encode()
    assert not [
        file for file in fleet.home.rglob("*") if file.is_file() and token in file.read_bytes()[:1_000_000]
    ]
    fleet.remove("haproxy-min"), fleet.remove("k8s-all")
    shutil.copy(ROOT / "proxmox/vms/k8s-home.yaml", fleet.proxmox / "vms")
    fleet.commit()
    status, output = fleet.apply("--approve-destroy", "k8s-all", "--approve-destroy", "haproxy-min")
    assert (status, vmids()) == (0, []), output


@pytest.fixture
def machine(fleet):
    return one_machine(fleet)


REFUSED = [
    ({"disks": disks()}, "would remove scsi1 (1G on local-lvm) from k8s-dev"),
    ({"disks": disks(scsi1=1) | {"scsi0": {"size": "3G"}}}, "would shrink scsi0 of k8s-dev from 4G to 3G"),
    (
        {"disks": disks() | {"scsi1": {"size": "1G", "storage": "local"}}},
        "would move scsi1 of k8s-dev from local-lvm",
    ),
    ({"vmid": 700}, "would destroy and recreate k8s-dev because of vm_id (500 → 700)"),
]


@pytest.fixture(scope="class")
def standing(proxmox, tmp_path_factory):
    yield one_machine(Fleet(tmp_path_factory.mktemp("standing") / "fleet"))
    clean()


class TestAMachineThatStands:
    """One machine for all of these; each begins with the files that it was made from."""

    @pytest.fixture
    def machine(self, standing):
        faults.inject()
        standing.git("add", "-A", "proxmox/vms")
        standing.git("reset", "-q", "--hard", "first")
        return standing

    def test_dangers_are_refused_and_nothing_happens(self, machine):
        before = config(500)
        for fields, message in REFUSED:
            machine.write("k8s-dev", 20, **({"disks": TWO_DISKS} | fields))
            status, output = machine.apply()
            assert (status, machine.outputs) == (1, None), output
            assert f"refused: {message}" in output
        assert config(500) == before
        # A renamed file, with its name in it, is a new machine at the address of one that is still there.
        machine.remove("k8s-dev")
        machine.write("k8s-new", 20)
        machine.commit()
        status, output = machine.apply()
        assert (status, "192.168.1.20 is still used by k8s-dev" in output) == (1, True), output
        machine.write("k8s-new", 21)
        for number in range(30, 52):
            machine.write(f"many-{number}", number)
        status, output = machine.plan()
        assert "refused: 23 machines would change at once; the limit is 20" in output
        assert config(500) == before

    def test_a_volume_does_not_change_its_slot(self, machine, capsys):
        """The provider matches volumes by position: it would attach scsi1's a second time, as scsi5."""
        machine.plan()
        input_file = machine.proxmox / "vms.auto.tfvars.json"
        values = json.loads(input_file.read_text())
        values["vms"]["k8s-dev"]["disks"].insert(
            1, {"slot": "scsi5", "size": 1, "storage": "local-lvm", "mount": None}
        )
        input_file.write_text(json.dumps(values))
        assert machine.terraform("plan", f"-out={machine.home}/plan").returncode == 0
        (machine.home / "plan.json").write_text(
            machine.terraform("show", "-json", f"{machine.home}/plan").stdout
        )
        assert plan_guard.main([str(machine.home / "plan.json"), "--format", "text"]) == 1
        message = "refused: would attach the volume of scsi1 as scsi5 of k8s-dev; add disks after the last one (scsi1)"
        assert message in capsys.readouterr().err

    def test_templates_come_and_go(self, machine):
        """A second template of the name, a rebuilt one and none at all leave the machine alone."""
        pve("create", "/nodes/node01/qemu/9000/clone", newid=9005, full=1, name="ubuntu24-template")
        pve("create", "/nodes/node01/qemu/9005/template")
        assert "No changes." in machine.plan()[1]
        machine.write("b", 21)
        status, output = machine.plan()
        assert "b: template ubuntu24-template is VMID 9005 on node01" in output
        with faults.injected(
            {"match": "GET /nodes/[^/]+/qemu$", "data": []},
            {"match": "GET /cluster/resources", "data": resources(500)},
        ):
            status, output = machine.plan()
            assert (status, "Proxmox has no template ubuntu24-template; it has none" in output) == (
                1,
                True,
            ), output
            assert "b.yaml:5" in output
            machine.remove("b")
            status, output = machine.plan()
            assert (status, "no changes" in output) == (0, True), output
        pve("delete", "/nodes/node01/qemu/9005")

    def test_a_machine_that_proxmox_does_not_show_is_not_made_again(self, machine):
        with faults.injected({"match": "GET /cluster/resources", "data": []}):
            status, output = machine.apply()
        assert (status, machine.outputs) == (1, None), output
        assert "refused: would create k8s-dev a second time" in output
        assert vmids() == [500]
        assert "No changes." in machine.plan()[1]

    def test_a_machine_moved_by_hand_is_moved_back(self, machine):
        pve("create", "/nodes/node01/qemu/500/migrate", target="node02", online=1, **{"with-local-disks": 1})
        status, output = machine.apply()
        assert (status, "node_name node02 → node01" in output) == (0, True), output
        assert config(500)["name"] == "k8s-dev"

    def test_life_of_a_machine(self, machine):
        """Memory, growth, both, one more disk, drift: each applied without a stop, then an empty plan."""
        since = running(500)
        steps = [
            ({"memory": 1536}, "restart needed: k8s-dev (memory)"),
            ({"disks": disks(scsi1=2)}, "disk scsi1 1G → 2G"),
            ({"cores": 2, "disks": disks(scsi1=3)}, "disks are grown after the other changes"),
            ({"disks": disks(scsi1=3, scsi2=1)}, "disk scsi2 -G → 1G"),
            ({"description": "tests"}, "update  k8s-dev: description"),
            (
                {"ipconfig0": "ip=192.168.1.25/24,gw=192.168.1.1"},
                "new host keys: k8s-dev, at its next restart",
            ),
        ]
        fields, instances = {"disks": TWO_DISKS}, [machine.outputs["k8s-dev"]["instance"]]
        for change, said in steps:
            fields |= change
            machine.write("k8s-dev", 20, **fields)
            status, output = machine.apply()
            assert (status, said in output) == (0, True), output
            instances.append(machine.outputs["k8s-dev"]["instance"])
        assert "No changes." in machine.plan()[1]
        assert len(set(instances)) == 2  # the address alone makes cloud-init's instance another
        assert running(500) == since  # the same process
        pve("set", "/nodes/node01/qemu/500/config", memory="512")
        status, output = machine.plan()
        assert "memory 512 → 1536" in output
        assert config(500)["scsi2"].split(",")[0] != config(500)["scsi1"].split(",")[0]


def test_a_disk_detached_by_hand_comes_back_empty_at_its_place(machine):
    pve("set", "/nodes/node01/qemu/500/config", delete="scsi1")
    old = config(500)["unused0"]
    status, output = machine.apply()
    assert (status, "disk scsi1 -G → 1G" in output) == (0, True), output
    assert config(500)["scsi1"].split(",")[0] != old == config(500)["unused0"]
    pve("set", "/nodes/node01/qemu/500/config", delete="scsi1")
    machine.write("k8s-dev", 20, disks=disks())
    status, output = machine.apply()
    assert (status, "refused" in output) == (0, False), output
    assert "No changes." in machine.plan()[1]


def test_a_removal_waits_for_its_approval_and_holds_nobody_up(machine):
    since = machine.git("rev-parse", "HEAD")
    machine.remove("k8s-dev")
    machine.write("haproxy-dev", 21)
    machine.commit("feat: remove one, add one")
    requests = machine.home / "requests.json"
    requests.write_text(json.dumps({"head": "x", "since": since, "requests": []}))
    status, output = machine.apply("--requests", str(requests))
    assert (status, sorted(machine.outputs)) == (3, ["haproxy-dev", "k8s-dev"]), output
    assert "no commit approves removing k8s-dev" in output
    # From then on it is a warning.
    requests.write_text(json.dumps({"head": "x", "since": machine.git("rev-parse", "HEAD"), "requests": []}))
    status, output = machine.apply("--requests", str(requests))
    assert (status, "warning: the file was removed" in output) == (0, True), output
    request = {"action": "destroy", "name": "k8s-dev"}
    requests.write_text(json.dumps({"head": "x", "since": since, "requests": [request]}))
    other = config(501)
    status, output = machine.apply("--requests", str(requests))
    assert (status, sorted(machine.outputs), vmids()) == (0, ["haproxy-dev"], [501]), output
    assert config(501) == other


def test_a_machine_without_a_valid_version_of_its_file_stays_as_it_is(machine):
    """Its values come from Terraform's state, and the plan finds no difference."""
    machine.write("k8s-dev", 20, ciuser="root\nruncmd: [id]")
    shutil.rmtree(machine.home / ".git")
    machine.git("init", "-q", "-b", "main")
    machine.commit()
    machine.remove("k8s-dev")
    machine.write("z", 21)
    machine.commit()
    status, output = machine.apply("--max-changes", "1")
    assert (status, sorted(machine.outputs)) == (3, ["k8s-dev", "z"]), output
    assert "k8s-dev, so the machine stays as recorded in Terraform's state" in output
    assert "1 to add, 0 to change, 0 to destroy" in output
    assert "cloudinit" in config(500)["ide2"] and config(500)["ciuser"] == "suporte"


def test_a_protected_template_is_refused_before_the_clone(fleet):
    fleet.write("k8s-dev", 20)
    fleet.commit()
    pve("set", "/nodes/node01/qemu/9000/config", protection=1)
    try:
        status, output = fleet.apply()
        assert (status, vmids()) == (1, []), output
        assert "run `qm set 9000 --protection 0` on node01" in output
    finally:
        pve("set", "/nodes/node01/qemu/9000/config", protection=0)
    status, output = fleet.apply()
    assert (status, vmids()) == (0, [500]), output


def test_a_stranger_of_the_same_name_is_left_alone_or_taken_over(fleet):
    pve("create", "/nodes/node01/qemu/9000/clone", newid=105, full=1, name="k8s-dev")
    fleet.write("k8s-dev", 20)
    fleet.commit()
    status, output = fleet.apply()
    assert (status, vmids()) == (1, [105]), output
    assert "k8s-dev already exists as VMID 105 on node01" in output
    fleet.write("k8s-dev", 20, vmid=105)
    status, output = fleet.apply()
    assert (status, "commit with [adopt k8s-dev]" in output) == (1, True), output
    status, output = fleet.apply("--approve-adopt", "k8s-dev")
    assert (status, vmids()) == (0, [105]), output
    assert "taken over: k8s-dev" in output
    assert config(105)["description"] == "proxmox-gitops: k8s-dev"
    assert "No changes." in fleet.plan()[1]


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_and_opentofu_take_turns(proxmox, opentofu, tmp_path, monkeypatch):
    """Each reads the other's state, in the same checkout and in another one."""
    fleet = Fleet(tmp_path / "fleet", backend="pg")
    for turn, program in enumerate(["terraform", opentofu, "terraform"]):
        monkeypatch.setenv("TERRAFORM", program)
        fleet.write("k8s-dev", 20, description=f"turn {turn}")
        fleet.commit()
        status, output = fleet.apply()
        assert (status, vmids()) == (0, [500]), output
        assert config(500)["description"].startswith(f"turn {turn}\n")
    monkeypatch.setenv("TERRAFORM", opentofu)
    shutil.rmtree(fleet.proxmox / ".terraform")
    status, output = fleet.plan()
    assert (status, "No changes." in output) == (0, True), output
    fleet.remove("k8s-dev")
    shutil.copy(ROOT / "proxmox/vms/k8s-home.yaml", fleet.proxmox / "vms")
    fleet.commit()
    status, output = fleet.apply("--approve-destroy", "k8s-dev")
    assert (status, vmids()) == (0, []), output


def test_plain_terraform_says_make_tfvars(fleet):
    fleet.write("k8s-dev", 20)
    assert fleet.terraform("init").returncode == 0
    plan = fleet.terraform("plan", "-no-color")
    assert (plan.returncode, "make tfvars" in plan.stderr) == (1, True)
    script = [sys.executable, str(ROOT / "scripts/generate_tfvars.py"), "--offline"]
    places = ["--vms-dir", "vms", "--authorized-keys", "authorized_keys", "--output", "vms.auto.tfvars.json"]
    subprocess.run([*script, *places], cwd=fleet.proxmox, check=True, capture_output=True)
    plan = fleet.terraform("plan", "-no-color")
    assert (plan.returncode, "1 to add" in plan.stdout) == (0, True), plan.stderr
    fleet.write("k8s-dev", 21)
    plan = fleet.terraform("plan", "-no-color")
    assert (plan.returncode, "make tfvars` again" in " ".join(plan.stderr.split())) == (1, True)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            {"match": "GET /cluster/resources", "status": 401, "message": "no such token"},
            "does not know the token",
        ),
        (
            {"match": "GET /cluster/resources", "status": 403, "message": "Permission check failed"},
            "lacks a right",
        ),
        (
            {"match": "GET /nodes/node01/storage", "status": 595, "message": "No route to host"},
            "does not answer the",
        ),
    ],
)
def test_proxmox_refuses(fleet, fault, words):
    fleet.write("k8s-dev", 20)
    fleet.commit()
    faults.inject(fault)
    status, output = fleet.apply()
    assert (status, words in output, fleet.outputs, vmids()) == (2, True, None, []), output


def test_a_token_with_rights_per_path_is_enough(proxmox, fleet, tmp_path):
    """The lab's token, as the documentation once made it, becomes one with privilege separation."""
    before, file = access.read(), tmp_path / ".env"
    file.write_text(f"PROXMOX_VE_API_TOKEN={secret('proxmox_token')}\n")
    file.chmod(0o600)
    password = str(lab_dir() / "secrets/proxmox_root_password")
    script = [sys.executable, str(ROOT / "scripts/proxmox_token.py"), "--yes", "--password-file", password]
    env = environment() | {"PROXMOX_GITOPS_ENV": str(file)}
    done = subprocess.run(network.inside_argv(script), env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    token = access.read()["tokens"][secret("proxmox_token").partition("=")[0]]
    assert token["privsep"] == 1
    try:
        one_machine(fleet)
        status, output = fleet.plan()
        assert (status, "No changes." in output) == (0, True), output
        fleet.write("k8s-dev", 20, disks=TWO_DISKS, cores=2, tags="blue")
        fleet.commit()
        status, output = fleet.apply()
        assert status == 0 and config(500)["cores"] == 2, output
        fleet.remove("k8s-dev")
        shutil.copy(ROOT / "proxmox/vms/k8s-home.yaml", fleet.proxmox / "vms")
        fleet.commit()
        status, output = fleet.apply("--approve-destroy", "k8s-dev")
        assert (status, vmids()) == (0, []), output
    finally:
        access.write(before)
