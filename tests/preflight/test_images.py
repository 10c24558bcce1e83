"""What new machines from images are made of, and what is said before anything is made."""

import pytest

from fleet.preflight import images
from tests.helpers.images import FILE, catalogue
from tests.helpers.machines import Cluster, made

VOLUME = f"local:import/{FILE}"
CONTENT = "nodes/node01/storage/local/content"
SIZE = f"{CONTENT}/local%3Aimport%2F{FILE}"
RIGHTS = {"/": {"Datastore.AllocateTemplate": 1, "Sys.AccessNetwork": 1}}


class Node(Cluster):
    """A node with storages for images; `files`: the volumes of each, and the size of their disks in GiB."""

    def __init__(self, storages=("local",), files=(), gib=3, rights=RIGHTS):
        told = {"access/permissions": rights}
        for storage in storages:
            there = [{"volid": volume} for volume in files if volume.startswith(f"{storage}:")]
            told[f"nodes/node01/storage/{storage}/content"] = there
        told[SIZE] = {"size": int(gib * 2**30)}
        super().__init__(told=told)
        self.able = storages

    def storages(self, node):
        return {name: {"storage": name, "type": "dir", "content": "iso,import"} for name in self.able}


def machine(**fields):
    return made("a", **{"clone": None, "image": "debian12", "agent": False} | fields)


def look(tmp_path, node, exist=None, **fields):
    one = machine(**fields)
    found, findings = images.sources(node, {"a": one}, exist or {}, catalogue(tmp_path))
    return found.get("a"), [f"{finding.level} {finding.message}" for finding in findings]


@pytest.mark.parametrize(
    ("storages", "files", "storage"),
    [
        (("local",), [], "local"),
        (("a", "local", "z"), [], "local"),
        (("a", "local", "z"), [VOLUME.replace("local", "z", 1)], "z"),
        (("b", "a"), [], "a"),
    ],
)
def test_the_storage_that_has_the_image_or_can(tmp_path, capsys, storages, files, storage):
    source, findings = look(tmp_path, Node(storages, files) if not files else Told(storages, files))
    assert (source.volume, findings) == (f"{storage}:import/{FILE}", [])
    missing = "" if files else ", which the apply downloads"
    assert f"a: image debian12 is {source.volume}{missing}\n" in capsys.readouterr().err


class Told(Node):
    """One that tells the size of any image."""

    def get(self, path, **params):
        return super().get(path, **params) if path in self.told else self.told[SIZE]


def test_no_storage_can_hold_images(tmp_path):
    source, findings = look(tmp_path, Node(()))
    assert source is None
    assert findings == [
        "error image: node01 has no storage for images; allow it by"
        " `pvesm set local --content images,iso,vztmpl,backup,import` on node01"
    ]


@pytest.mark.parametrize(
    ("fields", "slot"),
    [
        ({}, "scsi0"),
        ({"disks": {"scsi1": {"size": "9G"}, "virtio0": {"size": "9G"}}}, "virtio0"),
        ({"disks": {"scsi0": {"size": "9G"}, "scsi1": {"size": "9G"}}, "boot": "order=net0;scsi1"}, "scsi1"),
    ],
)
def test_the_disk_with_the_system_is_made_of_it(tmp_path, fields, slot):
    source, _ = look(tmp_path, Node(), **fields)
    assert {disk.slot: disk.import_from for disk in source.filled() if disk.import_from} == {slot: VOLUME}


AGENT = (
    "agent: the image debian12 has no guest agent: clone the template that `make template IMAGE=debian12` builds with"
    " it (clone: debian12-template), set agent: false, or install it by a snippet (cicustom)"
)
UEFI = (
    "error bios: the image uefi13 starts with UEFI only; add `bios: ovmf` and `efidisk: {storage: local-lvm}`"
)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"image": "debian-12"}, []),
        ({"agent": True}, [f"warning {AGENT}"]),
        ({"agent": True, "cicustom": {"vendor": "local:snippets/agent.yaml"}}, []),
        ({"agent": True, "image": "rocky9"}, []),
        ({"agent": True, "ipconfig0": "ip=dhcp"},
         [f"error {AGENT}; without it nobody learns the address that DHCP gives"]),
        ({"agent": True, "ipconfig0": "ip=dhcp", "address": "192.168.1.50"}, [f"warning {AGENT}"]),
        ({"image": "uefi13"}, [UEFI]),
        ({"image": "uefi13", "bios": "ovmf", "efidisk": {"storage": "local-lvm"}}, []),
        ({"image": "debian"}, ["error image: the catalogue has no image debian; did you mean debian12? It has debian12,"
                               " new14, rocky9, uefi13"]),
    ],
)  # fmt: skip
def test_what_the_catalogue_says_of_it(tmp_path, fields, said):
    assert look(tmp_path, Node(), **fields)[1] == said


def test_an_image_that_is_not_locked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = "error image: new14 is not in images.lock.yml: run `make images-update`"
    assert look(tmp_path, Node(), image="new-14") == (None, [said])


@pytest.mark.parametrize(
    ("gib", "size", "said"),
    [
        (3, "3G", []),
        (3, "2G", ["error disks.scsi0.size: is 2G, but the image debian12 has 3G, and disks never shrink"]),
        (
            3.5,
            "3G",
            ["error disks.scsi0.size: is 3G, but the image debian12 has 3.5G, and disks never shrink"],
        ),
    ],
)
def test_the_size_of_an_image_that_is_on_the_storage(tmp_path, gib, size, said):
    node = Node(files=[VOLUME], gib=gib)
    assert look(tmp_path, node, disks={"scsi0": {"size": size}})[1] == said


def test_the_right_to_bring_it_is_asked_for_where_it_is_missing(tmp_path):
    weak = {"/": {"Datastore.AllocateTemplate": 1}}
    assert look(tmp_path, Node(files=[VOLUME], rights=weak))[1] == []
    (said,) = look(tmp_path, Node(rights=weak))[1]
    assert said.startswith(
        "error image: terraform@pve!gitops lacks Sys.AccessNetwork on /nodes/node01: `pveum role"
    )


def test_offline_nobody_is_asked(tmp_path):
    source, findings = look(tmp_path, None)
    assert (source.volume, findings) == (VOLUME, [])


@pytest.mark.parametrize("node", ["node02", "node09"])  # offline, and not there: `needs` says so
def test_no_node_that_does_not_answer_is_asked(tmp_path, node):
    cluster = Node()
    assert look(tmp_path, cluster, target_node=node) == (None, [])
    assert cluster.asked == []


MADE = [
    {"interface": "scsi0", "import_from": "local:import/debian12-20260101-00000000.qcow2"},
    {"interface": "scsi1"},
]
OTHER = (
    "warning image: is rocky9, but the machine was made of local:import/debian12-20260101-00000000.qcow2; it concerns"
    " a new machine only"
)


@pytest.mark.parametrize(
    ("disks", "image", "said"),
    [
        (MADE, "debian-12", []),
        (MADE, "rocky9", [OTHER]),
        ((), "rocky9", []),  # taken over
        ([{"interface": "scsi0", "import_from": ""}], "rocky9", []),  # cloned
        (MADE, "gone", []),
    ],
)
def test_a_machine_that_exists_keeps_its_image(tmp_path, disks, image, said):
    node = Node()
    source, findings = look(tmp_path, node, {"a": disks}, image=image)
    assert (source, findings, node.asked) == (None, said, [])
