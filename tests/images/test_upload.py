"""What a file of one's own is, before anything is sent."""

import hashlib

import pytest

from fleet.findings import Fault
from fleet.images import catalogue, lock, resolve, upload, volume
from fleet.images.catalogue import Image
from tests.images.test_volume import Node

QCOW2 = b"QFI\xfb" + bytes(60)
IMAGE = Image("ceph", user="opensuse", file="ceph.qcow2", agent=True)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "built.qcow2"
    path.write_bytes(QCOW2)
    return path


def test_its_checksum_and_its_day_make_its_name(file):
    found = upload.build(IMAGE, file)
    assert found.checksum == hashlib.sha256(QCOW2).hexdigest() and found.size == len(QCOW2)
    assert found.url == "file:ceph.qcow2" and found.agent and found.user == "opensuse"
    assert found.file == f"ceph-{found.date.replace('-', '')}-{found.checksum[:8]}.qcow2"


def test_the_same_content_keeps_its_name_on_another_day(file):
    known = upload.build(IMAGE, file)._replace(date="2020-01-02")
    assert upload.build(IMAGE, file, known) == known


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"no image", "ceph.qcow2", "is no qcow2 image, but the catalogue calls ceph ceph.qcow2"),
        (QCOW2, "ceph.raw", "is a qcow2 image, but the catalogue calls ceph ceph.raw"),
        (b"", "ceph.raw", "is empty"),
    ],
)
def test_what_is_not_what_it_should_be_is_refused(file, content, name, words):
    file.write_bytes(content)
    with pytest.raises(Fault, match=words):
        upload.build(IMAGE._replace(file=name), file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ceph:\n  file: ceph.qcow2\n", "lacks user"),
        ("ceph:\n  file: ../x.qcow2\n  user: a\n", "must be the name of a file that ends in .qcow2 or .raw"),
        ("ceph:\n  file: c.img\n  user: a\n", "must be the name of a file that ends in .qcow2 or .raw"),
        ("ceph:\n  file: c.raw\n  url: https://e.org/c.raw\n  user: a\n", "ceph.url: does not go with file"),
        ("ceph:\n  file: c.raw\n  builds: https://e.org/\n  user: a\n", "ceph.builds: does not go with file"),
    ],
)
def test_the_catalogue_says_either_or(tmp_path, text, words):
    (tmp_path / "images.yml").write_text(text)
    with pytest.raises(Fault, match=words):
        catalogue.read(tmp_path / "images.yml")


def test_without_an_upload_there_is_nothing_to_build_of(tmp_path):
    place = tmp_path / "images.yml"
    place.write_text("ceph:\n  file: ceph.qcow2\n  user: opensuse\n  agent: true\n")
    for ask in (lambda: lock.locked("ceph", place), lambda: resolve.newest(IMAGE)):
        with pytest.raises(Fault, match=r"`.venv/bin/python scripts/upload_image.py ceph ceph.qcow2`"):
            ask()


def test_the_lock_keeps_it(tmp_path, file):
    place = tmp_path / "images.yml"
    place.write_text("ceph:\n  file: ceph.qcow2\n  user: opensuse\n  agent: true\n")
    build = upload.build(IMAGE, file)
    assert lock.write(place, [build]) and not lock.write(place, [build])
    assert lock.locked("ceph", place) == build


def test_one_that_is_gone_from_a_storage_is_not_downloaded(file):
    build = upload.build(IMAGE, file)
    way_out = "`.venv/bin/python scripts/upload_image.py ceph ceph.qcow2 --node node01 --storage local`"
    with pytest.raises(Fault, match=way_out):
        volume.bring(Node(), "node01", "local", build)
