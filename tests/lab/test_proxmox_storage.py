"""The simulated Proxmox: storages and what becomes of their volumes, from an image to a machine's end."""

import os
import subprocess
import threading
import time

import pytest
from proxmoxer import ResourceException

from lab.proxmox import faults, state, volumes
from tests.helpers.proxmox import BASE, finished, leftover

IMAGE = "local:import/debian.qcow2"
QEMU = "/nodes/node01/qemu"
CONTENT = os.urandom(8 << 20)


@pytest.fixture(scope="module")
def images(hypervisor):
    """Images of 64 MiB and a bit on the storage `local`: a good one, and one that refers to a file of the node."""
    folder = volumes.path("node01", IMAGE).parent
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "plain.raw"
    raw.write_bytes(CONTENT)
    os.truncate(raw, (64 << 20) + 512)
    for command in (
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, folder / "debian.qcow2"],
        ["qemu-img", "create", "-f", "qcow2", "-b", raw, "-F", "raw", folder / "backed.qcow2"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    (folder / "broken.qcow2").write_bytes(b"no image")
    return folder


@pytest.fixture
def gone(api):
    """Removes the machines that a test has made, each by its VMID."""
    vmids = []
    yield vmids.append
    for vmid in vmids:
        assert next(leftover(api, vmid)) == "OK"


def lines(api, upid):
    return [line["t"] for line in api.nodes(upid.split(":")[1]).tasks(upid).log.get(limit=500)]


def of_guest(vmid):
    return [volid for node in state.NODES for volid in volumes.of_guest(node, vmid)]


@pytest.mark.parametrize(
    ("storage", "options", "name", "size"),
    [
        ("local-lvm", "", "vm-600-disk-0", "68M"),  # whole extents
        ("local", "", "600/vm-600-disk-0.qcow2", "67109376"),  # the image's own format where nothing is said
        ("local", ",format=raw", "600/vm-600-disk-0.raw", "67109376"),
    ],
)
def test_an_image_becomes_a_disk(api, images, gone, storage, options, name, size):
    gone(600)
    upid = api.nodes("node01").qemu.post(
        vmid=600, name="made", bios="ovmf", machine="q35", net0="virtio,bridge=vmbr0",
        scsi0=f"{storage}:0,import-from={IMAGE},discard=on{options}", ide2=f"{storage}:cloudinit",
        efidisk0=f"{storage}:1,efitype=4m,pre-enrolled-keys=0", tpmstate0=f"{storage}:1,version=v2.0",
    )  # fmt: skip
    assert upid.split(":")[5] == "qmcreate"
    assert finished(api, upid) == "OK"
    config = api.nodes("node01").qemu(600).config.get()
    own = name.replace("600-disk-0", "600-disk-1")  # drives are made in the order of their names
    assert config["scsi0"] == f"{storage}:{own},discard=on,size={size}"
    assert config["boot"] == "order=scsi0;ide2;net0"
    assert config["efidisk0"].endswith(f"size={'4M' if storage == 'local-lvm' else '528K'}")
    assert "lock" not in config
    log = lines(api, upid)
    assert f"create full clone of drive ({IMAGE})" in log
    assert "transferred 64.0 MiB of 64.0 MiB (100.00%)" in log
    assert f"scsi0: successfully created disk '{config['scsi0']}'" in log
    file = volumes.path("node01", f"{storage}:{own}")
    with file.open("rb") as stream:
        assert stream.read(len(CONTENT)) == CONTENT
    assert file.stat().st_blocks * 512 < 2 * len(CONTENT), "sparse"


def test_an_image_is_imported_into_a_machine_that_exists(api, vm, images):
    vm.config.put(scsi3=f"local-lvm:0,import-from={IMAGE}")
    assert finished(api, vm.config.post(scsi4="local-lvm:0,import-from=local:import/plain.raw,ssd=1")) == "OK"
    assert vm.config.post(scsi5=f"local-lvm:0,import-from={IMAGE}", background_delay=20) is None
    config = vm.config.get()
    assert [config[f"scsi{n}"] for n in (3, 4, 5)] == [
        "local-lvm:vm-500-disk-1,size=68M", "local-lvm:vm-500-disk-2,size=68M,ssd=1",
        "local-lvm:vm-500-disk-3,size=68M",
    ]  # fmt: skip
    assert finished(api, vm.config.post(virtio0="local-lvm:0,import-from=local-lvm:vm-500-disk-1")) == "OK"
    assert vm.config.get()["virtio0"] == "local-lvm:vm-500-disk-4,size=68M"


# (drive, value, status, part of the reason or the errors)
NOT_IMPORTED = (
    ("scsi0", f"local-lvm:5,import-from={IMAGE}", 400, "use <storage ID>:0,import-from=<source>"),
    ("scsi0", f"local-lvm:vm-9000-disk-0,import-from={IMAGE}", 400, "requires special syntax"),
    ("efidisk0", f"local-lvm:0,import-from={IMAGE},efitype=4m", 400, "need to specify 'pre-enrolled-keys'"),
    ("tpmstate0", f"local-lvm:0,import-from={IMAGE}", 400, "need to specify 'version'"),
    ("scsi0", "local-lvm:0,import-from=local:iso/tools.iso", 400, "has wrong type 'iso' - needs to be"),
    ("scsi0", "local-lvm:0,import-from=local:import/x.img", 500, "unable to parse directory volume name"),
    ("scsi0", "local-lvm:0,import-from=ceph:import/x.raw", 500, "storage 'ceph' does not exist"),
    ("scsi0", "local-lvm:0,import-from=nonsense", 400, "unable to parse volume ID 'nonsense'"),
    ("scsi0", "local-lvm:0,import-from=/etc/shadow", 500, "Only root can pass arbitrary filesystem paths."),
    ("scsi0", f"ceph:0,import-from={IMAGE}", 500, "storage 'ceph' does not exist"),
)


@pytest.mark.parametrize(("drive", "value", "status", "text"), NOT_IMPORTED)
def test_what_is_not_imported(session, images, drive, value, status, text):
    answer = session.post(f"{BASE}{QEMU}", data={"vmid": 601, drive: value})
    errors = [f"{key}: {value}" for key, value in answer.json().get("errors", {}).items()]
    assert answer.status_code == status, answer.text
    assert text in " ".join([answer.reason, *errors])
    assert session.get(f"{BASE}/cluster/nextid?vmid=601").status_code == 200, "nothing has that VMID"


# (source, what else is set, the task's end)
FAILED = (
    ("local:import/nothing.qcow2", {}, "unable to create VM 602 - failed to stat '{folder}/nothing.qcow2'"),
    ("local:import/backed.qcow2", {}, "unable to create VM 602 - backing file not allowed for untrusted image"),
    ("local:import/broken.qcow2", {}, "unable to create VM 602 - qemu-img: Could not open"),
    ("local-lvm:vm-9000-disk-7", {}, "cannot import from 'local-lvm:vm-9000-disk-7' - could not get size of"),
    ("local-lvm:vm-9000-cloudinit", {}, "- cannot import from cloudinit disk"),
    (IMAGE, {"scsi1": "local-lvm:vm-602-disk-9"}, "volume 'local-lvm:vm-602-disk-9' does not exist"),
    (IMAGE, {"fault": {"full": "local-lvm", "at": 40}}, "cannot import from 'local:import/debian.qcow2' - copy failed"),
    (IMAGE, {"fault": {"full": "local-lvm"}}, "error:   Cannot create new thin volume, free space in thin pool"),
    (IMAGE, {"fault": {"match": "TASK qmcreate:602", "error": "out of luck"}}, "out of luck"),
)  # fmt: skip


@pytest.mark.parametrize(("source", "more", "text"), FAILED)
def test_an_import_that_fails_leaves_nothing(api, images, source, more, text):
    fault = [more["fault"]] if "fault" in more else []
    options = {key: value for key, value in more.items() if key != "fault"}
    with faults.injected(*fault):
        upid = api.nodes("node01").qemu.post(
            vmid=602, scsi0=f"local-lvm:0,import-from={source}", efidisk0="local:1,efitype=4m", **options
        )
        assert text.format(folder=images) in finished(api, upid)
    if fault == [{"full": "local-lvm", "at": 40}]:
        assert any("No space left on device" in line for line in lines(api, upid))
    assert of_guest(602) == []
    with pytest.raises(ResourceException, match=r"602.conf' does not exist"):
        api.nodes("node01").qemu(602).config.get()


def test_a_creation_that_is_stopped_or_killed(api, images, root):
    wanted = {"scsi0": f"local-lvm:0,import-from={IMAGE}", "vmid": 603}
    with faults.injected({"match": "TASK qmcreate:603", "delay": 60}):
        upid = api.nodes("node01").qemu.post(**wanted)
        assert api.nodes("node01").qemu(603).config.get()["lock"] == "create"
        api.nodes("node01").tasks(upid).delete()
        assert finished(api, upid) == "received interrupt"
    assert api.cluster.nextid.get(vmid=603) == "603"
    with faults.injected({"match": "TASK qmcreate:603", "kill": True}):
        assert finished(api, api.nodes("node01").qemu.post(**wanted)) == "unexpected status"
    with pytest.raises(
        ResourceException, match="unable to create VM 603 - VM 603 already exists on node 'node01'"
    ):
        api.nodes("node01").qemu.post(**wanted)
    unlock = f"{BASE}{QEMU}/603/config"  # as qm unlock does
    assert root.put(unlock, data={"delete": "lock", "skiplock": 1}).status_code == 200
    assert next(leftover(api, 603)) == "OK"


def test_of_those_who_want_one_vmid_one_gets_it(session, api, images, gone):
    gone(604)
    answers = []

    def create():
        body = {"vmid": 604, "scsi0": f"local-lvm:0,import-from={IMAGE}"}
        answers.append(session.post(f"{BASE}{QEMU}", data=body))

    threads = [threading.Thread(target=create) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 500, 500, 500, 500]
    assert {a.reason for a in answers} == {
        "OK", "unable to create VM 604 - VM 604 already exists on node 'node01'",
    }  # fmt: skip
    upid = next(answer.json()["data"] for answer in answers if answer.status_code == 200)
    assert finished(api, upid) == "OK"
    assert of_guest(604) == ["local-lvm:vm-604-disk-0"]


def test_the_rights_to_import(root, session, images):
    def token(name, **roles):
        root.post(f"{BASE}/access/users", data={"userid": f"{name}@pve"})
        for number, (path, privs) in enumerate(roles.items()):
            role = {"roleid": f"{name}{number}", "privs": privs}
            root.post(f"{BASE}/access/roles", data=role)
            path = path.replace("__", "/").replace("_", "-")
            acl = {"path": path, "roles": role["roleid"], "users": f"{name}@pve"}
            assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
        made = root.post(f"{BASE}/access/users/{name}@pve/token/t", data={"privsep": 0}).json()["data"]
        return {"Authorization": f"PVEAPIToken={made['full-tokenid']}={made['value']}"}

    def refused(headers, source):
        body = {"vmid": 605, "scsi0": f"local-lvm:0,import-from={source}"}
        answer = session.post(f"{BASE}{QEMU}", data=body, headers=headers)
        assert answer.status_code == 403
        return answer.reason.removeprefix("Permission check failed ")

    own = "VM.Allocate,VM.Config.Disk,VM.Config.Options"
    assert refused(token("a", __vms=own), IMAGE) == "(/storage/local-lvm, Datastore.AllocateSpace)"
    some = token("b", __vms=own, __storage__local_lvm="Datastore.AllocateSpace,Datastore.Audit")
    assert refused(some, IMAGE) == "(/storage/local, Datastore.AllocateSpace|Datastore.Audit)"
    assert refused(some, "local-lvm:base-9000-disk-0") == "(/vms/9000, VM.Clone)"


# storage: (type, formats with the default first, name of a disk, its size)
STORAGES = {
    "local": ("dir", ["raw", "qcow2", "subvol", "vmdk"], "610/vm-610-disk-0.qcow2", "67109376"),
    "local-lvm": ("lvmthin", ["raw"], "vm-610-disk-0", "68M"),
    "share": ("nfs", ["raw", "qcow2", "vmdk"], "610/vm-610-disk-0.qcow2", "67109376"),
    "tank": ("zfspool", ["raw", "subvol"], "vm-610-disk-0", "65M"),
    "vg": ("lvm", ["raw"], "vm-610-disk-0", "68M"),
}


def test_the_storages(session):
    def get(path):
        return session.get(BASE + path).json()["data"]

    for node in state.NODES:
        listed = get(f"/nodes/{node}/storage?format=1")
        assert {item["storage"]: item["type"] for item in listed} == {k: v[0] for k, v in STORAGES.items()}
        assert {item["storage"]: item["formats"] for item in listed} == {
            name: {"supported": sorted(formats), "default": formats[0]}
            for name, (_, formats, *_) in STORAGES.items()
        }
        assert [item["storage"] for item in listed if item["shared"]] == ["share"]
        assert all(item["avail"] + item["used"] == item["total"] for item in listed)
    assert "formats" not in get("/nodes/node01/storage")[0]
    assert [item["storage"] for item in get("/nodes/node01/storage?content=import")] == ["local", "share"]
    assert [item["storage"] for item in get("/nodes/node01/storage?target=node02")] == ["share"]
    assert next(item for item in get("/storage") if item["storage"] == "tank")["sparse"] == 1
    refused = session.get(f"{BASE}/storage/tank")
    assert (refused.status_code, refused.reason) == (
        403, "Permission check failed (/storage/tank, Datastore.Allocate)",
    )  # fmt: skip


@pytest.mark.parametrize("storage", STORAGES)
def test_a_disk_on_each_type_of_storage(api, images, gone, storage):
    _, _, name, size = STORAGES[storage]
    gone(610)
    node = api.nodes("node01")
    made = node.qemu.post(
        vmid=610, scsi0=f"{storage}:0,import-from={IMAGE}", tpmstate0=f"{storage}:1,version=v2.0"
    )
    assert finished(api, made) == "OK"
    assert node.qemu(610).config.get()["scsi0"] == f"{storage}:{name},size={size}"
    listed = {item["volid"]: item for item in node.storage(storage).content.get(vmid=610)}
    item = listed[f"{storage}:{name}"]
    assert (item["content"], item["format"], item["vmid"]) == ("images", volumes.kind(item["volid"]), 610)
    assert ("used" in item) == (storage in ("local", "share"))
    assert node.storage(storage).content(f"{storage}:{name}").get()["size"] == item["size"]
    seen = [i["volid"] for i in api.nodes("node02").storage(storage).content.get(vmid=610)]
    assert (f"{storage}:{name}" in seen) == (storage == "share")


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("local", "unable to create image 'vm-611-disk-0.raw': No space left on device"),
        (
            "local-lvm",
            "lvcreate 'pve/vm-611-disk-0' error:   Cannot create new thin volume, free space in thin",
        ),
        ("share", "unable to create image 'vm-611-disk-0.raw': No space left on device"),
        ("tank", "zfs error: cannot create 'tank/vm-611-disk-0': out of space"),
        ("vg", "not enough free space (0 < 1048576)"),
    ],
)
def test_a_full_storage_in_the_words_of_its_type(api, images, storage, words):
    node = api.nodes("node01")
    with faults.injected({"full": storage}):
        assert node.storage(storage).status.get()["avail"] == 0
        assert words in finished(api, node.qemu.post(vmid=611, scsi0=f"{storage}:1"))
    with faults.injected({"full": storage, "at": 50}):
        upid = node.qemu.post(vmid=611, scsi0=f"{storage}:1", scsi1=f"{storage}:0,import-from={IMAGE}")
        assert "copy failed: command 'qemu-img convert" in finished(api, upid)
    assert of_guest(611) == []


def test_formats_that_a_storage_does_not_have(api):
    node = api.nodes("node01")
    for storage, words in (
        ("tank", "ZFSPoolPlugin.pm"),
        ("vg", "LVMPlugin.pm"),
        ("local-lvm", "LvmThinPlugin.pm"),
    ):
        ended = finished(api, node.qemu.post(vmid=612, scsi0=f"{storage}:1,format=qcow2"))
        assert ended.startswith("unable to create VM 612 - unsupported format 'qcow2' at ")
        assert words in ended


def test_deleting_volumes(api, images, root, session):
    content = f"{BASE}/nodes/node01/storage/local/content"
    refused = session.delete(f"{content}/{IMAGE}")
    assert (refused.status_code, refused.reason) == (
        403, "Permission check failed (/storage/local, Datastore.Allocate)",
    )  # fmt: skip
    (images / "old.raw").write_bytes(bytes(512))
    about = session.get(f"{content}/local:import/old.raw").json()["data"]
    assert (about["size"], about["format"]) == (512, "raw")
    upid = root.delete(f"{content}/import/old.raw").json()["data"]
    assert (upid.split(":")[5:7], finished(api, upid)) == (["imgdel", "local"], "OK")
    assert lines(api, upid)[0] == "Removed volume 'local:import/old.raw'"
    assert (
        session.get(f"{content}/local:import/old.raw").reason
        == "volume 'local:import/old.raw' does not exist"
    )
    images.joinpath("old.raw").write_bytes(bytes(512))
    assert root.delete(f"{content}/local:import/old.raw?delay=20").json() == {"data": None}
    wrong = root.delete(f"{content}/share:import/x.raw")
    assert wrong.json()["errors"] == {"volume": "storage ID mismatch (share != local)\n"}


def test_an_image_is_listed_by_the_size_of_its_file_and_shown_by_that_of_its_disk(api, images):
    storage = api.nodes("node01").storage("local")
    item = next(one for one in storage.content.get(content="import") if one["volid"] == IMAGE)
    assert (item["format"], item["size"]) == ("qcow2", (images / "debian.qcow2").stat().st_size)
    assert abs(item["ctime"] - time.time()) < 3600
    assert storage.content(IMAGE).get()["size"] == (64 << 20) + 512
