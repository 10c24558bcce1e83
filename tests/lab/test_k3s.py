"""The lab's stand-in for get.k3s.io and K3s' releases: what is handed out, and which settings and flags it refuses."""

import hashlib
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import builds
from lab.k3s import releases
from lab.k3s.__main__ import HERE, handler_of, main

STABLE = "v1.34.4+k3s1"


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A server on a free port that hands out small files instead of the programs."""
    folder = tmp_path_factory.mktemp("k3s")
    files = {name: folder / name for name in ("k3s", *releases.PARTS)}
    for name, path in files.items():
        path.write_text(f"#!/bin/sh\necho {name}\n")
    handler = handler_of(files.pop("k3s"), files)
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def k3s(tmp_path_factory) -> Path:
    """The real stand-in as it is handed out."""
    builds.build(builds.find("k3s"))
    made = tmp_path_factory.mktemp("built") / "k3s"
    release = releases.release(releases.program(), {}, STABLE, "http://127.0.0.1:1")
    made.write_bytes(release.program.read_bytes() + release.end)
    made.chmod(0o755)
    return made


def get(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
        return answer.read()


def run(*argv: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, **options)


def test_the_script_names_the_address_it_came_from(url: str):
    script = get(f"{url}/install.sh").decode()
    assert f"GITHUB_URL:-{url}/k3s-io/k3s/releases}}" in script
    assert "@BASE_URL@" not in script
    assert get(f"{url}/install.sh.sha256").decode() == hashlib.sha256(script.encode()).hexdigest()


@pytest.mark.parametrize("version", releases.VERSIONS)
def test_a_release_fits_its_checksum_and_knows_itself(url: str, version: str):
    folder = f"{url}/k3s-io/k3s/releases/download/{version}"
    program = get(f"{folder}/k3s")
    assert get(f"{folder}/sha256sum-amd64.txt").decode() == f"{hashlib.sha256(program).hexdigest()}  k3s\n"
    assert f"\nVERSION='{version}'\nFROM='{url}'\n".encode() in program
    part = get(f"{url}/parts/kube-apiserver")
    assert f"\nPART_kube-apiserver='{hashlib.sha256(part).hexdigest()}'\n".encode() in program
    assert get(f"{folder.replace('+', '%2B')}/k3s", "HEAD") == b""


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/parts/k3s", "/parts/../install.sh", "/k3s", "/v1-release/channels/v1.12",
             "/k3s-io/k3s/releases/download/v1.34.9+k3s1/k3s", f"/k3s-io/k3s/releases/download/{STABLE}/k3s-arm64"],
)  # fmt: skip
def test_nothing_else(url: str, path: str):
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        get(url + path)
    error.value.close()


@pytest.mark.parametrize(
    ("channel", "version"), [("stable", STABLE), ("latest", STABLE), ("v1.35", "v1.35.0+k3s3")]
)
def test_a_channel_leads_to_a_release(url: str, channel: str, version: str):
    with urllib.request.urlopen(f"{url}/v1-release/channels/{channel}") as answer:
        assert answer.url.rsplit("/", 1)[1] == version


def test_shellcheck():
    done = run("shellcheck", "--shell=sh", HERE / "install.sh")
    assert done.returncode == 0, done.stdout


ARGUMENTS = [
    ("server", "", ""),
    ("server", "--tls-san=192.168.1.20 --tls-san k8s-dev --default-local-storage-path=/mnt/storage", ""),
    ("server", "--disable=traefik --disable servicelb --cluster-init", ""),
    ("agent", "--server=https://192.168.1.20:6443 --token-file /etc/token --node-label=a=b", ""),
    ("agent", "--cluster-init", "flag provided but not defined: --cluster-init"),
    ("server", "--tls-sans=192.168.1.20", "flag provided but not defined: --tls-sans"),
    ("server", "--default-local-storage=/mnt/storage", "flag provided but not defined: --default-local-storage"),
    ("server", "--tls-san", "flag needs an argument: --tls-san"),
    ("server", "--tls-san=", "flag needs an argument: --tls-san"),
    ("server", "traefik", "flag provided but not defined: traefik"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "arguments", "said"), ARGUMENTS)
def test_flags(k3s: Path, command: str, arguments: str, said: str):
    done = run(k3s, "check-arguments", command, *arguments.split())
    assert (done.returncode, said in done.stderr) == (bool(said), True), done.stderr


SETTINGS = [
    ({"INSTALL_K3S_VERSION": "1.34.4"}, "no K3s release is called 1.34.4; did you mean v"),
    ({"INSTALL_K3S_VERSION": "latest"}, "no K3s release is called latest"),
    ({"INSTALL_K3S_EXCE": "server"}, "the stand-in does not know INSTALL_K3S_EXCE"),
    ({"K3S_URL": "https://192.168.1.20:6443"}, "K3S_URL is defined, but K3S_TOKEN or K3S_TOKEN_FILE is not"),
    ({"K3S_URL": "192.168.1.20", "K3S_TOKEN": "x"}, "Only https:// URLs are supported for K3S_URL (have 192.168.1.20)"),
    ({"INSTALL_K3S_EXEC": "etcd"}, "the stand-in has no command etcd"),
    ({"INSTALL_K3S_SKIP_DOWNLOAD": "true", "INSTALL_K3S_BIN_DIR": "/no"}, "Executable k3s binary not found at /no/k3s"),
]  # fmt: skip


@pytest.mark.parametrize(("env", "said"), SETTINGS)
def test_settings_are_refused(env: dict[str, str], said: str, url: str, tmp_path: Path):
    # With these programs alone the script can read its settings, but write nothing.
    for program in ("id", "env", "sed", "grep", "sha256sum"):
        (tmp_path / program).symlink_to(shutil.which(program))
    script = get(f"{url}/install.sh").decode()
    done = run("/bin/sh", "-s", input=script, env={"PATH": str(tmp_path), **env})
    assert done.returncode == 1
    assert said in done.stderr


def test_says_what_it_is(k3s: Path, tmp_path: Path):
    assert run(k3s, "--version").stdout == f"k3s version {STABLE} (stand-in)\n"
    other = tmp_path / "k3s"
    shutil.copy2(k3s, other)
    run("sed", "-i", "s/^VERSION=.*/VERSION='v1.40.0+k3s1'/", other)
    assert run(other, "--version").stdout.startswith("k3s version v1.40.0+k3s1 ")
    assert run(releases.program(), "--version").stdout.startswith("k3s version unknown ")


def test_a_missing_program_or_address_is_said(tmp_path: Path, capsys, monkeypatch):
    assert main(["--k3s", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err
    monkeypatch.setattr(releases, "parts", dict)
    assert main(["--bind", "192.0.2.1", "--k3s", __file__]) == 2
    assert "cannot listen on 192.0.2.1:8080" in capsys.readouterr().err
