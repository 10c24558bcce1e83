"""A real OpenSSH server for the tests, with host keys and a `cloud-init` of its own; usually on loopback."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARIES = "usr/lib/x86_64-linux-gnu"


class Server:
    """One sshd: `port`, `key_file` to log in with, and `cloud_init`, the script that stands for it."""

    def __init__(self, folder: Path, port: int = 0, address: str = "127.0.0.1"):
        self.folder, self.port, self.address = folder, port or free_port(), address
        self.key_file, self.cloud_init = folder / "login", folder / "bin" / "cloud-init"
        self.cloud_init.parent.mkdir(parents=True)
        self.says("status: done")
        keygen(self.key_file)
        self.new_host_keys()
        self.process: subprocess.Popen | None = None

    def says(self, text: str, code: int = 0, after: float = 0) -> None:
        """What `cloud-init status` prints in this machine."""
        self.cloud_init.write_text(f"#!/bin/sh\nsleep {after}\ncat <<'.'\n{text}\n.\nexit {code}\n")
        self.cloud_init.chmod(0o755)

    def new_host_keys(self) -> None:
        (self.folder / "host").unlink(missing_ok=True)
        keygen(self.folder / "host")

    @property
    def host_key(self) -> str:
        return (self.folder / "host.pub").read_text().split()[1]

    def variables(self) -> str:
        login = f"ansible_user={getpass.getuser()} ansible_private_key_file={self.key_file}"
        return f"ansible_host={self.address} ansible_port={self.port} {login}"

    def start(self) -> "Server":
        options = {
            "Port": self.port,
            "ListenAddress": self.address,
            "HostKey": self.folder / "host",
            "AuthorizedKeysFile": self.folder / "login.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "SetEnv": f"PATH={self.cloud_init.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "Subsystem": "sftp internal-sftp",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        binary, environment = sshd()
        command = [binary, "-D", "-e", "-f", str(config)]
        if os.getuid() == 0:  # as root it wants a user and a folder: it has them in a mount namespace
            passwd = self.folder / "passwd"
            passwd.write_text(Path("/etc/passwd").read_text() + "sshd:x:65533:65534::/run/sshd:/bin/false\n")
            inside = 'mount --bind "$0" /etc/passwd && mount -t tmpfs run /run && mkdir -m 755 /run/sshd'
            command = ["unshare", "-m", "sh", "-c", f'{inside} && exec "$@"', str(passwd), *command]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, self.port), 1).close()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def keygen(file: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)]
    subprocess.run(command, check=True, input="", text=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def sshd() -> tuple[str, dict[str, str]]:
    """The server's path and environment: the machine's own, else Debian's package, only unpacked."""
    if found := shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"):
        return found, dict(os.environ)
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    cache = Path(os.environ.get("PROXMOX_GITOPS_CACHE", home / "proxmox-gitops"))
    unpacked = cache / "sshd"
    if not unpacked.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            packages = ["openssh-server", "libwrap0"]
            done = subprocess.run(["apt-get", "download", "-q", *packages], cwd=folder, capture_output=True)
            if done.returncode:
                pytest.skip("no sshd on this machine, and its package cannot be had")
            for package in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(package), f"{folder}/root"], check=True)
            with contextlib.suppress(OSError):  # another test run was faster
                Path(folder, "root").rename(unpacked)
    return str(unpacked / "usr/sbin/sshd"), os.environ | {"LD_LIBRARY_PATH": str(unpacked / LIBRARIES)}


@contextlib.contextmanager
def servers(folder: Path, count: int) -> Iterator[list[Server]]:
    made = [Server(folder / f"sshd{number}") for number in range(count)]
    try:
        for server in made:
            server.start()
        yield made
    finally:
        for server in made:
            server.stop()
