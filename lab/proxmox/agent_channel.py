"""The way to the guest agent inside a machine: a unix socket in place of QEMU's virtio port."""

import json
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import Any

from lab.proxmox import state
from lab.proxmox.errors import ApiError

SOCKET = "qga.sock"
# Debian's own unit waits for a virtio port, which a container has none of; this one takes its place in a machine whose
# `agent` is on. Where the agent is not installed, it does nothing.
UNIT = f"""\
[Unit]
Description=QEMU Guest Agent
ConditionPathExists=/usr/sbin/qemu-ga

[Service]
ExecStart=/usr/sbin/qemu-ga --method=unix-listen --path=/run/guest-agent/{SOCKET}
Restart=always
RestartSec=0
"""


def folder(vmid: int) -> Path:
    """Where the agent's socket is, seen from outside."""
    return state.root() / "run" / str(vmid) / "agent"


def write_unit(units: Path) -> None:
    """Lay out what the machine has in /run/systemd/system when it starts."""
    shutil.rmtree(units, ignore_errors=True)
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    (units / "qemu-guest-agent.service").write_text(UNIT)
    (wanted / "qemu-guest-agent.service").symlink_to("../qemu-guest-agent.service")


def ask(vmid: int, command: str) -> Any:
    """The agent's answer, after both sides agreed where it begins, as QEMU's protocol wants it."""
    number = secrets.randbelow(1 << 31)
    place = os.open(folder(vmid), os.O_PATH) if folder(vmid).exists() else None
    try:
        with state.locked(f"agent-{vmid}"), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(3)
            # By way of the open folder, whose own path may be longer than the 108 bytes of a socket's.
            connection.connect(f"/proc/self/fd/{place}/{SOCKET}")
            with connection.makefile("rw") as stream:
                _say(stream, "guest-sync", {"id": number})
                while _heard(stream).get("return") != number:
                    pass
                _say(stream, command)
                answer = _heard(stream)
    except (OSError, ValueError):
        raise ApiError("QEMU guest agent is not running") from None
    finally:
        if place is not None:
            os.close(place)
    if "error" in answer:
        raise ApiError(f"Agent error: {answer['error']['desc']}")
    return answer["return"]


def _say(stream, command: str, arguments: dict | None = None) -> None:
    stream.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
    stream.flush()


def _heard(stream) -> dict:
    if not (line := stream.readline()):
        raise OSError("the agent hung up")
    return json.loads(line)
