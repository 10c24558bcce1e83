"""Cloud images against the lab: the newest builds on its site, and a node that downloads them."""

from pathlib import Path

import pytest

import update_images
import upload_image
from fleet.findings import Fault
from fleet.images import catalogue, download, lock, prune, volume
from fleet.proxmox.client import connect
from lab import lab_dir, secret
from lab.proxmox import accounts, faults, volumes
from tests.helpers.lab_site import IMAGES, site_in_lab


@pytest.fixture(scope="module")
def site(hypervisor):
    with site_in_lab() as found:
        yield found


@pytest.fixture(autouse=True)
def environment(site, monkeypatch):
    monkeypatch.setenv("PROXMOX_IMAGES", str(site.catalogue))
    monkeypatch.setenv("SSL_CERT_FILE", str(lab_dir() / "tls/bundle.pem"))
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", "https://192.168.1.1:8006")
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", secret("proxmox_token"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setattr(download, "PAUSE", 0)
    assert update_images.main([]) == 0
    yield
    for volid in volumes.of_storage("node01", "local"):
        if volumes.content(volid) == "import":
            volumes.path("node01", volid).unlink()


@pytest.fixture
def said():
    return []


@pytest.fixture
def bring(said):
    def bring(image="debian12", **options):
        return volume.bring(connect(), "node01", "local", lock.locked(image), said.append, **options)

    return bring


def path(volid: str) -> Path:
    return volumes.path("node01", volid)


@pytest.mark.parametrize("image", IMAGES)
def test_a_newer_build_is_found_where_its_makers_publish_it(site, image, capsys):
    first = lock.locked(image)
    assert first.date == "2026-11-02" and first.size == site.file(image, "A").stat().st_size
    assert update_images.main(["--check"]) == 0
    site.shelf.publish(image, "B")
    try:
        assert update_images.main(["--check", image]) == 1
        assert update_images.main([image]) == 0
        second = lock.locked(image)
        assert f"2026-11-02 {first.checksum[:8]}  2026-11-16 {second.checksum[:8]}" in capsys.readouterr().out
        assert second.date == "2026-11-16" and second.file != first.file
    finally:
        site.shelf.publish(image, "A")
    assert update_images.main([image]) == 0 and lock.locked(image) == first


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"match": "SUMS$", "status": 404}, "SHA512SUMS answers 404"),
        ({"match": "SUMS$", "cut": 50}, "SHA512SUMS is cut off after 50 bytes"),
        ({"match": "latest/.*SUMS$", "wrong_sum": True}, "has no dated build with the checksum"),
        ({"match": "SUMS$", "moved": "http://192.168.1.1/"}, "and only https is followed"),
        ({"certificate": "unknown"}, "SHA512SUMS is refused"),
    ],
)
def test_an_image_site_that_fails_costs_no_lock(site, capsys, fault, words):
    before = lock.path(site.catalogue).read_bytes()
    with site.faults(fault):
        assert update_images.main(["debian12"]) == 1
    assert words in capsys.readouterr().err
    assert lock.path(site.catalogue).read_bytes() == before


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_downloaded_once_and_verified_without_its_site(site, bring, said, image):
    volid, changed, message = bring(image)
    assert changed and message == f"{volid} was downloaded to node01, verified"
    assert path(volid).read_bytes() == site.file(image, "A").read_bytes()
    assert said[0].startswith(f"{image}: node01 downloads https://192.168.1.1:") and "100 %, " in said[1]
    with site.faults({"match": "", "status": 503}):
        assert bring(image) == (volid, False, f"{volid} is on node01, verified")


def test_what_is_broken_on_the_storage_is_noticed_and_left(bring):
    volid = bring().volid
    path(volid).write_bytes(path(volid).read_bytes()[:-1] + b"x")
    broken = path(volid).read_bytes()
    with pytest.raises(Fault, match=f"{volid} on node01 is not the image .* `pvesm free {volid}` on node01"):
        bring()
    assert path(volid).read_bytes() == broken


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"match": "qcow2$", "status": 404}, "answers 404: .*; `make images-update` finds the build"),
        ({"match": "qcow2$", "body": "another"}, "has other content than expected .*nothing was kept"),
        ({"match": "qcow2$", "status": 503}, "node01 cannot read https://.* look whether the node reaches"),
        ({"certificate": "unknown"}, "node01 refuses the certificate of https://"),
    ],
)
def test_a_download_that_fails_leaves_nothing(site, bring, fault, words):
    with site.faults(fault), pytest.raises(Fault, match=words):
        bring()
    assert not list(path("local:import/x.qcow2").parent.iterdir())
    assert bring().changed


def test_a_download_that_breaks_is_tried_again(site, bring, said):
    with site.faults({"match": "qcow2$", "status": 503, "times": 2}):
        assert bring().changed
    assert [line.rpartition("; ")[2] for line in said if "attempt" in line] == [
        "attempt 2 of 3",
        "attempt 3 of 3",
    ]


def test_a_download_of_a_run_that_was_killed_is_awaited(site, bring, said):
    """The node goes on with it, and is not asked for a second one."""
    image, client = lock.locked("debian12"), connect()
    with site.faults({"match": "qcow2$", "rate": 100_000}):
        fields = {"content": "import", "filename": image.file, "url": image.url}
        client.post("nodes/node01/storage/local/download-url", **fields)
        volid, changed, message = bring()
    assert said[0] == "debian12: node01 downloads it already, for an earlier run"
    assert (changed, message) == (False, f"{volid} is on node01, verified")


def test_a_full_storage(bring):
    with (
        faults.injected({"full": "local"}),
        pytest.raises(Fault, match=r"local on node01 has 0\.0 MB left, and the"),
    ):
        bring()
    assert not list(path("local:import/x.qcow2").parent.iterdir())


def test_a_missing_right_is_named(bring):
    user = secret("proxmox_token").partition("!")[0]
    accounts.grant("/", ["PVEAuditor"], user, None, True, False)
    accounts.grant("/", ["GitOps"], user, None, True, True)
    try:
        with pytest.raises(
            Fault, match=r"lacks Datastore\.AllocateTemplate on /storage/local: `pveum role modify"
        ):
            bring()
    finally:
        accounts.grant("/", ["GitOps"], user, None, True, False)


def test_check_mode_changes_nothing(bring):
    assert bring(check=True).changed
    assert not path(bring(check=True).volid).exists()
    bring()
    assert not bring(check=True).changed


def test_images_that_nobody_needs_are_removed(bring):
    accounts.grant("/", ["Administrator"], secret("proxmox_token").partition("!")[0], None, True, False)
    volids = {image: bring(image).volid for image in IMAGES}
    foreign = path("local:import/mine.qcow2")
    foreign.write_bytes(path(volids["rocky9"]).read_bytes())
    keep = {lock.locked("rocky9").file}
    unused = sorted(volids[image] for image in IMAGES if image != "rocky9")
    for check in (True, False):
        assert prune.prune(connect(), "node01", "local", keep, check) == unused
        assert path(unused[0]).exists() == check
    assert foreign.exists() and path(volids["rocky9"]).exists()
    assert prune.prune(connect(), "node01", "local", keep) == []


@pytest.fixture
def own(site, tmp_path, monkeypatch):
    """An image of one's own in the catalogue, and its file."""
    place = tmp_path / "images.yml"
    place.write_text("ceph:\n  file: ceph.qcow2\n  user: opensuse\n  agent: true\n")
    monkeypatch.setenv("PROXMOX_IMAGES", str(place))
    file = tmp_path / "built.qcow2"
    file.write_bytes(site.file("debian12", "A").read_bytes())
    return file


def test_an_image_of_ones_own_is_uploaded_once(own, capsys):
    argv = ["ceph", str(own), "--node", "node01"]
    assert upload_image.main([*argv, "--dry-run"]) == 0
    assert "would upload" in capsys.readouterr().out and not lock.read()
    assert upload_image.main(argv) == 0
    build = lock.locked("ceph")
    volid = f"local:import/{build.file}"
    assert f"{volid} was uploaded to node01, verified" in capsys.readouterr().out
    assert path(volid).read_bytes() == own.read_bytes()
    assert upload_image.main(argv) == 0
    assert f"{volid} is on node01, verified\n" in capsys.readouterr().out
    assert volume.bring(connect(), "node01", "local", build) == (
        volid,
        False,
        f"{volid} is on node01, verified",
    )
    assert update_images.main(["--check"]) == 0  # nothing newer can be found
    names = [name for name, image in catalogue.read().items() if image.file]
    assert prune.prune(connect(), "node01", "local", (), True, names) == []
    own.write_bytes(own.read_bytes() + bytes(512))
    assert upload_image.main(argv) == 0
    assert lock.locked("ceph").file != build.file and path(volid).exists()


def test_what_is_on_the_storage_under_its_name_is_not_overwritten(own, capsys):
    argv = ["ceph", str(own), "--node", "node01"]
    assert upload_image.main(argv) == 0
    volid = f"local:import/{lock.locked('ceph').file}"
    path(volid).write_bytes(b"changed")
    assert upload_image.main(argv) == 2
    assert (
        "is not the image that it should be" in capsys.readouterr().err
        and path(volid).read_bytes() == b"changed"
    )


@pytest.mark.parametrize(
    ("argv", "fault", "words"),
    [
        (["--storage", "local-lvm"], {}, "local-lvm on node01 is not for images"),
        (["--node", "node09"], {}, "node09 is not online; there are node01, node02"),
        ([], {"match": "TASK imgcopy", "error": "import failed"}, "did not get onto node01: import failed"),
        (
            [],
            {"match": "POST .*/upload", "status": 507, "message": "no"},
            "answered POST nodes/node01/storage/local",
        ),
    ],
)
def test_an_upload_that_fails_leaves_the_lock_alone(own, capsys, argv, fault, words):
    with faults.injected(*[fault] if fault else []):
        assert upload_image.main(
            ["ceph", str(own), *(["--node", "node01"] if "--node" not in argv else []), *argv]
        )
    assert words in capsys.readouterr().err and not lock.read()


def test_an_image_of_the_makers_is_not_overlaid(tmp_path, capsys):
    assert upload_image.main(["debian12", str(tmp_path)]) == 1
    assert "give your image an entry of its own" in capsys.readouterr().err
