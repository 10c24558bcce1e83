"""`make cleanup-vms` and `make remove`: only what the role made and the configuration names, whatever is in the way."""

import re

import pytest

import cleanup_vms
from fleet.deploy import removal
from fleet.lifecycle import machine
from fleet.proxmox import tasks
from lab import PROXMOX_URL, secret
from lab.proxmox import containers, faults, guests, volumes
from tests.deploy.conftest import NODE, TEMPLATE, owners, small

TWO = [small("one"), small("two")]


@pytest.fixture
def clean(deployments, capsys, monkeypatch):
    """Runs cleanup_vms.py: (exit status, all that it printed)."""
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", PROXMOX_URL)
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", secret("proxmox_token"))

    def run(*options: str) -> tuple[int, str]:
        code = cleanup_vms.main(["--config", str(deployments.config), *options])
        printed = capsys.readouterr()
        assert secret("proxmox_token").partition("=")[2] not in printed.out + printed.err
        return code, printed.out + printed.err

    return run


def path(vmid: int) -> str:
    return f"nodes/{NODE}/qemu/{vmid}"


def put(lab, vmid: int, **options) -> None:
    lab.api.put(f"{path(vmid)}/config", **options)


def test_a_clean_up_lists_then_removes_then_has_nothing_to_do(lab, deployments, clean):
    deployments.wants(TWO)
    code, said = clean()
    assert (
        code == 0
        and "two      -     -     -      is not there\nall machines of this configuration are gone" in said
    )
    for name in ("one", "two", "three"):
        lab.created(name, disks={"scsi1": "2G"})
    tasks.wait(lab.api, lab.api.post(f"{path(500)}/status/start"))
    code, said = clean()
    assert code == 1 and lab.names() == {TEMPLATE, "one", "two", "three"}
    assert "one      500   node01  running  goes, with 2 disks" in said
    assert "`make cleanup-vms CONFIRM_DELETE=true` removes 2 machines with all disks" in said
    assert "three (VMID 502 on node01) was made by the role too, but is not in this configuration" in said
    code, said = clean("--confirm-delete")
    assert (code, lab.names()) == (0, {TEMPLATE, "three"}), said
    assert re.search(r"one: UPID:node01:\S+:qmstop:500:", said)
    assert not any(
        "-500-" in volume or "-501-" in volume for volumes in owners(lab).values() for volume in volumes
    )
    assert clean("--confirm-delete")[0] == 0


@pytest.mark.parametrize(
    ("way", "said"), [("mounted", "is removed from node01"), ("none", "stays on its storage")]
)
def test_the_snippet_of_a_machine_goes_with_it(lab, deployments, clean, monkeypatch, way, said):
    folder = volumes.folder(NODE, "local") / "snippets"
    snippet, other = folder / "gitops-one-vendor.yaml", folder / "gitops-two-vendor.yaml"
    for file in (snippet, other):
        file.write_text("#cloud-config\n")
    monkeypatch.setenv("PROXMOX_SNIPPETS", way)
    monkeypatch.setenv("PROXMOX_SNIPPETS_DIR", str(folder))
    deployments.wants(TWO)
    for name, custom in (("one", "gitops-one-vendor.yaml"), ("two", "vendor.yaml")):
        put(lab, lab.created(name)["vmid"], cicustom=f"vendor=local:snippets/{custom}")
    code, output = clean("--confirm-delete")
    assert (code, lab.names()) == (0, {TEMPLATE}), output
    assert f"gitops-one-vendor.yaml {said}" in output and "gitops-two" not in output
    assert (snippet.exists(), other.exists()) == (way == "none", True)


def of_terraform(lab, vmid):
    put(lab, vmid, tags="ansible;terraform")
    yield "belongs to Terraform, so this role does not remove it"


def of_a_stranger(lab, vmid):
    put(lab, vmid, tags="", description="mine")
    yield "was not made by this role, which does not remove it"


def a_copy(lab, vmid):
    put(lab, vmid, description="ansible-vm: other from x")
    yield "was copied from other or renamed"


def protected(lab, vmid):
    put(lab, vmid, protection=1)
    yield "it is protected: `qm set 500 --protection 0` on node01"
    put(lab, vmid, protection=0)


def locked(lab, vmid):
    guest = guests.load(NODE, vmid)
    guest.config["lock"] = "backup"
    guest.save()
    yield "it is locked (backup): wait for the task that holds it"
    del guest.config["lock"]
    guest.save()


def a_template(lab, vmid):
    tasks.wait(lab.api, lab.api.post(f"{path(vmid)}/template"), pause=0.1)
    yield "it is a template"


def no_answer(lab, vmid):
    with faults.injected({"match": f"GET /{path(vmid)}/config", "status": 500, "message": "got timeout"}):
        yield "500: got timeout"


def offline(lab, vmid):
    with faults.injected({"match": f"/{path(vmid)}/", "status": 595, "message": "No route to host"}):
        yield "a node does not answer the cluster"


def a_failing_task(lab, vmid):
    with faults.injected({"match": f"TASK qmdestroy:{vmid}", "error": "storage 'local-lvm' is not online"}):
        yield "storage 'local-lvm' is not online"


def a_storage_that_is_gone(lab, vmid):
    with faults.injected({"match": f"TASK qmdestroy:{vmid}", "error": "storage 'old' does not exist"}):
        yield "storage 'old' does not exist"


def moved(lab, vmid):
    """To another node, after the cluster's list was made."""
    gone = f"Configuration file 'nodes/{NODE}/qemu-server/{vmid}.conf' does not exist"
    with faults.injected({"match": f"GET /{path(vmid)}/config", "status": 500, "message": gone}):
        yield f"it is not on {NODE} any more, and its VMID is in use"


def without_the_right(lab, vmid):
    with faults.injected(
        {"match": f"DELETE /{path(vmid)}", "status": 403, "message": "Permission check failed"}
    ):
        yield "Proxmox lacks a right for DELETE"


STAYS = (of_terraform, of_a_stranger, a_copy, protected, locked, a_template, no_answer, offline, a_failing_task,
         a_storage_that_is_gone, moved, without_the_right)  # fmt: skip


@pytest.mark.parametrize("why", STAYS, ids=lambda why: why.__name__)
def test_what_stays_is_told_and_the_others_go(lab, deployments, clean, why):
    deployments.wants(TWO)
    lab.created("one")
    lab.created("two")
    situation = why(lab, 500)
    reason = next(situation)
    code, said = clean("--confirm-delete")
    next(situation, None)
    assert (code, lab.names()) == (1, {TEMPLATE, "one"}), said
    assert "one (VMID 500 on node01) stays: " in said and reason in said


def test_other_names_and_numbers_stay(lab, deployments, clean):
    deployments.wants([small("one", vmid=600), small("box")])
    lab.created("one")
    containers.add(321, "box")
    try:
        code, said = clean("--confirm-delete")
        assert code == 1
        assert "VM_IDS says 600, so this may be another machine of that name" in said
        assert "it is a container" in said
        put(lab, 500, name="uno")
        code, said = clean("--confirm-delete")
        assert "uno (VMID 500 on node01) was made as one and has another name now: it is not touched" in said
    finally:
        containers.remove(321)
    assert lab.names() == {TEMPLATE, "uno"}


def test_a_guest_that_goes_meanwhile_is_gone(lab, deployments, clean, monkeypatch):
    deployments.wants(TWO)
    lab.created("one")
    lab.created("two")
    look = removal.look

    def late(api, machines):
        found = look(api, machines)
        tasks.wait(lab.api, lab.api.delete(path(500), purge=1), pause=0.1)
        return found

    monkeypatch.setattr(removal, "look", late)
    code, said = clean("--confirm-delete")
    assert (code, lab.names()) == (0, {TEMPLATE}), said
    assert "one went away meanwhile" in said


def test_two_machines_of_one_name_stay_until_a_number_says_which(lab, deployments, clean):
    """A copy that a person made under the same name has the role's tag and line too."""
    deployments.wants(TWO)
    lab.created("one")
    put(lab, lab.created("copy")["vmid"], name="one", description="ansible-vm: one")
    code, said = clean("--confirm-delete")
    assert code == 1 and {guest.vmid for guest in lab.api.guests()} == {9000, 500, 501}, said
    assert "one (VMID 501 on node01) stays: one exists 2 times, as VMID 500 on node01, VMID 501" in said
    assert "say which in VM_IDS" in said
    deployments.wants([small("one", vmid=500)])
    code, said = clean("--confirm-delete")
    assert code == 1 and {guest.vmid for guest in lab.api.guests()} == {9000, 501}, said


def test_the_list_of_the_cluster_may_be_older_than_the_tags(lab, deployments, clean):
    deployments.wants(TWO)
    lab.created("one")
    cluster = lab.api.get("cluster/resources", type="vm")
    put(lab, 500, tags="", description="mine now")
    with faults.injected({"match": "GET /cluster/resources", "data": cluster}):
        code, said = clean("--confirm-delete")
    assert code == 1 and lab.names() == {TEMPLATE, "one"}, said
    assert "was not made by this role" in said


def test_what_becomes_of_a_machine_while_it_is_stopped_counts(lab, deployments, clean, monkeypatch):
    deployments.wants(TWO)
    lab.created("one")
    tasks.wait(lab.api, lab.api.post(f"{path(500)}/status/start"))
    done = machine.done

    def slow(change, begin, *more):
        done(change, begin, *more)
        put(lab, 500, name="theirs", tags="", description="")

    with monkeypatch.context() as patch:
        patch.setattr(machine, "done", slow)
        code, said = clean("--confirm-delete")
    assert code == 1 and lab.names() == {TEMPLATE, "theirs"}, said
    assert "it is called theirs now" in said


def test_proxmox_out_of_reach_or_no_configuration(deployments, clean, monkeypatch):
    code, said = clean()
    assert code == 2 and "does not exist; `make generate-config` writes it" in said
    deployments.wants(TWO)
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", "https://192.168.1.1:1/")
    code, said = clean()
    assert code == 2 and "is down or out of reach" in said


def test_the_slow_way(lab, deployments):
    deployments.wants(TWO)
    for name in ("one", "two", "three"):
        lab.created(name)
    tasks.wait(lab.api, lab.api.post(f"{path(500)}/status/start"))
    listed = deployments.play("remove-vms")
    assert listed.code != 0 and lab.names() == {TEMPLATE, "one", "two", "three"}
    assert "`make remove CONFIRM_DELETE=true` removes 2 machines with all disks" in listed.words
    put(lab, 501, protection=1)
    confirmed = ("-e", "deploy_confirm_delete=true")
    half = deployments.play("remove-vms", *confirmed)
    assert half.code != 0 and lab.names() == {TEMPLATE, "two", "three"}
    assert "two (VMID 501 on node01) stays: it is protected" in half.words
    assert f"  one: UPID:{NODE}:" in half.output and ":qmshutdown:500:" in half.output
    put(lab, 501, protection=0)
    with faults.injected({"match": "TASK qmdestroy:501", "error": "storage 'local-lvm' is not online"}):
        failed = deployments.play("remove-vms", *confirmed)
    assert failed.code != 0 and "storage 'local-lvm' is not online" in failed.words
    done = deployments.play("remove-vms", *confirmed)
    assert done.code == 0 and lab.names() == {TEMPLATE, "three"}, done.output
    again = deployments.play("remove-vms", *confirmed)
    assert (again.code, again.changed) == (0, 0), again.output
    assert "all machines of this configuration are gone" in again.output
