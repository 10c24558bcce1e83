"""One apply at a time: from choosing VMIDs to the end of the apply, over all runners."""

import contextlib
import fcntl
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fleet.findings import Fault
from fleet.settings import NO_CONNECTION

KEY = 0x70726F786D6F78  # "proxmox"; advisory locks of PostgreSQL are numbers


def key(name: str) -> int:
    """The number of another lock than Proxmox's, by what it is of."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def holder() -> str:
    """Who this process is, for the one who waits for it."""
    run = os.environ.get("GITHUB_RUN_ID")
    return f"proxmox-gitops {socket.gethostname()}:{os.getpid()}" + (f" run {run}" if run else "")


@contextlib.contextmanager
def held(directory: Path, timeout: float, number: int = KEY) -> Iterator[None]:
    """Hold the lock: PostgreSQL's of this number when PG_CONN_STR is set, else one of the folder.

    Waits up to `timeout` seconds and says for whom. Both locks end with their process. Raises Fault (exit 2).
    """
    connection = os.environ.get("PG_CONN_STR")
    with _postgres(connection, timeout, number) if connection else _folder(directory, timeout):
        yield


@contextlib.contextmanager
def _postgres(connection: str, timeout: float, number: int) -> Iterator[None]:
    import psycopg

    try:
        parts = psycopg.conninfo.conninfo_to_dict(connection)
        if any("@" in str(parts.get(part)) for part in ("host", "dbname")):
            raise Fault(NO_CONNECTION, code=2)
    except psycopg.ProgrammingError:  # its words quote the password
        raise Fault(NO_CONNECTION, code=2) from None
    try:
        session = psycopg.connect(
            connection, autocommit=True, application_name=holder()[:63], connect_timeout=10
        )
    except psycopg.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Fault(f"no connection with the database that PG_CONN_STR names: {reason}", code=2) from error
    with session:

        def attempt() -> str | None:
            if session.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()[0]:
                return None
            return owner(session, number) or "a run that just ended"

        _wait(attempt, timeout)
        yield


def owner(session: Any, number: int) -> str | None:
    """Who holds PostgreSQL's lock of this number in the session's database; None where nobody does. Takes no lock."""
    row = session.execute(
        "SELECT application_name, client_addr, backend_start FROM pg_locks"
        " JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
        " AND granted AND (classid::bigint << 32) + objid::bigint = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [number],
    ).fetchone()
    return f"{row[0]} from {row[1] or 'here'}, since {row[2]:%H:%M:%S}" if row else None


@contextlib.contextmanager
def _folder(path: Path, timeout: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # the folder itself: nothing is left behind

    def attempt() -> str | None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return f"another run in {path}"
        return None

    try:
        _wait(attempt, timeout)
        yield
    finally:
        os.close(handle)


def _wait(attempt: Callable[[], str | None], timeout: float) -> None:
    until = time.monotonic() + timeout
    told = None
    while (owner := attempt()) is not None:
        if time.monotonic() > until:
            message = (
                f"the lock is held by {owner}, longer than {timeout:.0f} s; wait until that run has ended"
            )
            raise Fault(message, code=2)
        if owner != told:
            print(f"the lock is held by {owner}; waiting up to {timeout:.0f} s", file=sys.stderr, flush=True)
            told = owner
        time.sleep(1)
