"""New machines: the template, the name, the VMID, the disks, and what stands in the way."""

import contextlib
import subprocess
import time

import pytest

from fleet.findings import Fault
from fleet.lifecycle import create, finish, modify, owner, remove, template, verify
from fleet.proxmox import tasks
from fleet.templates import notes
from lab.proxmox import faults
from tests.helpers.proxmox import wait_for
from tests.lifecycle.conftest import TEMPLATE

NAME = "ubuntu24-template"
STATIC = {"cloud_init_ip": "192.168.1.100/24", "cloud_init_gw": "192.168.1.1", "cloud_init_dns": "1.1.1.1"}
STAGES = ("resize", "cloud_init", "finish")


@pytest.fixture
def templates(lab):
    """Makes a template of a full clone: (name, VMID, tags, node, storage)."""

    def made(
        name: str, vmid: int, tags: str = "", storage: str = "", notes: str = "", convert: bool = True
    ) -> None:
        path = f"nodes/node01/qemu/{vmid}"
        where = {"storage": storage} if storage else {}
        upid = lab.api.post(f"nodes/node01/qemu/{TEMPLATE}/clone", newid=vmid, name=name, full=1, **where)
        tasks.wait(lab.api, upid, pause=0.1)
        lab.api.put(f"{path}/config", tags=tags, description=notes)
        if convert:
            tasks.wait(lab.api, lab.api.post(f"{path}/template"), pause=0.1)

    return made


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ({"template_distribution": "ubuntu24"}, TEMPLATE),
        # VMID counts before name, name before distribution.
        ({"template_vmid": TEMPLATE, "template_name": "x", "template_distribution": "y"}, TEMPLATE),
        ({"template_name": NAME, "template_distribution": "y"}, TEMPLATE),
        # The catalogue knows it by another word.
        ({"template_distribution": "ubuntu-24.04"}, TEMPLATE),
    ],
)
def test_the_template(lab, arguments, chosen):
    assert lab.step(template, **arguments).facts["template_vmid"] == chosen


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "No template specified: give proxmox_vm_template_distribution"),
        (
            {"template_distribution": "rocky9"},
            f"there is no template rocky9-template: the templates are {NAME}",
        ),
        ({"template_name": "ubuntu25-template"}, f"did you mean {NAME}?"),
        ({"template_vmid": 9005}, "VMID 9005 is not in Proxmox; the templates are"),
    ],
)
def test_no_template(lab, arguments, said):
    assert said in lab.refused(template, **arguments)


def built(day: str) -> str:
    """What a template of that day says of itself."""
    return notes.Notes(0, NAME, "ubuntu24", "a.qcow2", "https://a/", "", "0", True, built=day).render()


def test_the_newest_healthy_template_of_a_name_is_taken(lab, templates):
    lab.created("app")
    assert "is app, which is not a template" in lab.refused(template, template_vmid=500)
    templates(NAME, 9001, notes=built("2026-11-03T10:00:00"))
    templates(NAME, 9002, notes=built("2026-11-02T10:00:00"))
    templates(NAME, 9003, tags="building", notes=built("2026-11-09T10:00:00"))
    templates(NAME, 9004, tags="retired", notes=built("2026-11-09T10:00:00"))
    templates(f"{NAME}-building", 9005)
    assert lab.step(template, template_name=NAME).facts["template_vmid"] == 9001
    assert [line for line in lab.said if "9000" in line and "9001" in line and "9002" in line]
    assert not [line for line in lab.said if "9003" in line or "9004" in line]
    for vmid in (9003, 9004):
        assert "is being built or was replaced" in lab.refused(template, template_vmid=vmid)


def test_a_template_whose_conversion_was_cut_off_is_not_cloned(lab, templates):
    templates("half-template", 9010, convert=False)
    with faults.injected({"match": "STEP qmtemplate:9010 flag", "kill": True}), contextlib.suppress(Fault):
        tasks.wait(lab.api, lab.api.post("nodes/node01/qemu/9010/template"), pause=0.1)
    assert lab.api.config("node01", 9010)["template"] == 1
    said = lab.refused(template, template_name="half-template")
    assert "scsi0 is not a base image, since its conversion was cut off" in said


@pytest.mark.parametrize(
    ("has", "wanted", "then"),
    [("32G", "20G", "32G"), ("32G", "50G", "50G"), ("10G", "20G", "20G")],
)
def test_a_disk_is_never_made_smaller(lab, templates, has, wanted, then):
    templates("sized-template", 9020, convert=False)
    path = "nodes/node01/qemu/9020"
    tasks.wait(lab.api, lab.api.put(f"{path}/resize", disk="scsi0", size=has), pause=0.1)
    tasks.wait(lab.api, lab.api.post(f"{path}/template"), pause=0.1)
    facts = lab.created("app", template_vmid=9020, disk_min_size=wanted)
    assert f"size={then}" in lab.config(facts)["scsi0"]


def test_nothing_of_the_templates_role_is_kept(lab, templates):
    templates("marked-template", 9030, tags="template;secret", notes="of the template", convert=False)
    lab.api.put("nodes/node01/qemu/9030/config", onboot=1, protection=1)
    tasks.wait(lab.api, lab.api.post("nodes/node01/qemu/9030/template"), pause=0.1)
    try:
        config = lab.config(lab.created("app", template_vmid=9030, tags=["blue"], description="mine"))
    finally:
        lab.api.put("nodes/node01/qemu/9030/config", protection=0)
    assert config["tags"] == "ansible;blue"
    assert config["description"].split("\n\n") == ["mine", "ansible-vm: app from marked-template"]
    assert not int(config.get("onboot") or 0) and not int(config.get("protection") or 0)


@pytest.mark.parametrize(
    ("storage", "linked"),
    [("local", True), ("local-lvm", True), ("tank", True), ("share", True), ("vg", False)],
)
def test_a_linked_clone_where_the_storage_can(lab, templates, storage, linked):
    templates("stored-template", 9040, storage=storage)
    result = lab.step(create, stage="clone", name="app", template_vmid=9040)
    assert result.after["clone"] == ("linked" if linked else "full")
    assert any(f"storage {storage} (lvm) cannot make linked ones" in line for line in lab.said) != linked


def test_another_storage_makes_it_a_full_clone(lab):
    facts = lab.created("app", disk_storage="tank")
    assert lab.config(facts)["scsi0"].startswith("tank:vm-500-disk-")


def test_another_node_needs_a_shared_storage(lab, templates):
    said = lab.refused(create, stage="clone", name="app", template_vmid=TEMPLATE, node="node02")
    assert "is on local-lvm, which node02 cannot read: build the template on node02 too" in said
    templates("shared-template", 9050, storage="share")
    facts = lab.created("app", template_vmid=9050, node="node02")
    assert facts["node"] == "node02" and lab.config(facts)["name"] == "app"
    said = lab.refused(create, stage="clone", name="other", template_vmid=TEMPLATE, node="pve1")
    assert "proxmox_vm_node is pve1, which the cluster does not have: it has node01, node02" in said


def test_a_name_of_today_is_counted_on(lab):
    first = lab.created(template_distribution="ubuntu24", template_vmid="")
    second = lab.created(template_distribution="ubuntu24", template_vmid="")
    day = time.strftime("%y%m%d")
    assert (first["name"], second["name"]) == (f"ubuntu24-{day}", f"ubuntu24-{day}-2")


def test_an_id_that_is_taken_meanwhile(lab):
    with faults.injected({"taken": 500}, {"taken": 501, "late": True}):  # before the request, before its task
        assert lab.step(create, stage="clone", name="app", template_vmid=TEMPLATE).facts["vmid"] == 502
    assert len([line for line in lab.said if "was taken a moment ago" in line]) == 2
    assert lab.names() == {NAME, "app", "stranger"}
    for late in (False, True):
        with faults.injected({"taken": 300 + late, "late": late}):
            said = lab.refused(create, stage="clone", name="other", vmid=300 + late, template_vmid=TEMPLATE)
        assert f"VMID {300 + late} is in use; choose another" in said


def test_whom_a_name_and_a_vmid_belong_to(lab):
    facts = lab.created("app")
    lab.api.put(f"nodes/node01/qemu/{facts['vmid']}/config", tags="", description="")
    common = {"stage": "clone", "template_vmid": TEMPLATE}
    assert "exists already and was not made by this role" in lab.refused(create, **common, name="app")
    assert "VMID 500 is app (VMID 500 on node01), and not other" in lab.refused(
        create, **common, name="other", vmid=500
    )
    lab.api.put(f"nodes/node01/qemu/{facts['vmid']}/config", tags="proxmox-gitops")
    assert "app (VMID 500) belongs to Terraform" in lab.refused(create, **common, name="app")
    assert "edit proxmox/vms/k8s-home.yaml" in lab.refused(create, **common, name="k8s-home")
    assert "is a template, which this role does not create" in lab.refused(create, **common, name=NAME)


@pytest.mark.parametrize("seen", [True, False])
def test_a_run_that_was_killed_is_gone_on_with(lab, seen):
    """Even if its clone's task has not made the machine yet, which nobody can see then."""
    wanted = {"name": "app", "template_vmid": TEMPLATE, "disk_min_size": "5G"}
    slow, slower = ({"match": "TASK qmclone:", "delay": seconds} for seconds in (2, 5))
    with faults.injected(slow | {"times": 1}, slower):
        lab.api.post(f"nodes/node01/qemu/{TEMPLATE}/clone", newid=500, name="app",
                     description=owner.line("app", NAME, finished=False))  # fmt: skip
        wait_for(lambda: len(faults.current()) == 1)  # its task has begun, and is the faster one
        if seen:
            wait_for(lambda: "app" in lab.names())
        made = lab.step(create, stage="clone", **wanted)  # waits for it
    assert not made.changed and not made.facts["finished"]
    for killed_after in range(len(STAGES)):
        again = lab.step(create, stage="clone", **wanted)
        assert (again.changed, again.facts["vmid"], again.facts["finished"]) == (False, 500, False)
        assert "run create again" in lab.refused(verify, name="app")
        assert lab.step(finish, stage=STAGES[killed_after], **wanted | {"vmid": 500}).changed
    assert lab.step(create, stage="clone", **wanted).facts["finished"]
    assert lab.names() == {NAME, "app"}
    lab.step(verify, **wanted)


def test_a_clone_that_fails_leaves_nothing(lab):
    with faults.injected({"match": "TASK qmclone:", "error": "no space left on device"}):
        said = lab.refused(create, stage="clone", name="app", template_vmid=TEMPLATE)
    assert "no space left on device" in said
    assert lab.names() == {NAME}


def test_undo_leaves_what_was_finished_or_runs(lab):
    facts = lab.created("app")
    assert not lab.step(create, stage="undo", **facts).changed
    assert "app" in lab.names()


def test_a_shrinking_disk_is_refused_before_anything_is_made(lab):
    wanted = {"stage": "clone", "name": "app", "template_vmid": TEMPLATE, "disks": {"scsi0": "2G"}}
    assert "the disk has 3G and cannot become 2G: disks only grow" in lab.refused(create, **wanted)
    assert lab.names() == {NAME}
    lab.created("app", disks={"scsi0": "4G", "scsi1": "2G"})
    for disks in ({"scsi0": "3G"}, {"scsi1": "1G"}, {"scsi1": {"size": "1G"}}):
        for step in (modify, finish):
            said = lab.refused(step, stage="resize", name="app", disks=disks)
            assert "disks only grow; make a new disk and move the data" in said
    assert not lab.step(modify, name="app", disk_min_size="1G").changed
    assert "size=4G" in lab.api.config("node01", 500)["scsi0"]


@pytest.fixture
def image(lab):
    """An image of 2252 MiB on node01, as a download would have left it; the variables that ask for it."""
    import hashlib

    from lab.proxmox import volumes

    folder = volumes.path("node01", "local:import/x.qcow2").parent
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "app.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, "2252M"], check=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.rename(folder / f"app-{digest[:8]}.qcow2")
    return {"cloud_image_url": "https://example.org/app.img", "cloud_image_checksum": f"sha256:{digest}",
            "import_disk_size_increase": "+5G", "node": "node01"}  # fmt: skip


def made_of(lab, image, name, **more):
    wanted = image | {"name": name} | more
    brought = lab.step(create, stage="prepare", **wanted)
    facts = {key: value for key, value in brought.facts.items() if key.startswith("image_")}
    result = lab.step(create, stage="import", **wanted | facts)
    for stage in STAGES:
        lab.step(finish, stage=stage, **wanted | facts | {"vmid": result.facts["vmid"]})
    return result.facts


def test_an_image_grows_once(lab, image):
    facts = made_of(lab, image, "app")
    config = lab.config(facts)
    assert "size=7372M" in config["scsi0"]
    assert (config["boot"], config["serial0"], config["vga"]) == ("order=scsi0", "socket", "serial0")
    assert "cloudinit" in config["ide2"]
    again = lab.step(create, stage="prepare", **image | {"name": "app"})
    assert not again.changed and again.facts["finished"]


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("ubuntu-cloud-1", {"vmid": 200}, {"ipconfig0": "ip=dhcp"}),
        (
            "app-server",
            {"vmid": 201, **STATIC},
            {"ipconfig0": "ip=192.168.1.100/24,gw=192.168.1.1", "nameserver": "1.1.1.1"},
        ),
        ("secure-vm", {"vmid": 202, "cloud_init_user": "ubuntu"}, {"ciuser": "ubuntu"}),
    ],
)  # fmt: skip
def test_the_three_examples_of_images(lab, image, name, more, expected):
    facts = made_of(lab, image, name, **more)
    assert facts["vmid"] == more["vmid"]
    assert expected.items() <= lab.config(facts).items()


def test_a_full_storage_in_the_middle_of_an_import_leaves_nothing(lab, image):
    with faults.injected({"full": "local-lvm", "at": 40}), pytest.raises(Fault, match="qmcreate"):
        made_of(lab, image, "app")
    assert lab.names() == {NAME}
    assert not [
        entry for entry in lab.api.get("nodes/node01/storage/local-lvm/content") if entry.get("vmid") == 500
    ]


def test_an_image_without_a_checksum_is_refused_unless_it_is_asked_for(lab, image):
    del image["cloud_image_checksum"]
    said = lab.refused(create, stage="prepare", name="app", **image)
    assert "give proxmox_vm_cloud_image_checksum (sha256:…), or take whatever comes" in said


def test_removing(lab):
    lab.created("app")
    assert "proxmox_vm_confirm is other; set it to app" in lab.refused(remove, name="app", confirm="other")
    lab.step(modify, name="app", protection=True)
    assert "is protected: modify it with" in lab.refused(remove, name="app", confirm="app")
    lab.step(modify, name="app", protection=False)
    assert "is a template, which this role does not remove" in lab.refused(remove, name=NAME, confirm=NAME)
    for tag in ("terraform", "proxmox-gitops"):
        lab.api.put("nodes/node01/qemu/500/config", tags=f"ansible;{tag}")
        said = lab.refused(remove, name="app", confirm="app")
        assert "belongs to Terraform, so this role does not remove it: edit proxmox/vms/app.yaml" in said
        assert "does not modify it" in lab.refused(modify, name="app", cores=2)
    lab.api.put("nodes/node01/qemu/500/config", tags="", description="proxmox-gitops: app")
    assert "belongs to Terraform" in lab.refused(remove, name="app", confirm="app")
    assert "edit proxmox/vms/k8s-home.yaml" in lab.refused(remove, name="k8s-home", confirm="k8s-home")
    lab.api.put("nodes/node01/qemu/500/config", description="by hand")
    assert "giving it the tag ansible" in lab.refused(remove, name="app", confirm="app")
    lab.api.put("nodes/node01/qemu/500/config", tags="ansible")
    assert lab.step(remove, name="app", confirm="app").changed
    assert not lab.step(remove, name="app", confirm="app").changed
