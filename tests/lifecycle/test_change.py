"""What happens to machines that are there: power, changes, checks, and rights that the token lacks."""

import signal
import subprocess
import time
import uuid

import pytest

from fleet.lifecycle import create, finish, machine, modify, power, remove, verify
from fleet.paths import PROXMOX_DIR
from fleet.proxmox import client
from fleet.proxmox.client import Client
from lab import PROXMOX_URL, network
from lab.environment import environment
from lab.proxmox import access, accounts, faults
from tests.lifecycle.conftest import TEMPLATE


@pytest.fixture
def app(lab):
    return lab.created("app", cores=1)


def test_power_is_switched_once(lab, app):
    for action, status in (
        ("start", "running"),
        ("shutdown", "stopped"),
        ("start", "running"),
        ("stop", "stopped"),
    ):
        assert lab.step(power, check=True, power=action, name="app").changed
        assert lab.step(power, power=action, name="app").facts["status"] == status
        assert not lab.step(power, power=action, name="app").changed


def test_a_machine_that_does_not_shut_down(lab, app):
    lab.step(power, power="start", name="app")
    with faults.injected({"match": "TASK qmshutdown:", "error": "VM quit/powerdown failed - got timeout"}):
        said = lab.refused(power, power="shutdown", name="app", timeout=1)
    assert "did not shut down within 1 s: set proxmox_vm_force_stop: true, use state stop" in said
    with faults.injected({"match": "POST .*/shutdown", "status": 500, "message": "forced"}):
        assert "forced" in lab.refused(remove, name="app", confirm="app", force_stop=True)
    assert lab.step(remove, name="app", confirm="app").changed


@pytest.mark.parametrize("action", ["start", "stop", "shutdown"])
def test_power_of_what_cannot_be_switched(lab, app, action):
    said = lab.refused(power, power=action, name="ubuntu24-template")
    assert f"is a template, which this role does not {action}" in said
    if action == "start":
        lock = {"match": "GET .*/500/config", "data": lab.config(app) | {"lock": "backup"}}
        with faults.injected(lock):
            assert "is locked (backup): wait for the task that holds it" in lab.refused(
                power, power=action, name="app"
            )
    assert "did you mean app?" in lab.refused(power, power=action, name="appp")


def test_any_machine_can_be_started_and_verified(lab, app):
    lab.api.put("nodes/node01/qemu/500/config", tags="proxmox-gitops", description="")
    assert lab.step(power, power="start", name="app").changed
    result = lab.step(verify, name="app")
    assert result.facts["maker"] == "Terraform" and result.facts["address"]


def test_a_started_machine_must_answer(lab, app):
    assert lab.step(power, power="start", name="app", wait=True).facts["address"]
    lab.step(power, power="stop", name="app")
    with faults.injected({"agent_silent": 500}):
        said = lab.refused(power, power="start", name="app", wait=True, timeout=2)
    assert "its guest agent told no address within 2 s" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cores": 3}, "cores is 1, wanted 3"),
        ({"disk_min_size": "50G"}, "scsi0 is 3G, wanted 50G"),
        ({"node": "node02"}, "node is node01, wanted node02"),
        ({"tags": ["blue"]}, "tags is ansible, wanted ansible;blue"),
        ({"cloud_init_ip": "192.168.1.9/24"}, "ipconfig0 is ip=dhcp, wanted ip=192.168.1.9/24"),
        ({"vlan": 7}, "bridge=vmbr0,tag=7"),
        ({"template_name": "other-template"}, "made from is ubuntu24-template, wanted other-template"),
        ({"protection": True}, "protection is not set, wanted 1"),
    ],
)
def test_what_differs(lab, app, arguments, said):
    assert said in lab.refused(verify, name="app", **arguments)
    result = lab.step(verify, compare=True, name="app", **arguments)
    assert said in result.message and "use state modify" in result.message and not result.changed


def test_a_disk_that_is_gone(lab, app):
    with faults.injected({"match": "GET .*/content", "data": []}):
        assert "the volume local-lvm:vm-500-disk-0 of scsi0 is gone" in lab.refused(verify, name="app")


@pytest.mark.parametrize(
    ("arguments", "waiting", "option"),
    [
        ({"cores": 4}, ["cores"], ("cores", 4)),
        ({"tags": "blue"}, [], ("tags", "ansible;blue")),
        ({"protection": "yes"}, [], ("protection", 1)),
        (
            {"description": "of the team"},
            [],
            ("description", "of the team\n\nansible-vm: app from ubuntu24-template"),
        ),
    ],
)
def test_a_change_while_it_runs(lab, app, arguments, waiting, option):
    lab.step(power, power="start", name="app")
    checked = lab.step(modify, check=True, name="app", **arguments)
    changed = lab.step(modify, name="app", **arguments)
    assert (checked.before, checked.after) == (changed.before, changed.after)
    assert changed.facts["waiting"] == waiting
    assert lab.config(app)[option[0]] == option[1]
    assert not lab.step(modify, name="app", **arguments).changed


def test_a_network_card_keeps_its_address(lab, app):
    mac = lab.config(app)["net0"].split(",")[0]
    lab.step(modify, name="app", vlan=7)
    assert set(lab.config(app)["net0"].split(",")) == {mac, "bridge=vmbr0", "tag=7"}


def test_new_host_keys_are_announced(lab, app):
    assert "makes new SSH host keys" in lab.step(modify, name="app", cloud_init_ip="192.168.1.9/24").message


def test_an_address_stays_until_another_one_or_dhcp_is_asked_for(lab, app):
    lab.step(modify, name="app", cloud_init_ip="192.168.1.9/24")
    assert not lab.step(modify, name="app", cloud_init_ip="").changed
    assert lab.config(app)["ipconfig0"] == "ip=192.168.1.9/24"
    assert lab.step(modify, name="app", cloud_init_ip="dhcp").changed
    assert lab.config(app)["ipconfig0"] == "ip=dhcp"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"template_name": "other-template"},
            "other-template is asked for, but it was made from ubuntu24-template",
        ),
        ({"template_distribution": "debian12"}, "debian12-template is asked for"),
        ({"cloud_image_url": "https://example.org/a.img"}, "https://example.org/a.img is asked for"),
        ({"node": "node02"}, "proxmox_vm_node is node02: migrate it in Proxmox"),
        ({"disk_storage": "tank"}, "proxmox_vm_disk_storage is tank, but its disk is on local-lvm"),
        (
            {"disks": {"scsi0": {"size": "9G", "storage": "tank"}}},
            "scsi0 is to be on tank, but is on local-lvm",
        ),
    ],
)
def test_what_only_a_new_machine_can_have(lab, app, arguments, said):
    before = lab.config(app)
    assert said in lab.refused(modify, name="app", cores=4, **arguments)
    assert lab.config(app) == before
    assert not lab.step(modify, name="app", template_distribution="ubuntu24", template_name="").changed


def test_somebody_else_changes_it_at_the_same_moment(lab, app):
    before = lab.config(app)
    lab.api.put("nodes/node01/qemu/500/config", memory=2048)
    with faults.injected({"match": "GET .*/500/config", "data": before}):
        assert "was changed by somebody else at the same moment" in lab.refused(modify, name="app", cores=4)


def test_a_lock_that_another_task_holds_is_waited_for(lab, app, monkeypatch):
    monkeypatch.setattr(client, "LOCK_PAUSE", 0.1)
    held = {
        "match": "PUT .*/500/config",
        "times": 2,
        "status": 500,
        "message": "can't lock file - got timeout",
    }
    with faults.injected(held):
        assert lab.step(modify, name="app", cores=4).changed


def test_a_machine_is_handed_over_by_its_tag(lab, app):
    lab.api.put("nodes/node01/qemu/500/config", description="by hand")
    lab.step(modify, name="app", cores=2)
    assert lab.config(app)["description"] == "by hand\n\nansible-vm: app"


def test_a_copy_and_a_machine_that_was_renamed_are_nobodys_until_they_are_handed_over(lab, app):
    lab.api.put("nodes/node01/qemu/500/config", name="web")
    said = lab.refused(remove, name="web", confirm="web")
    assert "was copied from app or renamed" in said
    assert "remove the line 'ansible-vm: app from ubuntu24-template'" in said
    lab.api.put("nodes/node01/qemu/500/config", delete="description")
    assert lab.step(modify, name="web", cores=2).changed


def test_a_machine_whose_creation_was_cut_off_is_finished_first(lab):
    lab.step(create, stage="clone", name="app", template_vmid=TEMPLATE)
    for module, arguments in ((power, {"power": "start"}), (modify, {"description": "x"}), (verify, {})):
        assert "run create again, which finishes it" in lab.refused(module, name="app", **arguments)
    assert lab.step(remove, name="app", confirm="app").changed


def test_two_machines_of_one_name(lab, app):
    lab.created("other")
    lab.api.put("nodes/node01/qemu/501/config", name="app")
    said = lab.refused(remove, name="app", confirm="app")
    assert "app exists 2 times, as VMID 500 on node01, VMID 501 on node01" in said
    assert lab.step(power, power="start", name="app", vmid=501).changed


def test_what_becomes_of_a_machine_while_it_shuts_down_counts(lab, app, monkeypatch):
    """Two minutes are enough for a person to make another one of it."""
    switch = power.switch

    def slow(*arguments):
        switch(*arguments)
        lab.api.put("nodes/node01/qemu/500/config", tags="", description="mine now")
        return True

    monkeypatch.setattr(power, "switch", slow)
    assert "was not made by this role" in lab.refused(remove, name="app", confirm="app")
    assert "app" in lab.names()


def without(lab, privilege: str) -> Client:
    """The client of a user who has all that the documentation asks for, but for this."""
    name = f"u{uuid.uuid4().hex[:8]}"
    accounts.add_role(name, ",".join(one for one in access.GITOPS if one != privilege))
    accounts.add_user(f"{name}@pve")
    accounts.grant("/", [name], f"{name}@pve", None, propagate=True, remove=False)
    token = accounts.add_token(f"{name}@pve", "t", privsep=False, expire=0)
    return Client(PROXMOX_URL, f"{token['full-tokenid']}={token['value']}")


NEEDED = [
    *((create, {"stage": "clone", "name": "new", "template_vmid": TEMPLATE}, privilege)
      for privilege in ("VM.Clone", "VM.Allocate", "VM.Config.Disk", "VM.Config.Options", "VM.Config.Cloudinit",
                        "Datastore.AllocateSpace", "SDN.Use")),
    (power, {"power": "start", "name": "app"}, "VM.PowerMgmt"),
    (modify, {"name": "app", "cores": 2}, "VM.Config.CPU"),
    (modify, {"name": "app", "memory": 4096}, "VM.Config.Memory"),
    (modify, {"name": "app", "vlan": 7}, "VM.Config.Network"),
    (modify, {"name": "app", "vlan": 7}, "SDN.Use"),
    (modify, {"name": "app", "disk_min_size": "9G"}, "VM.Config.Disk"),
    (modify, {"name": "app", "cloud_init_user": "me"}, "VM.Config.Cloudinit"),
    (modify, {"name": "app", "tags": "blue"}, "VM.Config.Options"),
    (remove, {"name": "app", "confirm": "app"}, "VM.Allocate"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "arguments", "privilege"), NEEDED)
def test_a_missing_privilege_is_named_before_anything_is_changed(lab, app, module, arguments, privilege):
    before = lab.config(app)
    own, lab.api = lab.api, without(lab, privilege)
    try:
        said = lab.refused(module, **arguments)
    finally:
        lab.api = own
    assert f"lacks {privilege} on /" in said and f"-append -privs {privilege}" in said
    assert lab.config(app) == before and lab.names() == {"ubuntu24-template", "app"}


def test_progress_is_shown_now_and_then(monkeypatch):
    shown, clock = [], iter(range(100))
    monkeypatch.setattr(machine.time, "monotonic", lambda: float(next(clock)))
    say = machine._throttled(shown.append)
    for percent in range(0, 101, 5):
        say(f"transferred {percent}.00%")
    say("a line")
    say("TASK OK")
    assert 4 <= len(shown) <= 8 and shown[-2:] == ["transferred 100.00%", "a line"]


def test_a_play_that_is_killed_while_proxmox_clones(lab):
    """Proxmox goes on; the next run waits for it and makes no second machine."""
    script = PROXMOX_DIR / "manage-platform.sh"
    argv = [str(script), "-h", "node01", "proxmox_vm", "create", "--",
            "-e", "vm_name=app", "-e", "vm_template_distribution=ubuntu24"]  # fmt: skip
    with faults.injected({"match": "TASK qmclone:", "delay": 6}):
        play = subprocess.Popen(
            network.inside_argv(argv), env=environment(), start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while "app" not in lab.names():
            time.sleep(0.1)
        subprocess.run(["kill", f"-{signal.SIGKILL}", "--", f"-{play.pid}"], check=True)
        play.wait()
        done = subprocess.run(network.inside_argv(argv), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whose creation was cut off and goes on" in done.stdout
    assert lab.names() == {"ubuntu24-template", "app"}
    lab.step(verify, name="app")
    assert not lab.step(finish, stage="finish", name="app").changed
