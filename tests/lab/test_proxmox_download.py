"""The simulated Proxmox: files that a node downloads, and files that are sent to it."""

import functools
import hashlib
import http.server
import subprocess
import threading

import pytest
import requests
import yaml
from proxmoxer import ResourceException

from lab import daemons, lab_dir, secret
from lab.images import faults as site_faults
from lab.proxmox import accounts, faults, volumes
from tests.helpers.proxmox import BASE, finished, wait_for

NAME = "debian12-20261102-1a2b3c4d.qcow2"
VOLUME = f"local:import/{NAME}"


@pytest.fixture(scope="module")
def site(hypervisor):
    """A folder of images that is served in the lab's network: its path and its address."""
    folder = hypervisor / "site"
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder / "good.qcow2", "64M"], check=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("192.168.1.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield folder, f"http://192.168.1.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def rights(hypervisor):
    """The right to download, and no file that an earlier test left."""
    accounts.grant("/", ["Administrator"], secret("proxmox_token").partition("!")[0], None, True, False)
    yield
    for volid in volumes.of_storage("node01", "local"):
        if volumes.content(volid) == "import":
            volumes.path("node01", volid).unlink()


def sha256(file) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def brought(api, url, name=NAME, content="import", **more):
    """A download: how it ended, and its log."""
    upid = (
        api.nodes("node01")
        .storage("local")("download-url")
        .post(url=url, filename=name, content=content, **more)
    )
    return finished(api, upid), "\n".join(
        line["t"] for line in api.nodes("node01").tasks(upid).log.get(limit=500)
    )


def test_a_download_is_verified_and_not_done_twice(api, site):
    folder, address = site
    good = {"checksum": sha256(folder / "good.qcow2").upper(), "checksum-algorithm": "sha256"}
    result, log = brought(api, f"{address}/good.qcow2", **good)
    assert result == "OK"
    assert "100%" in log and "calculating checksum...OK, checksum verified\n" in log
    assert volumes.path("node01", VOLUME).read_bytes() == (folder / "good.qcow2").read_bytes()
    found = api.nodes("node01").storage("local").content.get(content="import")
    assert [(item["volid"], item["format"]) for item in found] == [(VOLUME, "qcow2")]
    # Once it is there, the site may be gone.
    result, log = brought(api, "http://192.168.1.1:1/good.qcow2", **good)
    assert (result, log.splitlines()[1:]) == (
        "OK",
        [
            "calculating checksum of existing file...OK, got correct file already, no need to download",
            "TASK OK",
        ],
    )
    wrong = {"checksum": "0" * 64, "checksum-algorithm": "sha256"}
    result, _ = brought(api, f"{address}/good.qcow2", **wrong)
    assert result == f"checksum mismatch: got '{good['checksum'].lower()}' != expect '{'0' * 64}', aborting"
    result, _ = brought(api, f"{address}/good.qcow2")
    assert result == f"refusing to override existing file '{volumes.path('node01', VOLUME)}'"
    assert volumes.path("node01", VOLUME).read_bytes() == (folder / "good.qcow2").read_bytes()


def test_a_download_that_fails_leaves_nothing(api, site):
    folder, address = site
    sums = {"checksum": "0" * 64, "checksum-algorithm": "sha256"}
    result, _ = brought(api, f"{address}/good.qcow2", **sums)
    assert result == f"checksum mismatch: got '{sha256(folder / 'good.qcow2')}' != expect '{'0' * 64}'"
    result, log = brought(api, f"{address}/missing.qcow2")
    assert result == "download failed: exit code 8" and "ERROR 404: File not found." in log
    with faults.injected({"full": "local"}):
        result, _ = brought(api, f"{address}/good.qcow2")
    assert result.startswith("download failed: ") and "No space left on device" in result
    (folder / "text.qcow2").write_text("<html>not an image</html>")
    result, _ = brought(api, f"{address}/text.qcow2")
    assert result.startswith("failed to verify file: ") and "Image is not in qcow2 format" in result
    for name, option, words in (
        (
            "backed",
            "backing_file=/etc/passwd,backing_fmt=raw",
            "backing file not allowed for untrusted image",
        ),
        ("external", "data_file=/tmp/data", "'data-file' references are not allowed!"),
    ):
        subprocess.run(
            ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o", option, folder / f"{name}.qcow2", "64M"],
            check=True,
        )
        result, _ = brought(api, f"{address}/{name}.qcow2")
        assert result.startswith("failed to verify file: ") and words in result, name
    result, _ = brought(api, f"{address}/good.qcow2", compression="gz")
    assert result == "decompression not supported for import"
    assert not list(volumes.path("node01", VOLUME).parent.iterdir())


def test_a_compressed_iso_is_unpacked(api, site):
    folder, address = site
    (folder / "tools.iso.gz").write_bytes(
        subprocess.run(["gzip"], input=bytes(5000), capture_output=True).stdout
    )
    assert brought(api, f"{address}/tools.iso.gz", "my tools.iso", "iso", compression="gz")[0] == "OK"
    assert volumes.path("node01", "local:iso/my_tools.iso").read_bytes() == bytes(5000)


def test_the_labs_site(api, session):
    """Over HTTPS with a certificate of the lab's CA, and with all that can go wrong on the way."""
    daemons.up(["images"])
    folder, bundle = lab_dir() / "images", str(lab_dir() / "tls/bundle.pem")
    entry = yaml.safe_load((folder / "images.yml").read_text())["debian12"]
    url, sums = entry["url"], requests.get(entry["checksums"], verify=bundle, timeout=60).text
    (wanted,) = (line.split()[0] for line in sums.splitlines() if line.endswith(f" {url.rpartition('/')[2]}"))
    good = {"checksum": wanted, "checksum-algorithm": "sha512"}
    about = session.get(f"{BASE}/nodes/node01/query-url-metadata", params={"url": url}).json()["data"]
    assert about["size"] > 50 << 20
    with site_faults.injected(folder, {"certificate": "unknown"}):
        result, _ = brought(api, url, **good)
        assert (
            result == "download failed: ERROR: The certificate of '192.168.1.1' doesn't have a known issuer."
        )
        answer = session.get(f"{BASE}/nodes/node01/query-url-metadata", params={"url": url})
        assert answer.reason.startswith("invalid server response: '500 Can't connect to 192.168.1.1")
        assert brought(api, url, **good, **{"verify-certificates": 0})[0] == "OK"
    for fault, shown in (
        ({"match": "latest", "moved": "http://192.168.1.1" + url.removeprefix("https://192.168.1.1").replace(
            "latest/debian-12-generic-amd64", "20261102-2267/debian-12-generic-amd64-20261102-2267")}, "302 Found"),
        ({"match": "latest", "cut": 40 << 20, "times": 1}, "206 Partial Content"),
        ({"match": "latest", "rate": 200 << 20}, "100%"),
    ):  # fmt: skip
        volumes.path("node01", VOLUME).unlink()
        with site_faults.injected(folder, fault):
            result, log = brought(api, url, **good)
        assert (result, shown in log) == ("OK", True), log
    assert "calculating checksum...OK, checksum verified" in log
    volumes.path("node01", VOLUME).unlink()
    with faults.injected({"full": "local", "at": 50}):
        result, log = brought(api, url, **good)
    assert result.startswith("download failed: Cannot write to ") and "No space left on device" in result
    assert not list(volumes.path("node01", VOLUME).parent.iterdir())


@pytest.mark.parametrize(
    ("storage", "options", "status", "words"),
    [
        ("local", {"filename": "a.img"}, 400, {"filename": "invalid filename or wrong extension"}),
        ("local", {"filename": "a.ovf"}, 400, {"filename": "invalid filename or wrong extension"}),
        ("local", {"filename": ".qcow2"}, 400, {"filename": "invalid filename or wrong extension"}),
        ("local", {"filename": "a.qcow2", "content": "iso"}, 400, {"filename": "wrong file extension"}),
        ("local", {"filename": f"{'a' * 250}.qcow2"}, 400, {"filename": "value may only be 255 characters long"}),
        ("local", {"url": "file:///etc/passwd"}, 400, {"url": "value does not match the regex pattern"}),
        ("local", {"checksum": "00"}, 400, {"checksum-algorithm": "missing property required by 'checksum'"}),
        ("local", {"compression": "xz"}, 400,
         {"compression": "value 'xz' does not have a value in the enumeration 'gz, lzo, zst, bz2'"}),
        ("local", {"decompress": 1}, 400, {"decompress": "property is not defined in schema and the schema "
                                                         "does not allow additional properties"}),
        ("local-lvm", {}, 500, "can't upload to storage type 'lvmthin', not a file based storage!"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_is_fetched(session, site, storage, options, status, words):
    asked = {"url": f"{site[1]}/good.qcow2", "filename": NAME, "content": "import"} | options
    answer = session.post(f"{BASE}/nodes/node01/storage/{storage}/download-url", data=asked)
    assert answer.status_code == status
    assert (answer.json()["errors"] if status == 400 else answer.reason) == words


def test_rights(session, site):
    user = secret("proxmox_token").partition("!")[0]
    call = f"{BASE}/nodes/node01/storage/local/download-url"
    asked = {"url": f"{site[1]}/good.qcow2", "filename": NAME, "content": "import"}

    def may(privileges: str) -> str:
        name = privileges.replace(".", "").replace(" ", "")
        accounts.add_role(name, privileges)
        accounts.grant("/", [name], user, None, True, False)
        answer = session.post(call, data=asked)
        accounts.grant("/", [name], user, None, True, True)
        return answer.reason

    accounts.grant("/", ["Administrator", "GitOps"], user, None, True, True)
    assert may("Sys.Audit") == "Permission check failed (/storage/local, Datastore.AllocateTemplate)"
    assert may("Datastore.AllocateTemplate") == "Permission check failed"
    assert may("Datastore.AllocateTemplate Sys.Modify") == "Permission check failed"
    assert may("Datastore.AllocateTemplate Sys.Modify Sys.Audit") == "OK"
    assert may("Datastore.AllocateTemplate Sys.AccessNetwork") == "OK"
    accounts.grant("/", ["GitOps"], user, None, True, False)


def test_metadata_of_an_address(session, site):
    folder, address = site
    answer = session.get(f"{BASE}/nodes/node01/query-url-metadata", params={"url": f"{address}/good.qcow2"})
    size = (folder / "good.qcow2").stat().st_size
    assert answer.json()["data"] == {
        "filename": "good.qcow2", "size": size, "mimetype": "application/octet-stream",
    }  # fmt: skip
    answer = session.get(f"{BASE}/nodes/node01/query-url-metadata", params={"url": f"{address}/missing"})
    assert answer.reason == "invalid server response: '404 File not found'"


def test_an_upload_overwrites(api, site):
    folder, _ = site
    storage = api.nodes("node01").storage("local")
    for virtual in ("64M", "128M"):
        file = folder / NAME
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", file, virtual], check=True)
        sums = {"checksum": sha256(file), "checksum-algorithm": "sha256"}
        with file.open("rb") as stream:
            assert finished(api, storage.upload.post(content="import", filename=stream, **sums)) == "OK"
        assert volumes.path("node01", VOLUME).read_bytes() == file.read_bytes()
    with file.open("rb") as stream:
        result = finished(api, storage.upload.post(
            content="import", filename=stream, **sums | {"checksum": "0" * 64}
        ))  # fmt: skip
    assert result.startswith("checksum mismatch: got ")
    with file.open("rb") as stream, pytest.raises(ResourceException, match="wrong file extension"):
        storage.upload.post(content="iso", filename=stream)
    assert not list((volumes.state.root() / "uploads").iterdir())


def test_a_download_can_be_stopped(api, site):
    folder, address = site
    pipe = folder / "endless.qcow2"
    with pipe.open("wb") as stream:
        stream.truncate(64 << 30)
    upid = (
        api.nodes("node01")
        .storage("local")("download-url")
        .post(url=f"{address}/endless.qcow2", filename=NAME, content="import")
    )
    place = volumes.path("node01", VOLUME).parent
    wait_for(lambda: place.exists() and list(place.iterdir()))
    assert api.nodes("node01").storage("local").content.get(content="import") == []
    api.nodes("node01").tasks(upid).delete()
    assert finished(api, upid) == "received interrupt"
    assert not list(place.iterdir())
