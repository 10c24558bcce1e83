"""The lab's site of images: what stands where, and what goes wrong when it is told to."""

import hashlib
import re
import subprocess
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
import yaml

from lab import daemons, lab_dir, network
from lab.environment import environment
from lab.images import builds, faults
from lab.images.shelf import Shelf
from tests.helpers.image_site import image_site

IMAGES = ("debian12", "ubuntu24", "rocky9")
FOLDER, MOVING = "/images/cloud/bookworm/", "/images/cloud/bookworm/latest/debian-12-generic-amd64.qcow2"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with image_site(tmp_path_factory.mktemp("images")) as found:
        yield found


@pytest.fixture
def get(site):
    return lambda path, **more: requests.get(site.url + path, verify=str(site.ca), timeout=10, **more)


def sums(text: str) -> dict[str, str]:
    """By name, of either style."""
    bsd = dict(re.findall(r"^SHA256 \((.*)\) = ([0-9a-f]{64})$", text, re.MULTILINE))
    return bsd or {
        name: found for found, name in re.findall(r"^([0-9a-f]{64,128}) [ *](.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_of_the_catalogue_has_its_sum_and_its_dated_build(site, get, image):
    entry = yaml.safe_load(site.catalogue.read_text())[image]
    path, algorithm = entry["url"].removeprefix(site.url), "sha512" if image == "debian12" else "sha256"
    listed = sums(get(entry["checksums"].removeprefix(site.url)).text)
    content = get(path).content
    assert content == site.file(image, "A").read_bytes()
    assert listed[path.rpartition("/")[2]] == hashlib.new(algorithm, content).hexdigest()
    page = get(entry.get("builds", urljoin(entry["url"], ".")).removeprefix(site.url)).text
    links = [name for name in re.findall(r'href="([^"?]*)"', page) if "20261102" in name]
    (dated,) = (name for name in links if not name.endswith(".CHECKSUM"))
    assert (dated.endswith("/")) == (image != "rocky9"), "a folder or a file"


def test_a_new_build_moves_the_moving_names_alone(site, get):
    before = get(f"{FOLDER}20261102-2267/SHA512SUMS").text
    site.publish("debian12", "B")
    try:
        assert get(MOVING).content == site.file("debian12", "B").read_bytes()
        assert get(f"{FOLDER}20261102-2267/SHA512SUMS").text == before
        names = [name for name in re.findall(r'href="([^"?]*)"', get(FOLDER).text) if name[0] != "/"]
        assert names == ["20261102-2267/", "20261116-2267/", "daily/", "latest/"]
        assert sums(get(f"{FOLDER}latest/SHA512SUMS").text) != sums(before)
    finally:
        site.publish("debian12", "A")


def test_a_part_a_folder_and_what_is_not_there(site, get):
    whole = get(MOVING).content
    part = get(MOVING, headers={"Range": "bytes=1000-"})
    assert (part.status_code, part.content) == (206, whole[1000:])
    assert part.headers["Content-Range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert get(MOVING, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert get(FOLDER.rstrip("/"), allow_redirects=False).headers["Location"] == FOLDER
    assert get("/missing").status_code == 404
    head = requests.head(site.url + MOVING, verify=str(site.ca), timeout=10)
    assert (int(head.headers["Content-Length"]), head.content) == (len(whole), b"")


def test_faults(site, get):
    good = get(MOVING).content
    with site.faults({"match": "qcow2$", "status": 404, "times": 1}, {"match": "SUMS$", "wrong_sum": True}):
        assert [get(MOVING).status_code for _ in range(2)] == [404, 200]
        assert hashlib.sha512(good).hexdigest() not in get(f"{FOLDER}latest/SHA512SUMS").text
    with site.faults({"match": "latest/.*qcow2$", "moved": "/elsewhere.qcow2", "status": 301}):
        answer = get(MOVING, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (301, "/elsewhere.qcow2")
    with (
        site.faults({"match": "qcow2$", "cut": 5000}),
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        get(MOVING)
    with site.faults({"match": "qcow2$", "no_range": True}):
        assert get(MOVING, headers={"Range": "bytes=1000-"}).content == good
    with site.faults({"match": "qcow2$", "rate": 2 << 20}):
        assert get(MOVING).elapsed.total_seconds() < 0.4, "its first bytes"
        assert get(MOVING).content == good
    with site.faults({"match": "/bookworm/$", "body": "<html>"}):
        assert get(FOLDER).text == "<html>"
    with site.faults({"certificate": "unknown"}), pytest.raises(requests.exceptions.SSLError):
        requests.get(site.url, verify=str(site.ca), timeout=10)
    assert get(MOVING).content == good


def test_wget_goes_on_where_it_was_cut_off(site, tmp_path):
    with site.faults({"match": "qcow2$", "cut": 600_000, "times": 1}):
        argv = ["wget", "-nv", f"--ca-certificate={site.ca}", "-O", tmp_path / "disk", site.url + MOVING]
        subprocess.run(argv, check=True, capture_output=True)
    assert (tmp_path / "disk").read_bytes() == site.file("debian12", "A").read_bytes()


def test_the_labs_own_site_and_its_images(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_DIR", str(tmp_path / "lab"))
    daemons.up(["images"])
    try:
        entry = yaml.safe_load(Path(environment()["PROXMOX_IMAGES"]).read_text())["debian12"]
        with network.inside():
            bundle = str(lab_dir() / "tls/bundle.pem")
            listed = requests.get(entry["checksums"], verify=bundle, timeout=60).text
            content = requests.get(entry["url"].replace("https:", "http:"), timeout=60).content
            assert sums(listed)["debian-12-generic-amd64.qcow2"] == hashlib.sha512(content).hexdigest()
            with faults.injected(lab_dir() / "images", {"match": "SUMS", "status": 404}):
                assert requests.get(entry["checksums"], verify=bundle, timeout=60).status_code == 404
            Shelf(lab_dir() / "images").publish("debian12", "B")
            assert requests.get(entry["checksums"], verify=bundle, timeout=60).text != listed
    finally:
        daemons.down()
    marks = {}
    for build in ("A", "B"):
        for agent in (False, True):
            disk = tmp_path / "disk"
            subprocess.run(["qemu-img", "convert", "-O", "raw", builds.image(build, agent), disk], check=True)
            shown = [subprocess.run(["debugfs", "-R", f"{what}", disk], capture_output=True, text=True).stdout
                     for what in ("cat /etc/image-build", "stat /usr/sbin/qemu-ga")]  # fmt: skip
            marks[build, agent] = (shown[0], "Type: regular" in shown[1])
    assert marks == {(build, agent): (f"{build}\n", agent) for build in ("A", "B") for agent in (False, True)}
