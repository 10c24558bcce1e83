"""The lab's stand-in for get.k3s.io: what is handed out, and which settings it refuses."""

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

from lab.k3s.__main__ import HERE, handler_of, main, version


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A server on a free port that hands out small files instead of the programs."""
    folder = tmp_path_factory.mktemp("k3s")
    files = {"install.sh": HERE / "install.sh", "k3s": HERE / "k3s"}
    for name in ("kube-apiserver", "etcd"):
        files[name] = folder / name
        files[name].write_text(f"#!/bin/sh\necho {name}\n")
    handler = handler_of(files)
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
        return answer.read()


def test_the_script_names_the_address_it_came_from(url: str):
    script = get(f"{url}/install.sh").decode()
    assert f"BASE_URL='{url}'" in script
    assert f"APISERVER_VERSION='{version()}'" in script
    assert "@" not in "".join(line for line in script.splitlines() if line.startswith(("BASE", "API")))


def test_files_and_checksums(url: str):
    for name in ("k3s", "etcd", "kube-apiserver"):
        assert get(f"{url}/{name}.sha256").decode() == hashlib.sha256(get(f"{url}/{name}")).hexdigest()
    assert get(f"{url}/etcd", "HEAD") == b""
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        get(f"{url}/../../etc/passwd")
    error.value.close()


@pytest.mark.parametrize("file", ["install.sh", "k3s"])
def test_shellcheck(file: str):
    done = subprocess.run(["shellcheck", "--shell=sh", str(HERE / file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


ARGUMENTS = [
    ("", 0, ""),
    ("--tls-san=192.168.1.20 --tls-san k8s-dev --default-local-storage-path=/mnt/storage", 0, ""),
    ("--disable=traefik --disable servicelb --cluster-init", 0, ""),
    ("--tls-sans=192.168.1.20", 1, "flag provided but not defined: --tls-sans"),
    ("--default-local-storage=/mnt/storage", 1, "flag provided but not defined: --default-local-storage"),
    ("--tls-san", 1, "flag needs an argument: --tls-san"),
    ("--tls-san=", 1, "flag needs an argument: --tls-san"),
    ("traefik", 1, "flag provided but not defined: traefik"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), ARGUMENTS)
def test_flags(arguments: str, code: int, said: str):
    argv = ["sh", str(HERE / "k3s"), "check-arguments", "server", *arguments.split()]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


SETTINGS = [
    ({"INSTALL_K3S_VERSION": "1.34.4"}, "no K3s release is called 1.34.4; did you mean v"),
    ({"INSTALL_K3S_VERSION": "latest"}, "no K3s release is called latest"),
    ({"INSTALL_K3S_EXCE": "server"}, "the stand-in does not know INSTALL_K3S_EXCE"),
    ({"K3S_URL": "https://192.168.1.20:6443"}, "K3S_URL asks for an agent"),
    ({"INSTALL_K3S_EXEC": "agent"}, "the stand-in has no command agent"),
]


@pytest.mark.parametrize(("env", "said"), SETTINGS)
def test_settings_are_refused(env: dict[str, str], said: str, url: str, tmp_path: Path):
    # With these programs alone the script can read its settings, but write nothing.
    for program in ("id", "env", "sed", "grep"):
        (tmp_path / program).symlink_to(shutil.which(program))
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=get(f"{url}/install.sh"),
        env={"PATH": str(tmp_path), **env},
        capture_output=True,
    )
    assert done.returncode == 1
    assert said in done.stderr.decode()


def test_says_what_it_is():
    done = subprocess.run(["sh", str(HERE / "k3s"), "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("k3s version ")
    assert "stand-in" in done.stdout


def test_a_missing_program_or_address_is_said(tmp_path: Path, capsys):
    assert main(["--apiserver", str(tmp_path / "none"), "--etcd", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["--bind", "192.0.2.1", "--apiserver", __file__, "--etcd", __file__]) == 2
    assert "cannot listen on 192.0.2.1:8080" in capsys.readouterr().err
