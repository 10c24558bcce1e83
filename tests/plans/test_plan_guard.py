"""The plan guard on what the provider said of a real machine (cases/plans/machine.json), changed in one way.

tests/lab/test_terraform.py has the same dangers on plans that Terraform makes.
"""

import copy
import io
import json
from pathlib import Path

import pytest

import plan_guard
from fleet.plans import plan as changes
from fleet.plans.guard import Allowed, judge
from fleet.terraform.state import TYPE

MACHINE = json.loads((Path(__file__).parents[1] / "cases/plans/machine.json").read_text())


def changed(**values) -> dict:
    return copy.deepcopy(MACHINE) | values


def disk(slot: str, size: int, storage: str = "local-lvm") -> dict:
    return MACHINE["disk"][0] | {"interface": slot, "size": size, "datastore_id": storage}


def entry(before: dict | None, after: dict | None, name: str = "k8s-dev", **more) -> dict:
    """One of a plan's resource_changes; `more`: replace_paths, importing, action_reason."""
    actions = ["update"] if before != after else ["no-op"]
    if before is None:
        actions = ["create"]
    elif after is None:
        actions = ["delete"]
    elif "replace_paths" in more or "action_reason" in more:
        actions = ["delete", "create"]
    change = {"actions": actions, "before": before, "after": after}
    change |= {key: more[key] for key in ("replace_paths", "importing") if key in more}
    found = {
        "address": f'x.{TYPE}.this["{name}"]',
        "mode": "managed",
        "type": TYPE,
        "index": name,
        "change": change,
    }
    return found | ({"action_reason": more["action_reason"]} if "action_reason" in more else {})


def plan(*entries: dict) -> dict:
    return {"format_version": "1.2", "planned_values": {}, "resource_changes": list(entries)}


TWO = [disk("scsi0", 4), disk("scsi1", 3)]
LINKED = disk("scsi0", 4) | {"path_in_datastore": "base-9000-disk-0/vm-501-disk-0"}
NAME = {"replace_paths": [["name"]]}
SNIPPET = {"replace_paths": [["initialization", 0, "user_data_file_id"]]}
OWN = copy.deepcopy(MACHINE["initialization"])
OWN[0]["user_data_file_id"] = "local:snippets/a.yaml"
TAINTED = {"action_reason": "replace_because_tainted"}
IMPORT = {"importing": {"id": "501"}}
GUARDED = [
    # entry, known to the inventory, what the refusal says ("": none)
    (entry(MACHINE, MACHINE), True, ""),
    (entry(MACHINE, None), True, "restore k8s-dev.yaml, or if it has a new name, write `formerly: k8s-dev` into"),
    (entry(MACHINE, changed(vm_id=700), replace_paths=[["vm_id"]]), True, "because of vm_id (501 → 700); revert"),
    (entry(MACHINE, changed(), replace_paths=[["clone", 0, "vm_id"]]), True, "recreate k8s-dev because of clone"),
    (entry(MACHINE, changed(initialization=OWN), **SNIPPET), True,
     "recreate k8s-dev because of cicustom.user (none → local:snippets/a.yaml); revert that"),
    (entry(MACHINE, changed(node_name="node02")), True, ""),
    (entry(MACHINE, changed(), **TAINTED), True, "the state marks it as tainted; run `terraform untaint`"),
    (entry(MACHINE, changed(), **TAINTED), False, ""),
    (entry(None, MACHINE), False, ""),
    (entry(None, MACHINE), True, "would create k8s-dev a second time"),
    (entry(MACHINE, changed(disk=[disk("scsi0", 5), *TWO[1:]])), True, ""),
    (entry(MACHINE, changed(disk=[*TWO, disk("scsi2", 1)])), True, ""),
    (entry(MACHINE, changed(disk=[disk("scsi0", 2), *TWO[1:]])), True, "shrink scsi0 of k8s-dev from 4G"),
    (entry(MACHINE, changed(disk=TWO[:1])), True, "would remove scsi1 (3G on local-lvm) from k8s-dev"),
    (entry(MACHINE, changed(disk=[TWO[0], disk("scsi1", 3, "ceph")])), True, "would move scsi1 of"),
    (entry(changed(started=False), changed(disk=[TWO[0], disk("scsi1", 3, "ceph")])), True, ""),
    (entry(changed(disk=[LINKED]), changed(disk=[LINKED | {"size": 9}])), True, "would enlarge or move scsi0 of"),
    (entry(changed(started=False, disk=[LINKED]), changed(disk=[LINKED | {"datastore_id": "ceph"}])), True,
     "would enlarge or move scsi0 of"),
    (entry(changed(disk=[LINKED]), changed(disk=[LINKED | {"cache": "writeback"}])), True, ""),
    (entry(MACHINE, changed(disk=[TWO[0], disk("scsi5", 1), TWO[1]])), True, "the volume of scsi1"),
    (entry(changed(disk=[TWO[0], disk(None, None)]), MACHINE), True, ""),
    (entry(changed(disk=TWO, started=False), changed(disk=TWO[:1]), **IMPORT), False, ""),
    (entry(changed(disk=TWO, started=False), changed(disk=TWO[:1]), **IMPORT), True, "would remove scsi1"),
    (entry(changed(disk=[disk("scsi0", 9)]), MACHINE, **IMPORT), False, "shrink scsi0 of k8s-dev from 9G"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "known", "message"), GUARDED)
def test_judged(entry, known, message):
    found = changes.read(plan(entry))
    messages = [finding.message for finding in judge(found, Allowed({"k8s-dev"} if known else ()))]
    assert len(messages) == bool(message)
    assert message in "".join(messages)


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        (entry(MACHINE, None), 0),
        (entry(MACHINE, changed(), **NAME), 0),
        (entry(None, MACHINE), 0),
        # A machine that may be destroyed may not lose a disk while it stays.
        (entry(MACHINE, changed(disk=TWO[:1])), 1),
    ],
)
def test_approved(entry, refused):
    findings = judge(changes.read(plan(entry)), Allowed({"k8s-dev"}, {"k8s-dev"}))
    assert len([finding for finding in findings if finding.level == "error"]) == refused
    other = judge(changes.read(plan(entry)), Allowed({"k8s-dev"}, {"k8s-dev2", "k8s-de"}))
    assert len(other) == 1


def test_an_approval_that_destroys_nothing_is_said():
    (finding,) = judge(changes.read(plan(entry(MACHINE, MACHINE))), Allowed({"k8s-dev"}, {"k8s-dev"}))
    assert (finding.level, "[destroy k8s-dev] has no effect" in finding.message) == ("notice", True)


def test_too_many_changes():
    found = changes.read(plan(*[entry(None, MACHINE, name=f"m{n}") for n in range(21)]))
    assert "21 machines would change at once; the limit is 20" in judge(found, Allowed())[0].message
    assert judge(found, Allowed(max_changes=21)) == []


def test_the_limit_is_a_variable(files, monkeypatch, capsys):
    monkeypatch.setenv("MAX_CHANGES", "0")
    assert guard(files, "--approve-destroy", "k8s-dev") == 1
    assert "1 machines would change at once; the limit is 0" in capsys.readouterr().err
    monkeypatch.setenv("MAX_CHANGES", "many")
    assert guard(files) == 2
    assert "MAX_CHANGES is 'many'; it must be a number" in capsys.readouterr().err


def block(name: str, **values) -> list[dict]:
    return [MACHINE[name][0] | values]


KEYS = copy.deepcopy(MACHINE["initialization"])
KEYS[0]["user_account"][0]["keys"] = ["ssh-ed25519 AAAA other"]
MOVED = copy.deepcopy(MACHINE["initialization"])
MOVED[0]["datastore_id"] = "local"


@pytest.mark.parametrize(
    ("values", "restart", "host_keys"),
    [
        ({"memory": block("memory", dedicated=9000)}, ["memory"], False),
        ({"cpu": block("cpu", cores=9)}, ["cpu"], False),
        ({"cpu": block("cpu", flags=["+aes"])}, ["cpu"], False),
        ({"cpu": block("cpu", limit=2, units=200)}, [], False),
        ({"memory": block("memory", floating=256)}, ["memory"], False),
        ({"bios": "ovmf", "machine": "q35"}, ["bios", "machine"], False),
        ({"usb": [{"host": "", "mapping": "key", "usb3": False}], "tablet_device": False}, [], False),
        ({"hostpci": [{"device": "hostpci0", "mapping": "gpu"}]}, ["hostpci"], False),
        ({"hotplug": "0", "startup": [{"order": 3, "up_delay": -1, "down_delay": -1}]}, [], False),
        ({"agent": block("agent", enabled=False)}, ["agent"], False),
        ({"agent": block("agent", timeout="1m", wait_for_ip=[])}, [], False),
        ({"initialization": KEYS}, ["initialization"], True),
        ({"initialization": MOVED}, ["initialization"], False),
        ({"network_device": block("network_device", mac_address="BC:24:11:00:00:02")}, [], True),
        ({"network_device": block("network_device", vlan_id=4)}, [], False),
        ({"description": "x", "tags": ["a"], "on_boot": False}, [], False),
        ({"disk": [*TWO, disk("scsi2", 9)]}, [], False),
        ({"disk": [TWO[0] | {"ssd": False}, TWO[1]]}, ["scsi0"], False),
        ({"reboot_after_update": True, "migrate": False}, [], False),
    ],
)
def test_what_waits_for_a_restart(values, restart, host_keys):
    (found,) = changes.read(plan(entry(MACHINE, changed(**values))))
    assert (list(found.restart), found.renews_host_keys) == (restart, host_keys)
    (found,) = changes.read(plan(entry(changed(started=False), changed(**values))))
    assert found.restart == ()


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ({"cpu": block("cpu", limit=2)}, True),
        ({"memory": block("memory", dedicated=9000)}, True),
        ({"tablet_device": False}, True),
        ({"disk": [TWO[0] | {"ssd": False}, TWO[1]]}, True),
        ({"disk": [TWO[0], disk("scsi1", 3, "ceph")]}, True),
        ({"description": "x", "network_device": block("network_device", vlan_id=4)}, False),
    ],
)
def test_what_the_provider_grows_no_disk_beside(values, blocks):
    (found,) = changes.read(plan(entry(MACHINE, changed(**values))))
    assert found.blocks_growth is blocks


USB = [{"host": "", "mapping": "key", "usb3": False}]
WATCHDOG = {"enabled": True, "model": "i6300esb", "action": "none"}
DRIVE = {"enabled": False, "file_id": "local:iso/a.iso", "interface": "ide3"}


@pytest.mark.parametrize(
    ("before", "after", "restart"),
    [
        ({"hotplug": "disk"}, {"usb": USB, "tablet_device": False}, ["tablet_device", "usb"]),
        ({"hotplug": "0"}, {"network_device": block("network_device", vlan_id=4)}, ["network_device"]),
        ({"hotplug": "network"}, {"network_device": block("network_device", vlan_id=4)}, []),
        ({"hotplug": "1"}, {"usb": USB}, []),
        ({"memory": block("memory", floating=256)}, {"memory": block("memory", floating=512)}, []),
        ({"memory": block("memory", floating=256)}, {"memory": block("memory", floating=0)}, ["memory"]),
        ({"cdrom": [DRIVE]}, {"cdrom": [DRIVE | {"file_id": "none"}]}, []),
        ({"watchdog": [WATCHDOG]}, {"watchdog": []}, ["watchdog"]),
        ({"watchdog": [WATCHDOG | {"enabled": False}]}, {"watchdog": []}, []),
        ({"cdrom": [DRIVE]}, {"cdrom": [DRIVE | {"interface": "sata5"}]}, ["cdrom"]),
        ({"cdrom": []}, {"cdrom": [DRIVE]}, ["cdrom"]),
    ],
)
def test_what_waits_depends_on_what_the_machine_has(before, after, restart):
    (found,) = changes.read(plan(entry(changed(**before), changed(**before | after))))
    assert list(found.restart) == restart


@pytest.fixture
def files(tmp_path):
    """A plan that destroys, an inventory that knows the machine, and a request that approves."""
    (tmp_path / "plan.json").write_text(json.dumps(plan(entry(MACHINE, None))))
    (tmp_path / "k8s.ini").write_text("k8s-dev ansible_host=192.168.1.20 # terraform mac=x instance=y\nold\n")
    request = {"action": "destroy", "name": "k8s-dev"}
    (tmp_path / "requests.json").write_text(json.dumps({"head": "x", "since": None, "requests": [request]}))
    return tmp_path


def guard(folder: Path, *more: str) -> int:
    return plan_guard.main([str(folder / "plan.json"), "--inventory", str(folder / "k8s.ini"), *more])


def test_command_line(files, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert guard(files) == 1
    out, err = capsys.readouterr()
    assert out == "destroy k8s-dev\n"
    assert err.startswith("refused: would destroy k8s-dev")
    assert guard(files, "--format", "github") == 1
    assert capsys.readouterr().err.startswith("::error::refused: would destroy")
    assert guard(files, "--requests", str(files / "requests.json")) == 0
    assert guard(files, "--approve-destroy", "k8s-dev") == 0
    assert guard(files, "--approve-destroy", "other") == 1
    capsys.readouterr()
    assert guard(files, "--format", "json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data["destroy"] == ["k8s-dev"]
    assert data["refused"][0].startswith("refused: would destroy k8s-dev")


MARKED = changed(description="proxmox-gitops: k8s-dev")


@pytest.mark.parametrize(
    ("before", "more", "refused"),
    [
        (MARKED, {}, 1),
        (changed(description="tests"), {}, 1),  # somebody else's
        (MARKED, TAINTED, 0),  # its making failed half way
    ],
)
def test_a_machine_of_the_state_without_an_inventory_line_is_known(files, before, more, refused, capsys):
    """Such as one that no play runs on."""
    (files / "k8s.ini").write_text("")
    wanted = before | {"memory": [MACHINE["memory"][0] | {"floating": 256}], "acpi": False}
    (files / "plan.json").write_text(json.dumps(plan(entry(before, wanted, **more))))
    assert guard(files) == refused, capsys.readouterr().err


def test_told_in_words(files, capsys):
    wanted = changed(
        memory=block("memory", dedicated=9000), disk=[disk("scsi0", 8), *TWO[1:]], initialization=KEYS
    )
    (files / "plan.json").write_text(
        json.dumps(plan(entry(MACHINE, wanted), entry(None, MACHINE, name="new")))
    )
    assert guard(files) == 0
    before = MACHINE["memory"][0]["dedicated"]
    assert capsys.readouterr().out.splitlines() == [
        f"update  k8s-dev: disk scsi0 4G → 8G, initialization, memory {before} → 9000",
        "create  new (VMID 501 on node01)",
        "restart needed: k8s-dev (initialization, memory); no downtime: takes effect at the next restart",
        "new host keys: k8s-dev, at its next restart, because cloud-init will treat it as a new machine",
    ]
    (files / "plan.json").write_text(json.dumps(plan(entry(MACHINE, MACHINE))))
    assert guard(files) == 0
    assert capsys.readouterr().out == "no changes\n"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"resource_changes": []}', '{"resource_changes": [{}]}']
)
def test_not_a_plan(text, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert plan_guard.main([]) == 2
    assert "is not what `terraform show -json PLAN` prints" in capsys.readouterr().err


def test_other_files_that_are_not_what_they_should_be(files, capsys):
    assert plan_guard.main([str(files / "none.json")]) == 2
    (files / "requests.json").write_text("{}")
    assert guard(files, "--requests", str(files / "requests.json")) == 2
    assert guard(files, "--requests", str(files / "none.json")) == 2
    assert "extract_ansible_tag.py --format json" in capsys.readouterr().err
