"""The lock: what is written is read again, names on a storage, and what a person may have done to it."""

import pytest

from fleet.findings import Fault
from fleet.images import lock
from fleet.images.lock import Locked

CATALOGUE = """\
debian12:
  aliases: [debian-12]
  url: https://example.org/latest/debian-12-generic-amd64.qcow2
  checksums: https://example.org/latest/SHA512SUMS
  user: debian
  agent: true
  firmware: ovmf
ubuntu24:
  url: https://example.org/release/ubuntu.img
  checksums: https://example.org/release/SHA256SUMS
  user: ubuntu
"""
SUM = "1a2b3c4d" * 16
DATED = "https://example.org/20261102-2267/debian-12-generic-amd64-20261102-2267.qcow2"
DEBIAN = Locked("debian12", DATED, "sha512", SUM, "2026-11-02", 4096, "debian", True, "ovmf")
UBUNTU = Locked(
    "ubuntu24", "https://example.org/u.img", "sha256", "1e3" + "0" * 61, "2026-11-01", 0, "ubuntu"
)
TEXT = f"""\
# Written by `make images-update`: the builds that templates and machines are made of.

debian12:
  url: {DATED}
  algorithm: sha512
  checksum: "{SUM}"
  date: "2026-11-02"
  size: 4096
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    file = tmp_path / "images.yml"
    file.write_text(CATALOGUE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROXMOX_IMAGES", str(file))
    return file


def test_what_is_written_is_read_again(file):
    assert lock.write(file, [UBUNTU, DEBIAN])
    assert lock.read() == {"debian12": DEBIAN, "ubuntu24": UBUNTU}
    written = lock.path(file).read_bytes()
    assert not lock.write(file, lock.read().values())
    assert lock.path(file).read_bytes() == written


def test_a_lock_of_nothing_is_no_mistake(file):
    """What an update writes that found no image; the next one must not stop at it."""
    lock.write(file, [])
    assert lock.read() == {}
    with pytest.raises(Fault, match=r"debian12 is not in images.lock.yml: run `make images-update`"):
        lock.locked("debian12")


def test_the_text(file):
    lock.write(file, [DEBIAN])
    assert (file.parent / "images.lock.yml").read_text() == TEXT


def test_without_a_lock_nothing_is_locked(file):
    assert lock.read() == {}
    with pytest.raises(Fault, match=r"debian12 is not in images\.lock\.yml: run `make images-update`"):
        lock.locked("debian-12")


def test_an_alias_finds_the_locked_build(file):
    lock.write(file, [DEBIAN])
    assert lock.locked("debian-12") == lock.locked("debian12") == DEBIAN
    with pytest.raises(Fault, match=r"did you mean debian-12\?"):
        lock.locked("debian-2")


def test_what_the_catalogue_lost_is_not_read(file):
    lock.write(file, [DEBIAN, DEBIAN._replace(name="old")])
    assert set(lock.read()) == {"debian12"}


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (DEBIAN, "debian12-20261102-1a2b3c4d.qcow2"),
        (UBUNTU, "ubuntu24-20261101-1e300000.qcow2"),
        (DEBIAN._replace(url="https://example.org/a.raw"), "debian12-20261102-1a2b3c4d.raw"),
        (Locked("debian-12", "https://example.org/debian-12.img"), "debian-12.qcow2"),
    ],
)
def test_the_name_on_a_storage(build, name):
    assert build.file == name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "size: 4096",
            "size: -1",
            "3: debian12: size must be a number of bytes; run `make images-update`, wh",
        ),
        ("size: 4096", "size: true", "3: debian12: size must be a number of bytes"),
        (
            "size: 4096",
            "sise: 4096",
            "3: debian12: must have the fields url, algorithm, checksum, date, size",
        ),
        ("sha512", "sha256", "3: debian12: algorithm and checksum do not fit"),
        ("sha512", "[sha512]", "3: debian12: algorithm and checksum do not fit"),
        ("1a2b", "1A2B", "3: debian12: algorithm and checksum do not fit"),
        ('-11-02"', '-11"', "3: debian12: date must be a day in quotes"),
        ("https:", "http:", "3: debian12: url must start with https://"),
        ("debian12:", "debian12: {", "3:11: debian12: is not valid YAML"),
    ],
)
def test_a_lock_that_was_changed_by_hand(file, old, new, message):
    assert old in TEXT
    lock.path(file).write_text(TEXT.replace(old, new, 1))
    with pytest.raises(Fault) as caught:
        lock.read()
    assert caught.value.finding.text().startswith(f"images.lock.yml:{message}")


OTHER = "https://example.org/x/my%20image-1.img"


def test_an_address_of_the_catalogue_or_the_lock_means_the_locked_build(file):
    lock.write(file, [DEBIAN])
    for url in (DATED, "https://example.org/latest/debian-12-generic-amd64.qcow2"):
        assert lock.from_url(url) == DEBIAN
    with pytest.raises(Fault, match="ubuntu24 is not in"):
        lock.from_url("https://example.org/release/ubuntu.img")


def test_another_address_has_the_checksum_that_is_given(file):
    build = lock.from_url(OTHER, f"SHA512:{SUM}")
    assert build == Locked("my-20image-1", OTHER, "sha512", SUM)
    assert build.file == "my-20image-1-1a2b3c4d.qcow2"
    assert lock.from_url(OTHER, SUM[:64]).algorithm == "sha256"
    assert lock.from_url(OTHER).checksum == ""
    assert lock.from_url(DATED, f"sha512:{SUM}").name == "debian-12-generic-amd64-20261102-2267"


@pytest.mark.parametrize(
    ("url", "checksum", "message"),
    [
        ("http://example.org/a.img", "", "the image's address must start with https://"),
        ("https://example.org/", "", "does not name a file"),
        (OTHER, "sha256:12", "the checksum sha256:12 does not have the form"),
        (OTHER, f"md5:{SUM[:32]}", "does not have the form sha256:… or sha512:…"),
    ],
)
def test_an_address_that_cannot_be_used(file, url, checksum, message):
    with pytest.raises(Fault, match=message):
        lock.from_url(url, checksum)
