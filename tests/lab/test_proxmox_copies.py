"""The simulated Proxmox: templates, clones, and what holds them together, on each type of storage."""

import pytest
from proxmoxer import ResourceException

from lab.proxmox import faults, guests, volumes
from tests.helpers.proxmox import BASE, finished, wait_for

# storage: (a new disk, as base volume, as linked clone)
DISKS = {
    "local": ("620/vm-620-disk-0.raw", "620/base-620-disk-0.raw", "620/base-620-disk-0.raw/621/vm-621-disk-0.qcow2"),
    "local-lvm": ("vm-620-disk-0", "base-620-disk-0", "vm-621-disk-0"),
    "share": ("620/vm-620-disk-0.raw", "620/base-620-disk-0.raw", "620/base-620-disk-0.raw/621/vm-621-disk-0.qcow2"),
    "tank": ("vm-620-disk-0", "base-620-disk-0", "base-620-disk-0/vm-621-disk-0"),
    "vg": ("vm-620-disk-0", "vm-620-disk-0", None),
}  # fmt: skip
OWN = {
    "description": "what the template is", "tags": "template", "protection": 1, "onboot": 1,
    "net0": "virtio,bridge=vmbr0",
    "smbios1": "uuid=5a9d1b0e-4d2e-4f0c-9d5d-d0c9a3a1e001,serial=MTIz,base64=1",
}  # fmt: skip


@pytest.fixture
def gone(api):
    """Removes the machines that a test has made, the last one first."""
    made = []
    yield made.append
    for vmid in reversed(made):
        guest = guests.find(vmid)
        if guest.config.pop("protection", None):
            guest.save()
        assert finished(api, api.nodes(guest.node).qemu(vmid).delete()) == "OK"


def machine(api, vmid=620, storage="local-lvm", **options):
    made = api.nodes("node01").qemu.post(vmid=vmid, scsi0=f"{storage}:1", **options)
    assert finished(api, made) == "OK"
    return api.nodes("node01").qemu(vmid)


def template(api, gone, storage="local-lvm", **options):
    gone(620)
    found = machine(api, storage=storage, **options)
    assert finished(api, found.template.post()) == "OK"
    return found


def disk(api, vmid, slot="scsi0", node="node01"):
    return api.nodes(node).qemu(vmid).config.get()[slot].partition(",")[0]


@pytest.mark.parametrize("storage", DISKS)
def test_a_template_and_its_clones_on_each_type_of_storage(api, root, gone, storage):
    new, base, linked = DISKS[storage]
    gone(620)
    found = machine(api, storage=storage)
    assert disk(api, 620) == f"{storage}:{new}"
    task = found.template.post()
    assert (task.split(":")[5], finished(api, task)) == ("qmtemplate", "OK")
    assert (found.config.get()["template"], disk(api, 620)) == (1, f"{storage}:{base}")
    if linked is None:
        with pytest.raises(
            ResourceException, match=f"Linked clone feature is not supported for '{storage}:{new}'"
        ):
            found.clone.post(newid=621)
    else:
        gone(621)
        assert finished(api, found.clone.post(newid=621)) == "OK"
        assert disk(api, 621) == f"{storage}:{linked}"
        about = {item["volid"]: item for item in api.nodes("node01").storage(storage).content.get(vmid=621)}
        assert ("parent" in about[f"{storage}:{linked}"]) == (storage != "local-lvm")
        deleted = root.delete(f"{BASE}/nodes/node01/storage/{storage}/content/{storage}:{base}").json()[
            "data"
        ]
        if storage == "local-lvm":  # whose clones do without it
            assert finished(api, deleted) == "OK"
        else:
            assert finished(api, deleted) == f"base volume '{base}' is still in use by linked clones"
            words = f"base volume '{storage}:{base}' is still in use by linked cloned"
            assert finished(api, found.delete()) == words
        assert volumes.path("node01", f"{storage}:{linked}").stat().st_size == 1 << 30
    if storage != "local-lvm":
        gone(622)
        assert finished(api, found.clone.post(newid=622, full=1, storage="local-lvm")) == "OK"
        assert disk(api, 622) == "local-lvm:vm-622-disk-0"


def test_what_a_clone_takes_over(api, gone):
    found, had = template(api, gone, **OWN), OWN | {}
    gone(621)
    assert finished(api, found.clone.post(newid=621)) == "OK"
    config = api.nodes("node01").qemu(621).config.get()
    for key in ("description", "tags", "protection", "onboot"):
        assert config[key] == had[key]
    assert config["name"] == "Copy-of-VM-620"
    assert config["smbios1"].startswith("base64=1,serial=MTIz,uuid=")
    before = found.config.get()
    assert all(config[key] != before[key] for key in ("smbios1", "net0", "vmgenid"))
    assert "template" not in config


def test_formats_and_firmware_of_full_clones(api, gone):
    found = template(
        api, gone, efidisk0="local-lvm:1,efitype=4m", tpmstate0="local-lvm:1,version=v2.0", ide2="local-lvm:cloudinit"
    )  # fmt: skip
    gone(621)
    assert finished(api, found.clone.post(newid=621, full=1, storage="local", format="qcow2")) == "OK"
    config = api.nodes("node01").qemu(621).config.get()
    assert config["efidisk0"] == "local:621/vm-621-disk-0.qcow2,efitype=4m,size=528K"
    assert config["scsi0"] == "local:621/vm-621-disk-1.qcow2,size=1G"
    assert config["ide2"] == "local:621/vm-621-cloudinit.qcow2,media=cdrom,size=4M"
    gone(622)
    task = found.clone.post(newid=622, full=1, storage="tank", format="vmdk")
    assert finished(api, task) == "OK"
    log = [line["t"] for line in api.nodes("node01").tasks(task).log.get(limit=500)]
    assert "format 'vmdk' is not supported by the target storage 'tank' - using 'raw' instead" in log
    gone(623)
    assert finished(api, found.clone.post(newid=623)) == "OK"
    assert volumes.parse(disk(api, 623, "tpmstate0")).base == "", "always a full copy"


# (what is asked, status, part of the reason or the errors); 620 is a template on storages of one node
REFUSED = (
    ("clone", {"newid": 621, "format": "qcow2"}, 500, "parameter 'format' not allowed for linked clones"),
    ("clone", {"newid": 621, "storage": "share"}, 500, "parameter 'storage' not allowed for linked clones"),
    ("clone", {"newid": 621, "full": 1, "format": "qed"}, 400, "format: value 'qed' does not have a value in the"),
    ("clone", {"newid": 621, "full": "often"}, 400, "full: type check ('boolean') failed"),
    ("clone", {"newid": 621, "target": "node09"}, 500, "no such cluster node 'node09'"),
    ("clone", {"newid": 621, "target": "node02"}, 500, "can't clone VM to node 'node02' (VM uses local storage)"),
    ("clone", {"newid": 621, "full": 1, "target": "node02", "storage": "tank"}, 500, "non-shared storage 'tank'"),
    ("clone", {"newid": 621, "snapname": "old"}, 500, "snapshot 'old' does not exist"),
    ("clone", {"newid": 620}, 500, "unable to create VM 620: config file already exists"),
    ("clone", {"newid": "x"}, 400, "newid: invalid format - value does not look like a valid VM ID"),
    ("template", {}, 500, "you can't convert a template to a template"),
    ("template", {"disk": "scsi99"}, 400, "disk: value 'scsi99' does not have a value in the enumeration"),
    ("template", {"force": 1}, 400, "force: property is not defined in schema"),
    ("resize", {"disk": "scsi0"}, 400, "size: property is missing and it is not optional"),
    ("resize", {"disk": "disk0", "size": "2G"}, 400, "disk: value 'disk0' does not have a value in the enumeration"),
    ("resize", {"disk": "scsi0", "size": "+2g"}, 400, "size: value does not match the regex pattern"),
    ("resize", {"disk": "scsi0", "size": "2G", "skiplock": 1}, 400, "Only root may use this option."),
    ("resize", {"disk": "scsi0", "size": "2G", "wait": 1}, 400, "wait: property is not defined in schema"),
    ("", {"force": 1}, 400, "force: property is not defined in schema"),
)  # fmt: skip


def test_refusals(api, gone, session):
    template(api, gone)
    for call, body, status, text in REFUSED:
        method = {"resize": "PUT", "": "DELETE"}.get(call, "POST")
        answer = session.request(method, f"{BASE}/nodes/node01/qemu/620/{call}".rstrip("/"), data=body)
        errors = [f"{key}: {value}" for key, value in answer.json().get("errors", {}).items()]
        assert (answer.status_code, text in " ".join([answer.reason, *errors])) == (status, True), (
            call,
            body,
            errors,
        )
    assert guests.find(621) is None


def test_a_running_machine_is_neither_converted_nor_destroyed(api, vm):
    vm.config.put(tpmstate0="local-lvm:1,version=v2.0")
    assert finished(api, vm.status.start.post()) == "OK"
    for change, words in (
        (vm.template.post, "you can't convert a VM to template if VM is running"),
        (vm.delete, "VM 500 is running - destroy failed"),
        (lambda: vm.clone.post(newid=621), "cannot clone TPM state while VM is running"),
    ):
        with pytest.raises(ResourceException, match=words):
            change()
    vm.config.put(protection=1)
    with pytest.raises(ResourceException, match="can't remove VM 500 - protection mode enabled"):
        vm.delete()


def test_shared_disks_are_cloned_to_another_node(api, gone):
    found = template(api, gone, "share")
    gone(621)
    assert finished(api, found.clone.post(newid=621, target="node02")) == "OK"
    assert guests.find(621).node == "node02"
    assert disk(api, 621, node="node02") == "share:620/base-620-disk-0.raw/621/vm-621-disk-0.qcow2"
    gone(622)
    assert finished(api, found.clone.post(newid=622, full=1)) == "OK"
    moved = api.nodes("node01").qemu(622).migrate.post(target="node02")
    assert finished(api, moved) == "OK"
    assert disk(api, 622, node="node02") == "share:622/vm-622-disk-0.raw"


def test_a_conversion_that_is_killed_leaves_the_flag_without_bases(api, gone, root):
    gone(620)
    found = machine(api, scsi1="local-lvm:1")
    with faults.injected({"match": "STEP qmtemplate:620 flag", "kill": True}):
        assert finished(api, found.template.post()) == "unexpected status"
    assert found.config.get()["template"] == 1
    assert [disk(api, 620, slot) for slot in ("scsi0", "scsi1")] == [
        "local-lvm:vm-620-disk-0", "local-lvm:vm-620-disk-1",
    ]  # fmt: skip
    with pytest.raises(
        ResourceException, match="Linked clone feature is not supported for 'local-lvm:vm-620-disk-0'"
    ):
        found.clone.post(newid=621)
    with faults.injected({"match": "STEP qmtemplate:620 scsi0", "kill": True}):
        assert finished(api, found.template.post(disk="scsi0")) == "unexpected status"
    assert [disk(api, 620, slot) for slot in ("scsi0", "scsi1")] == [
        "local-lvm:base-620-disk-0", "local-lvm:vm-620-disk-1",
    ]  # fmt: skip
    assert finished(api, found.template.post(disk="scsi1")) == "OK"
    assert disk(api, 620, "scsi1") == "local-lvm:base-620-disk-1"


def test_a_clone_that_is_stopped_or_fails_leaves_nothing(api, gone):
    found = template(api, gone, scsi1="local-lvm:1")
    with faults.injected({"match": "STEP qmclone:620 scsi0", "delay": 60}):
        task = found.clone.post(newid=621)
        wait_for(lambda: volumes.of_guest("node01", 621))
        assert api.nodes("node01").qemu(621).config.get()["lock"] == "clone"
        api.nodes("node01").tasks(task).delete()
        assert finished(api, task) in ("clone failed: interrupted by signal", "received interrupt")
    assert guests.find(621) is None
    assert volumes.of_guest("node01", 621) == []
    for fault in ({"full": "tank"}, {"full": "tank", "at": 10}):
        with faults.injected(fault):
            assert finished(api, found.clone.post(newid=621, full=1, storage="tank")).startswith(
                "clone failed: "
            )
        assert (guests.find(621), volumes.of_guest("node01", 621)) == (None, [])


def test_of_two_clones_with_one_vmid_the_second_fails_in_its_task(api, gone):
    found = template(api, gone)
    with faults.injected({"match": "STEP qmclone:620 scsi0", "delay": 3}):
        tasks = [found.clone.post(newid=621), found.clone.post(newid=621)]
        ended = sorted(finished(api, task) for task in tasks)
    gone(621)
    assert ended in (
        ["OK", "can't lock file '/var/lock/qemu-server/lock-621.conf' - got timeout"],
        ["OK", "unable to create VM 621: config file already exists"],
    )
    assert volumes.of_guest("node01", 621) == ["local-lvm:vm-621-disk-0"]


def test_a_vmid_that_a_stranger_takes(api, gone):
    found = template(api, gone)
    free = int(api.cluster.nextid.get())
    with faults.injected({"taken": free}):
        assert int(api.cluster.nextid.get()) == free
        with pytest.raises(
            ResourceException, match=f"unable to create VM {free}: config file already exists"
        ):
            found.clone.post(newid=free)
        assert api.nodes("node01").qemu(free).config.get()["name"] == "stranger"
    gone(free)
    with faults.injected({"taken": 631, "late": True}):
        words = "unable to create VM 631: config file already exists"
        assert finished(api, found.clone.post(newid=631)) == words
        gone(631)
    with faults.injected({"taken": 630}):
        with pytest.raises(
            ResourceException, match="unable to create VM 630 - VM 630 already exists on node 'node01'"
        ):
            api.nodes("node01").qemu.post(vmid=630)
        gone(630)


def test_growing_a_disk(api, gone, session, root):
    gone(620)
    found = machine(api, storage="tank")
    assert finished(api, found.resize.put(disk="scsi0", size="1500M")) == "OK"
    assert found.config.get()["scsi0"] == "tank:vm-620-disk-0,size=1500M"
    assert finished(api, found.resize.put(disk="scsi0", size="+0")) == "OK"
    assert finished(api, found.resize.put(disk="scsi0", size="1G")) == "shrinking disks is not supported"
    assert finished(api, found.resize.put(disk="scsi0", size="2G", digest="0" * 40)).startswith(
        "checksum mismatch"
    )
    acl = {"path": "/storage/tank", "roles": "PVEAuditor", "users": "terraform@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
    ended = finished(api, found.resize.put(disk="scsi0", size="2G"))
    assert ended == "Permission check failed (/storage/tank, Datastore.AllocateSpace)"
    assert root.put(f"{BASE}/access/acl", data=acl | {"delete": 1}).status_code == 200
