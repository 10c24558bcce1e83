"""Snippets on the nodes themselves, by SSH: the one thing that Proxmox's API cannot do.

Three commands reach a node: one that reads the checksum of a file gitops-NAME-vendor.yaml, one that writes it from
standard input, one that removes it. Nothing in them has a meaning to the node's shell, as folder and name have none.
"""

import os
import subprocess

from fleet import paths
from fleet.findings import Fault, cut, printable
from fleet.hosts import ssh
from fleet.snippets.settings import Settings

SECONDS = 60
KNOWN = "~/.ssh/known_hosts"


def checksum(settings: Settings, node: str, file: str) -> str:
    """The SHA-256 of what is there; "" without the file."""
    path = f"{settings.folder}/{file}"
    return _run(settings, node, f"if test -e {path}; then sha256sum {path}; fi").partition(" ")[0]


def write(settings: Settings, node: str, file: str, data: bytes) -> None:
    path = f"{settings.folder}/{file}"
    # A machine that starts meanwhile must see the old file or the new one.
    _run(settings, node, f"tee {path}.new >/dev/null && mv -f {path}.new {path}", data)


def remove(settings: Settings, node: str, file: str) -> None:
    path = f"{settings.folder}/{file}"
    _run(settings, node, f"rm -f {path} {path}.new")


def _run(settings: Settings, node: str, remote: str, data: bytes = b"") -> str:
    """What a command on a node printed, whose host key must be known."""
    if node not in settings.hosts:
        raise Fault(f"PROXMOX_SSH_HOSTS lacks {node}: add {node}=ADDRESS")
    address, port = settings.hosts[node]
    who = f"{settings.user}@{address}"
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{paths.KNOWN_HOSTS}" {KNOWN}',
        "UpdateHostKeys": "no",
        "ControlPath": "none",
    }
    command = ["ssh", "-T", "-p", port, "-l", settings.user]
    command += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    with ssh.private_key() as key:
        command += ["-i", key] if key else []
        try:
            done = subprocess.run(
                [*command, "--", address, remote],
                input=data,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise Fault("ssh is not installed (Debian: openssh-client)", code=2) from None
        except subprocess.TimeoutExpired:
            raise Fault(f"{node} ({who}) did not end a command by SSH within {SECONDS} s", code=2) from None
    if done.returncode == 0:
        return done.stdout.decode(errors="replace").strip()
    lines = [printable(line) for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    said = cut(lines[-1]) if lines else f"it ended with {done.returncode}"
    if done.returncode != 255:
        raise Fault(f"{node}: {who} cannot write to {settings.folder}: {said}")
    if any("Host key verification failed" in line for line in lines):
        place = f"-p {port} {address}" if port != "22" else address
        record = os.path.relpath(paths.KNOWN_HOSTS, paths.ROOT)
        raise Fault(f"the host key of {node} ({address}) is not known, or has changed: compare it at the node, and then"
                    f" `ssh-keyscan {place} >>{record}`", code=2)  # fmt: skip
    if any("Permission denied" in line for line in lines):
        raise Fault(f"{node} lets {who} not in: `ssh-copy-id {who}`, or see PROXMOX_SSH_USER", code=2)
    raise Fault(f"{node} ({who}) is out of reach by SSH: {said}", code=2)
