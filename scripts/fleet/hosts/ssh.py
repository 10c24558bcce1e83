"""OpenSSH's commands: host keys read, a command run on a machine, the private key of the environment."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from fleet import processes
from fleet.files import temporary
from fleet.findings import Fault
from fleet.hosts.known_hosts import Keys, place_of


class Target(NamedTuple):
    name: str
    address: str
    port: int = 22
    user: str = ""
    instance: str = ""  # cloud-init's, as the inventory has it
    key_file: str = ""
    connection: str = (
        "ssh"  # or another of Ansible's, or "talos" for a machine that is played over its own API
    )

    @property
    def place(self) -> str:
        return place_of(self.address, self.port)


def keyscan(target: Target, timeout: int = 5) -> Keys:
    """The host keys that a machine shows now; empty when nothing answers within `timeout` seconds."""
    try:
        socket.create_connection((target.address, target.port), timeout).close()  # cheaper while it boots
    except OSError:
        return {}
    kinds = "ed25519,ecdsa,rsa"
    command = ["ssh-keyscan", "-T", str(timeout), "-t", kinds, "-p", str(target.port), "--", target.address]
    try:
        done = processes.answer(command, timeout * 4)
    except (subprocess.TimeoutExpired, processes.Endless):
        return {}
    except FileNotFoundError:
        raise Fault("ssh-keyscan is not installed (Debian: openssh-client)", code=2) from None
    lines = (line.split() for line in done.stdout.splitlines() if not line.startswith("#"))
    return {fields[1]: fields[2] for fields in lines if len(fields) >= 3}


def run(
    target: Target, remote: str, keys: Keys, key_file: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine that must show one of `keys`; the end of what it prints.

    Raises subprocess.TimeoutExpired and processes.Endless.
    """
    with temporary("known_hosts-") as folder:
        known = folder / "known_hosts"
        known.write_text("".join(f"{target.place} {kind} {key}\n" for kind, key in keys.items()), "utf-8")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": os.devnull,
            "UpdateHostKeys": "no",
            "ControlPath": "none",
        }
        command = ["ssh", "-n", "-T", "-p", str(target.port)]
        command += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        command += ["-i", target.key_file or key_file] if target.key_file or key_file else []
        command += ["-l", target.user] if target.user else []
        command += ["--", target.address, remote]
        return processes.answer(command, max(timeout, 1))


@contextlib.contextmanager
def private_key() -> Iterator[str]:
    """The path of the key to log in with, "" for OpenSSH's own choice (agent, ~/.ssh).

    SSH_PRIVATE_KEY, the key itself, is put into a file that only this user can read, taken out of the
    environment so that no child inherits it, and removed at the end; else ANSIBLE_PRIVATE_KEY_FILE counts.
    """
    text = os.environ.pop("SSH_PRIVATE_KEY", "")
    if not text.strip():
        yield os.environ.get("ANSIBLE_PRIVATE_KEY_FILE", "")
        return
    with temporary("ssh-") as folder:
        file = folder / "key"
        file.touch(mode=0o600)
        # Secrets pasted into a form lose the last newline, or come with CR; OpenSSH takes neither.
        file.write_text("\n".join(text.split("\r\n")).strip() + "\n", "utf-8")
        yield str(file)
