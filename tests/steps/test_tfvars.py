"""Terraform's input from VM files, as generate_tfvars.py makes it: kept machines, refusals, disks and keys."""

import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

import generate_tfvars
from fleet.proxmox.client import Refused
from fleet.steps.tfvars import Sources, build
from fleet.terraform import state
from fleet.vms.machine import Disk
from tests.helpers.images import FILE, catalogue
from tests.helpers.machines import KEY, TEMPLATE, TEMPLATE_CONFIG, Cluster, text

RECORDED = (Path(__file__).parents[1] / "cases/plans/machine.json").read_text()


def state_of(**machines) -> str:
    instances = [
        {
            "index_key": name.replace("_", "-"),
            "attributes": {"vm_id": vmid, "node_name": "node01", "disk": []},
        }
        for name, vmid in machines.items()
    ]
    resource = {
        "module": "module.vm",
        "mode": "managed",
        "type": state.TYPE,
        "name": "this",
        "instances": instances,
    }
    return json.dumps({"version": 4, "resources": [resource]})


@pytest.fixture
def repository(tmp_path):
    """A repository with two machines committed; returns its proxmox/ folder and a function that commits."""
    home = tmp_path / "proxmox"
    (home / "vms").mkdir(parents=True)
    for name, address in (("a", "192.168.1.20"), ("b", "192.168.1.21")):
        (home / "vms" / f"{name}.yaml").write_text(text(name, address))
    (home / "authorized_keys").write_text(f"# the fleet\n{KEY}\n")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(message: str = "x") -> str:
        git("add", "-A", "proxmox")
        git("commit", "-qm", message)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    commit()
    return home, commit


def run(home: Path, *more: str, state_text: str = "") -> int:
    (home / "state.json").write_text(state_text)
    return generate_tfvars.main([
        "--vms-dir", str(home / "vms"), "--authorized-keys", str(home / "authorized_keys"), "--output",
        str(home / "vms.auto.tfvars.json"), "--state", str(home / "state.json"), "--offline", *more,
    ])  # fmt: skip


def written(home: Path) -> dict:
    return json.loads((home / "vms.auto.tfvars.json").read_text())


def test_a_renamed_machine_keeps_its_vmid_and_is_moved_in_the_state(repository, capsys):
    home, _ = repository
    (home / "vms/b.yaml").unlink()
    (home / "vms/c.yaml").write_text(text("c", "192.168.1.21", formerly="b"))
    assert run(home, state_text=state_of(a=510, b=520)) == 0, capsys.readouterr().err
    assert "formerly: b becomes c and stays the machine that it is" in capsys.readouterr().err
    assert {name: vm["vmid"] for name, vm in written(home)["vms"].items()} == {"a": 510, "c": 520}
    moved = json.loads((home / "renamed.tf.json").read_text())["moved"]
    assert moved[0]["from"] == 'module.vm.proxmox_virtual_environment_vm.this["b"]'
    assert run(home, state_text=state_of(a=510, c=520)) == 0
    assert not (home / "renamed.tf.json").exists() and "formerly" not in capsys.readouterr().err


def test_offline_keeps_the_ids_that_it_gave_before_and_says_what_it_did_not_check(repository, capsys):
    home, _ = repository
    assert run(home) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {"a": 500, "b": 501}
    assert "not checked, since offline: free VMIDs, templates" in capsys.readouterr().err
    (home / "vms" / "a.yaml").rename(home / "a.yaml")
    assert run(home) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {"b": 501}
    before = (home / "vms.auto.tfvars.json").stat()
    assert run(home) == 0
    assert (home / "vms.auto.tfvars.json").stat().st_mtime_ns == before.st_mtime_ns


def test_a_removed_file_keeps_its_machine_until_that_is_approved(repository, capsys):
    home, commit = repository
    (home / "vms" / "a.yaml").unlink()
    commit()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert written(home)["vms"]["a"]["ipconfig0"]["ip"] == "192.168.1.20/24"
    assert "commit with [destroy a] to remove it" in capsys.readouterr().err
    assert run(home, "--approve-destroy", "a", state_text=state_of(a=500, b=501)) == 0
    assert list(written(home)["vms"]) == ["b"]


def test_a_file_removed_in_the_working_tree_only_is_kept_too(repository):
    home, _ = repository
    (home / "vms" / "a.yaml").unlink()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert sorted(written(home)["vms"]) == ["a", "b"]


def test_the_last_text_before_a_removal_counts(repository):
    home, commit = repository
    path = home / "vms" / "a.yaml"
    path.write_text(text("a", "192.168.1.30"))
    commit()
    path.unlink()
    commit()
    (home / "vms" / "c.yaml").write_text(text("c", "192.168.1.40"))
    commit()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {
        "a": 500,
        "b": 501,
        "c": 502,
    }
    assert written(home)["vms"]["a"]["ipconfig0"]["ip"] == "192.168.1.30/24"


@pytest.mark.parametrize(
    ("change", "have", "problem"),
    [
        # The address of a machine that is still there.
        (lambda vms: ((vms / "a.yaml").unlink(), (vms / "c.yaml").write_text(text("c"))), {"a": 500},
         "192.168.1.20 is still used by a"),
        (lambda vms: ((vms / "a.yaml").unlink(), (vms / "c.yaml").write_text(
            text("c", ipconfig0="ip=dhcp", address="192.168.1.20"))), {"a": 500},
         "c.yaml:9:1: address: 192.168.1.20 is still used by a"),
        (lambda vms: [path.unlink() for path in vms.iterdir()], {"a": 500}, "lost checkout"),
        (lambda vms: None, {"gone": 500}, "Terraform has gone, but its file is neither in vms/ nor in the history"),
        (lambda vms: (vms / "c.yaml").write_text("- a list\n"), {}, "c.yaml"),
    ],
)  # fmt: skip
def test_refused(repository, capsys, change, have, problem):
    home, commit = repository
    change(home / "vms")
    commit() if have != {"gone": 500} else None
    assert run(home, state_text=state_of(**have)) == 1
    assert problem in capsys.readouterr().err
    assert not (home / "vms.auto.tfvars.json").exists()


def test_nobody_could_log_in(repository, capsys):
    home, _ = repository
    (home / "authorized_keys").unlink()
    assert run(home) == 1
    assert "nobody could log in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"# Jos\xe9\n", "is not valid UTF-8"),
        (b"# me\n-----BEGIN OPENSSH PRIVATE KEY-----\n", "authorized_keys:2: this line is a private key"),
        (b"me@example.org\n", "authorized_keys:1: this line is not a public key"),
        (f"{KEY}: ops\n".encode(), "authorized_keys:1: this line has a colon before a space"),
        (f"{KEY}\tops\n".encode(), "authorized_keys:1: this line contains a tab"),
    ],
)
def test_a_fleets_keys_that_are_none(repository, capsys, text, said):
    home, _ = repository
    (home / "authorized_keys").write_bytes(text)
    assert run(home) == 1
    assert said in capsys.readouterr().err


def test_a_byte_order_mark_before_the_fleets_keys(repository):
    home, _ = repository
    (home / "authorized_keys").write_bytes(b"\xef\xbb\xbf" + (home / "authorized_keys").read_bytes())
    assert run(home) == 0
    assert written(home)["vms"]["a"]["sshkeys"][0].startswith("ssh-")


@pytest.mark.parametrize(
    ("fields", "boot"),
    [
        ({"disks": {"sata0": {"size": "9G"}, "scsi0": {"size": "9G"}}}, ["scsi0"]),
        ({"disks": {"scsi1": {"size": "9G"}, "virtio0": {"size": "9G"}}}, ["virtio0"]),
        ({"disks": {"scsi2": {"size": "9G"}}, "boot": "order=net0;scsi2"}, ["net0", "scsi2"]),
        ({"disks": None}, ["scsi0"]),
    ],
)
def test_a_machine_starts_from_the_disk_with_its_system(repository, fields, boot):
    home, _ = repository
    (home / "vms" / "a.yaml").write_text(text("a", **fields))
    slots = list(fields["disks"] or {"scsi0": 1})
    configs = {9000: dict.fromkeys(slots, "local-lvm:base,size=3584M")}
    have = state.parse(state_of(b=501))  # whose template is not looked at again
    made = build(
        Sources(home / "vms", home / "authorized_keys", home / "x"), have, client=Cluster([TEMPLATE], configs)
    )
    assert made.values["vms"]["a"]["boot"] == boot, made.findings


def test_disks_that_the_file_does_not_name_are_those_of_the_template(repository):
    home, _ = repository
    (home / "vms" / "a.yaml").write_text(text("a", disks=None))
    cluster = Cluster([TEMPLATE], {9000: TEMPLATE_CONFIG[9000] | {"ide2": "local-lvm:vm-9000-cloudinit"}})
    sources = Sources(home / "vms", home / "authorized_keys", home / "x")
    made = build(sources, {}, client=cluster)
    assert not made.findings
    disk = {"slot": "scsi0", "size": 4, "storage": "local-lvm", "mount": None}
    assert made.values["vms"]["a"]["disks"] == [disk]
    have = {"a": state.Resource(500, "node01", False, "", (Disk("scsi0", 9, "other"),))}
    made = build(sources, have, client=cluster)
    assert made.values["vms"]["a"]["disks"] == [disk | {"size": 9, "storage": "other"}]


# Of a file that came and went in one push, so that nobody has validated it.
HOSTILE = (
    (text("a", ciuser="root\nruncmd: [id]"), "ciuser: contains a line break"),
    (text("other"), "name: is other, but the file is called a.yaml"),
    (text("a", ipconfig0=[1]), "ipconfig0: must be text"),
    (text("a", cpu_type="custom-a,args=-device x"), "cpu_type: custom-a,args=-device x is not a CPU type"),
    ("- a list\n", "holds a list at its top"),
    ("<<<<<<< HEAD\n", "a merge conflict is not resolved here"),
    (b"name: \xff\n", "is not valid UTF-8"),
)


@pytest.mark.parametrize(("content", "problem"), HOSTILE, ids=[problem for _, problem in HOSTILE])
def test_the_newest_valid_version_of_a_removed_file_is_kept(repository, capsys, content, problem):
    home, commit = repository
    path = home / "vms" / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    commit()
    path.unlink()
    commit()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    kept = written(home)["vms"]["a"]
    assert (kept["ciuser"], kept["ipconfig0"]["ip"], kept["cpu_type"]) == (
        "suporte",
        "192.168.1.20/24",
        "host",
    )
    err = capsys.readouterr().err
    assert "stays as committed before the last version, which is invalid" in err and problem in err
    assert "commit with [destroy a] to remove it" in err


def test_a_removed_file_without_a_valid_version_keeps_the_machine_as_the_state_has_it(repository, capsys):
    home, commit = repository
    path = home / "vms" / "c.yaml"
    path.write_text(text("c", "192.168.1.30", ciuser="a: b"))
    commit()
    path.unlink()
    commit()
    as_applied = json.loads(state_of(c=501, gone=502))
    for instance in as_applied["resources"][0]["instances"]:
        vmid = instance["attributes"]["vm_id"]
        instance["attributes"] = json.loads(RECORDED.replace("192.168.1.20/24", f"10.0.0.{vmid - 500}/24"))
        instance["attributes"]["vm_id"] = vmid
    assert run(home, state_text=json.dumps(as_applied)) == 0
    for name, vmid in (("c", 501), ("gone", 502)):
        kept = written(home)["vms"][name]
        assert (kept["vmid"], kept["ipconfig0"]["ip"], kept["cores"]) == (vmid, f"10.0.0.{vmid - 500}/24", 4)
    err = capsys.readouterr().err
    recorded = "so the machine stays as recorded in Terraform's state, because"
    assert (
        f"removing c, {recorded} no version of its file in the history is valid (ciuser: a: b must be" in err
    )
    assert f"removing gone, {recorded} its file is neither in vms/ nor in the history" in err


def as_applied() -> str:
    """The state of machine a, VMID 500, with all that the provider records."""
    state_ = json.loads(state_of(a=500))
    state_["resources"][0]["instances"][0]["attributes"] = json.loads(RECORDED) | {"vm_id": 500}
    return json.dumps(state_)


def test_a_version_that_was_never_applied_takes_nothing_from_another_machine(repository):
    """Valid by itself, it names another machine's number, address and card, and disks that shrink."""
    home, commit = repository
    path = home / "vms" / "a.yaml"
    path.write_text(
        text(
            "a",
            "192.168.1.21",
            vmid=501,
            network={"macaddr": "BC:24:11:00:00:01"},
            disks={"scsi0": {"size": "2G"}, "scsi1": {"size": "3G", "mount": "/srv"}},
        )
    )
    commit()
    path.unlink()
    commit()
    assert run(home, state_text=as_applied()) == 0
    kept = written(home)["vms"]["a"]
    assert (kept["vmid"], kept["ipconfig0"]["ip"], kept["network"]["macaddr"]) == (
        500,
        "192.168.1.20/24",
        "BC:24:11:DF:F8:70",
    )
    assert [(disk["slot"], disk["size"], disk["mount"]) for disk in kept["disks"]] == [
        ("scsi0", 4, None),
        ("scsi1", 3, "/srv"),
    ]


def test_a_reserved_address_that_was_never_applied_is_not_kept(repository):
    home, commit = repository
    path = home / "vms" / "a.yaml"
    path.write_text(text("a", ipconfig0="ip=dhcp", address="192.168.1.50"))
    commit()
    path.unlink()
    commit()
    assert run(home, state_text=as_applied()) == 0
    kept = written(home)["vms"]["a"]
    assert (kept["ipconfig0"]["ip"], kept.get("address")) == ("192.168.1.20/24", None)
    assert run(home, state_text=state_of(a=500)) == 0  # nothing recorded that says otherwise
    kept = written(home)["vms"]["a"]
    assert (kept["ipconfig0"]["ip"], kept["address"]) == ("dhcp", "192.168.1.50")


def test_not_a_state(repository, capsys):
    home, _ = repository
    assert run(home, state_text='{"version": 3}') == 2
    assert "is not what `terraform state pull` prints" in capsys.readouterr().err


def test_proxmox_is_asked_unless_offline(repository, capsys, monkeypatch):
    home, _ = repository
    monkeypatch.delenv("PROXMOX_VE_ENDPOINT", raising=False)
    (home / "state.json").write_text("")
    arguments = [
        "--vms-dir",
        str(home / "vms"),
        "--output",
        str(home / "o"),
        "--state",
        str(home / "state.json"),
    ]
    assert generate_tfvars.main(arguments) == 2
    assert "PROXMOX_VE_ENDPOINT is not set" in capsys.readouterr().err


def test_refused_is_a_fault():
    assert Refused("no", 403).status == 403


FOREIGN = {
    "name": "a",
    "description": "Ask Ana",
    "sshkeys": quote(f"{KEY}\n".replace("fleet", "ana"), safe=""),
}
OURS = {"name": "a", "description": "proxmox-gitops: a"}
OTHER = KEY.replace("fleet", "ana")
ACCOUNT = {"initialization": [{"user_account": [{"keys": [OTHER], "username": "ana"}]}]}
RECORDED_ONE = {"boot_order": ["net0"], "description": OURS["description"]}
# What there is of the machine `a`, and whether somebody else made it, with its boot order in the input.
TAKEN_OVER = {
    "a guest that somebody made": (FOREIGN | {"boot": "order=net0;scsi0"}, None, [], True, ["net0", "scsi0"]),
    "one without an order": (FOREIGN, None, [], True, []),
    "one with an order of old": (FOREIGN | {"boot": "cdn"}, None, [], True, []),
    "a clone whose run was cut off": (OURS | {"boot": "order=net0"}, None, [], False, ["scsi0"]),
    "taken over by an earlier run": (None, RECORDED_ONE | ACCOUNT, ["a"], True, ["net0"]),
    "a takeover that was cut off": (None, {"boot_order": None, "description": "Ask Ana"} | ACCOUNT, [], True, []),
    "made by us": (None, RECORDED_ONE, [], False, ["scsi0"]),
    "one that the input no longer has": (OURS, None, ["gone"], False, ["scsi0"]),
}  # fmt: skip


@pytest.mark.parametrize("what", TAKEN_OVER)
def test_a_machine_that_was_taken_over(repository, what):
    config, attributes, adopted, is_adopted, boot = TAKEN_OVER[what]
    home, _ = repository
    (home / "vms" / "a.yaml").write_text(text("a", vmid=510))
    recorded = json.loads(state_of(b=501, **({"a": 510} if attributes else {})))
    for instance in recorded["resources"][0]["instances"]:
        if instance["index_key"] == "a":
            instance["attributes"] |= attributes
    recorded["outputs"] = {"adopted": {"value": adopted, "type": ["list", "string"]}}
    guests = [TEMPLATE, TEMPLATE._replace(vmid=510, name="a", template=False)]
    cluster = Cluster(guests, TEMPLATE_CONFIG | {510: config or {}})
    sources = Sources(home / "vms", home / "authorized_keys", home / "x")
    made = build(sources, state.parse(json.dumps(recorded)), client=cluster)
    assert made.findings == []
    assert made.values.get("adopted", []) == (["a"] if is_adopted else [])
    assert made.values["vms"]["a"]["boot"] == boot
    assert made.values["vms"]["a"]["sshkeys"] == [OTHER if is_adopted else KEY]
    # What the file says is not the guest's to decide.
    (home / "vms" / "a.yaml").write_text(text("a", vmid=510, boot="order=scsi0;net0"))
    made = build(sources, state.parse(json.dumps(recorded)), client=cluster)
    assert made.values["vms"]["a"]["boot"] == ["scsi0", "net0"]


def test_a_machine_that_was_taken_over_without_keys_gets_none(repository):
    home, _ = repository
    (home / "authorized_keys").unlink()
    for name in ("a", "b"):
        (home / "vms" / f"{name}.yaml").unlink()
    (home / "vms" / "a.yaml").write_text(text("a", vmid=510))
    guests = [TEMPLATE, TEMPLATE._replace(vmid=510, name="a", template=False)]
    sources = Sources(home / "vms", home / "authorized_keys", home / "x")
    made = build(sources, {}, client=Cluster(guests, TEMPLATE_CONFIG | {510: {"name": "a"}}))
    assert (made.findings, made.values["vms"]["a"]["sshkeys"]) == ([], [])


@pytest.mark.parametrize(
    ("fields", "order"),
    [
        ({}, ["scsi0", "net0"]),
        ({"cdrom": "local:iso/x.iso"}, ["scsi0", "ide3"]),
        ({"cdrom": {"file": "none", "slot": "sata5"}, "disks": {"virtio0": {"size": "9G"}}}, ["virtio0", "sata5"]),
        ({"boot": "order=net0"}, ["net0"]),
    ],
)  # fmt: skip
def test_what_has_no_template_starts_from_what_installs_it(repository, fields, order):
    home, _ = repository
    (home / "vms" / "a.yaml").write_text(text("a", clone="none", **fields))
    sources = Sources(home / "vms", home / "authorized_keys", home / "x")
    made = build(sources, state.parse(state_of(b=501)), client=Cluster([TEMPLATE], {}))
    assert made.values["vms"]["a"]["boot"] == order, made.findings


IMAGE = f"local:import/{FILE}"


@pytest.fixture
def from_image(repository):
    """A repository whose machine `a` is made from an image."""
    home, commit = repository
    catalogue(home)
    fields = {"clone": None, "image": "debian-12", "agent": False}
    (home / "vms" / "a.yaml").write_text(text("a", **fields))
    commit()
    return home, commit


def disk_of(home: Path) -> dict:
    return written(home)["vms"]["a"]["disks"][0]


def test_a_new_machine_is_made_of_the_locked_build(from_image):
    home, _ = from_image
    assert run(home) == 0
    vm = written(home)["vms"]["a"]
    assert (vm["clone"], vm["boot"], vm["disks"][0]["import_from"]) == ("none", ["scsi0"], IMAGE)
    assert "import_from" not in written(home)["vms"]["b"]["disks"][0]


def test_a_newer_lock_a_lost_catalogue_and_a_removed_file_do_not_touch_a_machine_that_exists(
    from_image, capsys
):
    home, commit = from_image
    has = json.loads(as_applied())
    attributes = has["resources"][0]["instances"][0]["attributes"]
    attributes["disk"][0]["import_from"] = IMAGE
    assert run(home, state_text=json.dumps(has)) == 0
    before = (home / "vms.auto.tfvars.json").read_bytes()
    catalogue(home, "2026-11-16")
    assert run(home, state_text=json.dumps(has)) == 0
    assert (home / "vms.auto.tfvars.json").read_bytes() == before
    (home / "vms" / "a.yaml").unlink()
    commit()
    (home / "images.yml").unlink()
    assert run(home, state_text=json.dumps(has)) == 0
    assert disk_of(home)["import_from"] == IMAGE
    assert "image:" not in capsys.readouterr().err


def test_an_image_that_the_catalogue_lacks_is_an_error_at_its_line(from_image, capsys, monkeypatch):
    home, _ = from_image
    monkeypatch.chdir(home)
    (home / "images.yml").unlink()
    assert run(home) == 1
    said = "vms/a.yaml:8:1: image: images.yml: does not exist; set PROXMOX_IMAGES to another's path"
    assert said in capsys.readouterr().err
