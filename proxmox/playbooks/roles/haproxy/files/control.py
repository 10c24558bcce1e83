#!/usr/bin/env python3
"""What the role haproxy asks of the HAProxy that runs on this machine, over its socket.

    control.py reload CONFIG SOCKET STATE SECONDS COMMAND…
        have it read CONFIG, if it has not yet; COMMAND asks it to, and the new process has these SECONDS to come up;
        then what `servers` prints
    control.py servers SOCKET
        a line for each server: back end, server, state, last check

`reload` prints "reloaded" when there was something to read. What is known of the servers is kept in STATE for the new
process, which would take each for up until its first check: the state of those whose address and port are the same
in CONFIG, because what STATE says of a server outranks CONFIG. Afterwards STATE is empty again: at a start much later
it would be old. Exit codes: 1 when the new process did not come up, and the old one still serves.

It runs on the machine, so it needs nothing but Python and its standard library.
"""

import csv
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EMPTY = "1\n"  # the version of the format, and no server


def ask(path: str, command: str) -> str | None:
    """HAProxy's answer, or None when nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
    except OSError:
        return None


def worker(path: str) -> int | None:
    """The process that takes new connections."""
    lines = (ask(path, "show info") or "").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pid: ")), None)


def age(pid: int) -> float:
    """Seconds since a process began."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def kept(state: str, config: str) -> str:
    """Those lines of `show servers state` whose server has the same address and port in a configuration."""
    servers, backend = set(), ""
    for words in map(str.split, config.splitlines()):
        if words[:1] == ["backend"]:
            backend = words[1]
        elif words[:1] == ["server"]:
            address, _, port = words[2].rpartition(":")
            servers.add((backend, words[1], address.strip("[]"), port))
    lines = [line.split() for line in state.splitlines()[1:] if line and not line.startswith("#")]
    same = [one for one in lines if len(one) > 18 and (one[1], one[3], one[4], one[18]) in servers]
    header = state.splitlines()[1:2]
    return "\n".join([EMPTY.strip(), *header, *map(" ".join, same)]) + "\n"


def write(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


def reload(config: Path, path: str, state: Path, seconds: float, command: list[str]) -> int:
    before = worker(path)
    if before and age(before) <= time.time() - config.stat().st_mtime:
        if not state.exists():  # the next start would warn of that
            write(state, EMPTY)
        return 0
    write(state, kept(ask(path, "show servers state") or "", config.read_text("utf-8")))
    asked = subprocess.run(command, capture_output=True, encoding="utf-8")
    end = time.monotonic() + seconds
    while asked.returncode == 0 and time.monotonic() < end:
        if worker(path) not in (None, before):
            write(state, EMPTY)
            print("reloaded")
            return 0
        time.sleep(0.1)
    write(state, EMPTY)
    print(asked.stderr or f"no new process within {seconds:.0f} s", file=sys.stderr)
    return 1


def servers(path: str) -> int:
    """Waits a little for the first check of each."""
    for _ in range(50):
        text = (ask(path, "show stat") or "").removeprefix("# ")
        found = [
            row for row in csv.DictReader(text.splitlines()) if row["svname"] not in ("FRONTEND", "BACKEND")
        ]
        if all(row["check_status"] != "INI" for row in found):
            break
        time.sleep(0.1)
    for row in found:
        print(row["pxname"], row["svname"], row["status"], row["check_status"], row.get("last_chk", ""))
    return 0


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "servers":
        raise SystemExit(servers(*given))
    config, path, state, seconds, *command = given
    raise SystemExit(reload(Path(config), path, Path(state), float(seconds), command) or servers(path))
