"""One deployment or clean-up at a time: a file beside the configuration says which process works on its machines.

It counts for as long as that process lives. So a run that was killed holds nobody up, and nothing has to be removed.
"""

import fcntl
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from fleet.findings import Fault


def take(config: Path, pid: int, what: str) -> None:
    """Write down that the process `pid` does `what`. Raises Fault, with who it is, where another one works."""
    file = config.with_name(f".{config.name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # while it is read and written
        stream.seek(0)
        other = _read(stream.read())
        if other and other["pid"] != pid and other["began"] == _began(int(other["pid"])):
            raise Fault(
                f"`{other['what']}` works on these machines, as process {other['pid']} since {other['since']}; wait"
                " until it has ended, then run this again"
            )
        stream.truncate(0)
        now = time.strftime("%H:%M:%S")
        json.dump({"pid": pid, "began": _began(pid), "what": what, "since": now}, stream)


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if {"pid", "began", "what", "since"} <= found.keys() else {}


def _began(pid: int) -> str:
    """When a process began, which with its number names it for ever; "" where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        # The second field, the name, may contain spaces and brackets.
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self").exists():
        return ""
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, encoding="utf-8", check=False
    )
    return shown.stdout.strip()
