"""Bringing an image onto a storage, verifying what is there, and removing what nobody needs."""

import pytest

from fleet.findings import Fault
from fleet.images import download, prune, volume
from fleet.images.lock import Locked
from fleet.proxmox.errors import Refused

SUM = "1a2b3c4d" * 8
IMAGE = Locked("debian12", "https://example.org/d.qcow2", "sha256", SUM, "2026-11-02", 400_000_000)
FILE = "debian12-20261102-1a2b3c4d.qcow2"
VOLUME = f"local:import/{FILE}"
DIR = {"type": "dir", "content": "iso,vztmpl,import", "avail": 10**10, "active": 1}
BROKEN = "download failed: failed: Connection refused."
MISMATCH = f"checksum mismatch: got '00' != expect '{SUM}'"


class Node:
    """A client of a node whose downloads end as they are told, one after the other."""

    user = "me@pve!gitops"

    def __init__(self, *ends, files=(), storages=None, log=(), refused=""):
        self.ends, self.log, self.refused = list(ends), list(log), refused
        self.content = {f"local:import/{file}": 4 for file in files}
        self.there = {"local": DIR} if storages is None else storages
        self.asked, self.sent, self.running = [], {}, []

    def storages(self, node):
        assert node == "node01"
        return {name: {"storage": name} | about for name, about in self.there.items()}

    def get(self, path, **params):
        self.asked.append(path)
        if path == "access/permissions":
            return {"/": {}}
        if path.endswith("/content"):
            return [{"volid": name, "size": size} for name, size in self.content.items()]
        if path.endswith("/status"):
            self.end = self.ends.pop(0)
            return {"status": "stopped", "exitstatus": self.end}
        assert path.endswith("/log")
        lines = [*self.log, f"TASK {self.end}"]
        return [{"n": number, "t": text} for number, text in enumerate(lines, 1) if number > params["start"]]

    def post(self, path, **fields):
        self.asked.append(path)
        assert path == "nodes/node01/storage/local/download-url"
        if self.refused:
            raise Refused(self.refused, 403)
        if VOLUME in self.content and self.ends[0] == "OK":
            self.log = [
                "calculating checksum of existing file...OK, got correct file already, no need to download"
            ]
        self.sent = fields
        return "UPID:node01:0001:0002:0003:download:x:me@pve:"

    def if_told(self, path, **params):
        self.asked.append(path)
        assert (path, params) == ("nodes/node01/tasks", {"source": "active"})
        return self.running

    def delete(self, path):
        self.asked.append(path)
        if self.refused:
            raise Refused(self.refused, 403)


@pytest.fixture
def said(monkeypatch):
    """What a person sees; nothing waits."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    return []


def bring(node, said, image=IMAGE, **options):
    return volume.bring(node, "node01", "local", image, said.append, **options)


def test_a_missing_image_is_downloaded_by_the_node_with_its_checksum(said):
    log = ["     0K ........ ........ ........ ........  8%  112M 3s", "2026-11-02 (300 MB/s)"]
    node = Node("OK", log=log)
    assert bring(node, said) == (VOLUME, True, f"{VOLUME} was downloaded to node01, verified")
    assert node.sent == {
        "content": "import", "filename": FILE, "url": IMAGE.url, "checksum": SUM, "checksum-algorithm": "sha256",
    }  # fmt: skip
    assert said == [
        "debian12: node01 downloads https://example.org/d.qcow2 (400 MB) to local",
        "debian12: 8 %, 112 MB/s",
    ]


def test_an_image_that_is_there_is_verified_not_trusted(said):
    node = Node("OK", files=[FILE])
    assert bring(node, said) == (VOLUME, False, f"{VOLUME} is on node01, verified")
    assert node.sent["checksum"] == SUM and not said
    assert len(node.asked) == 4


UPID = "UPID:node01:0009:0002:0003:download:x:me@pve:"


@pytest.mark.parametrize("end", ["OK", "received interrupt"])
def test_a_download_of_an_earlier_run_is_awaited(said, end):
    node = Node(end, "OK")
    task = {"type": "download", "id": FILE, "upid": UPID}
    node.running = [task | {"endtime": 1}, task | {"id": "x"}, task | {"type": "imgcopy"}, task]
    brought = bring(node, said)
    assert said[0] == "debian12: node01 downloads it already, for an earlier run"
    waited = [path for path in node.asked if "0009" in path.replace("%3A", ":") and path.endswith("/status")]
    assert len(waited) == 1 and node.sent["checksum"] == SUM and brought.changed


@pytest.mark.parametrize(("files", "changed"), [([], True), ([FILE], False)])
def test_check_mode_predicts_and_begins_nothing(said, files, changed):
    node = Node(files=files)
    volid, would, message = bring(node, said, check=True)
    assert (volid, would) == (VOLUME, changed) and node.asked == ["nodes/node01/storage/local/content"]
    assert message.startswith("would download https://example.org/d.qcow2 to") == changed


def test_a_broken_download_is_tried_again(said):
    node = Node(BROKEN, "download failed: exit code 4", "OK")
    assert bring(node, said).changed
    assert len(said) == 3 and said[1].endswith("Connection refused.): look whether the node reaches that site; "
                                              "attempt 2 of 3")  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "log", "message"),
    [
        ([BROKEN] * 3, [], r"node01 cannot read https://example.org/d.qcow2 \(download failed: failed: Conn"),
        (
            ["download failed: exit code 8"],
            ["2026 ERROR 404: Not Found."],
            "answers 404: Not Found; `make images-u",
        ),
        ([MISMATCH], [], "has other content than expected .* nothing was kept; `make images-update` finds"),
        (
            ["download failed: No space left on device"],
            [],
            "local on node01 is full, and nothing of the image",
        ),
        (
            ["download failed: x"],
            ["ERROR: The certificate of 'x' is not trusted."],
            "refuses the certificate",
        ),
        ([BROKEN] * 3, ["Loaded CA certificate '/etc/ssl/ca.pem'"], "node01 cannot read https"),
        (["failed to verify file: x"], [], "did not get onto local of node01: failed to verify file: x"),
        (["received interrupt"], [], "did not get onto local of node01: received interrupt"),
    ],
)
def test_a_download_that_fails_says_the_way_out(said, ends, log, message):
    node = Node(*ends, log=log)
    with pytest.raises(Fault, match=message) as caught:
        bring(node, said)
    assert caught.value.code == 2 and node.ends == []


def test_another_file_of_that_name_is_never_overwritten(said):
    with pytest.raises(Fault, match=f"it is broken or was changed, .* remove it by `pvesm free {VOLUME}`"):
        bring(Node(f"{MISMATCH}, aborting", files=[FILE]), said)


@pytest.mark.parametrize(
    ("storages", "message"),
    [
        ({}, "node01 has no storage local, or the token lacks Datastore.Audit on /storage/local; .* on none"),
        (
            {"local": DIR | {"content": "iso,vztmpl"}},
            "allow it by `pvesm set local --content iso,vztmpl,import`",
        ),
        (
            {"local": DIR | {"content": "iso"}, "nfs": DIR},
            "local on node01 is not for images: choose nfs, or allow",
        ),
        (
            {"local": {"type": "lvmthin", "content": "images"}},
            "type dir, nfs or cifs, since one of type lvmthin can",
        ),
        ({"local": DIR | {"active": 0}}, "local on node01 does not work at the moment"),
        (
            {"local": DIR | {"avail": 399_999_999}},
            "local on node01 has 400 MB left, and the image has 400 MB",
        ),
    ],
)
def test_a_storage_that_cannot_take_it_is_refused_before_any_download(said, storages, message):
    node = Node(storages=storages)
    with pytest.raises(Fault, match=message):
        bring(node, said)
    assert not node.sent


def test_a_missing_right_is_named_with_the_command(said):
    with pytest.raises(Fault) as caught:
        bring(Node(refused="no"), said)
    assert "me@pve!gitops lacks Datastore.AllocateTemplate on /storage/local: `pveum role modify" in str(
        caught.value
    )
    assert "lacks Sys.AccessNetwork on /nodes/node01" in str(caught.value)


def test_an_image_without_a_checksum_needs_leave(said):
    image = IMAGE._replace(checksum="", algorithm="")
    with pytest.raises(Fault, match="comes without a checksum"):
        bring(Node(), said, image)
    node = Node("OK")
    brought = bring(node, said, image, allow_not_verified=True)
    assert brought == (
        "local:import/debian12-20261102.qcow2",
        True,
        "local:import/debian12-20261102.qcow2 was downloaded to node01, not verified: no checksum is known",
    )
    assert "checksum" not in node.sent
    node = Node(files=["debian12-20261102.qcow2"])
    assert not bring(node, said, image, allow_not_verified=True).changed
    assert not node.sent


def test_the_storage_for_an_image():
    files = {"b": DIR, "local": DIR, "a": DIR, "zfs": {"content": "images"}}
    assert volume.choose(Node(storages={"b": DIR}), "node01", IMAGE) == "b"
    assert volume.choose(Node(storages=files), "node01", IMAGE) == "local"
    node = Node(storages=files)
    node.content = {f"b:import/{FILE}": 1}
    assert volume.choose(node, "node01", IMAGE) == "b"
    with pytest.raises(
        Fault, match="node01 has no storage for images; allow it by `pvesm set local --content"
    ):
        volume.choose(Node(storages={"zfs": {"content": "images"}}), "node01", IMAGE)


OLD = ["debian12-20251102-1a2b3c4d.qcow2", "x-1-20251102-00000000.raw"]
FOREIGN = ["mine.qcow2", "debian12-20251102.qcow2", "debian12-20251102-1a2b3c4d.vmdk"]


@pytest.mark.parametrize("check", [False, True])
def test_only_what_this_project_brought_and_nobody_needs_is_removed(check):
    node = Node(files=[*OLD, *FOREIGN, FILE])
    assert prune.prune(node, "node01", "local", {FILE}, check) == [f"local:import/{file}" for file in OLD]
    place = "nodes/node01/storage/local/content/local%3Aimport%2F"
    assert node.asked[1:] == ([] if check else [place + file for file in OLD])


def test_a_missing_right_to_remove_is_named():
    with pytest.raises(
        Fault, match=r"cannot be removed: me@pve!gitops lacks Datastore.Allocate on /storage/local"
    ):
        prune.prune(Node(files=OLD, refused="no"), "node01", "local", ())
