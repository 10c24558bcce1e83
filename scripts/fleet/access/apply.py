"""The calls of a plan; a new secret is in `.env` before anything else is done, or its token is removed again."""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from fleet.access.plan import Change
from fleet.access.wanted import Token
from fleet.config import write
from fleet.findings import Fault
from fleet.paths import shown
from fleet.proxmox.client import Client

ROOM = b"#" * (64 << 10)  # far more than any `.env` has


def check_room(file: Path) -> None:
    """Raises Fault where the file cannot be replaced: known before an old secret is given up for a new one."""
    if not file.is_file():
        raise Fault("does not exist; `cp .env.example .env` makes one", shown(file), code=2)
    try:
        with tempfile.TemporaryFile(dir=file.resolve().parent) as probe:
            probe.write(ROOM)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        message = f"cannot be written ({error.strerror}), so no token is made: its secret would be lost"
        raise Fault(message, shown(file), code=2) from None


def run(client: Client, changes: Iterable[Change], file: Path, say: Callable[[str], None]) -> None:
    """Raises Fault at the first call that is refused; a second run goes on from there."""
    for change in changes:
        answer = getattr(client, change.method)(change.path, **change.fields)
        if change.makes:
            _keep(client, change, f"{change.makes.name}={answer['value']}", file)
        say(f"{change.subject}: done")


def _keep(client: Client, change: Change, secret: str, file: Path) -> None:
    """Nobody can read this secret again: a token whose secret is not written down is removed."""
    token: Token = change.makes
    try:
        write.set_value(file, token.variable, secret)
    except BaseException as error:
        try:
            client.delete(change.path)
            became = "was removed again"
        except Fault as fault:
            owner, _, name = token.name.partition("!")
            became = f"has to be removed by hand (`pveum user token delete {owner} {name}`; {fault})"
        if isinstance(error, Fault):
            reason = f"because its secret cannot be kept: {error.finding.text()}"
            raise Fault(
                f"{token.name} {became}, {reason}; mend that, then run this again", code=error.code
            ) from None
        raise
