"""The work of qemu-img: what an image is, and copies of it with their progress in the task's log."""

import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from lab.proxmox import faults
from lab.proxmox.errors import ApiError

PROGRESS = re.compile(r"\((\S+)/100%\)")


class Info(NamedTuple):
    size: int  # what a machine sees
    format: str
    used: int
    parent: str


def info(file: Path, kind: str | None, trusted: bool = True) -> Info:
    """What an image is; one that is not trusted must not refer to other files, which could be a node's own."""
    if not file.is_file():
        raise ApiError(f"failed to stat '{file}'")
    command = ["qemu-img", "info", "--output=json", "-U", str(file), *(["-f", kind] if kind else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ApiError(done.stderr.strip() or "failed to query file information with qemu-img")
    found = json.loads(done.stdout)
    if not trusted:
        data = found.get("format-specific", {}).get("data", {})
        if found["format"] == "qcow2" and data.get("data-file"):
            raise ApiError(f"{file}: 'data-file' references are not allowed!")
        if len(data.get("extents", [])) > 1 or len(found.get("children", [])) > 1:
            raise ApiError(f"{file}: multiple children or extents are not allowed!")
        if found.get("backing-filename"):
            raise ApiError(f"backing file not allowed for untrusted image '{file}'!")
    return Info(
        found["virtual-size"], found["format"], found["actual-size"], found.get("backing-filename", "")
    )


def convert(source: Path, kind: str, target: Path, size: int, storage: str) -> None:
    """Copy an image into the raw, empty file of a volume on `storage`."""
    command = [
        "qemu-img", "convert", "-p", "-n", "--target-is-zero", "-U", "-f", kind, "-O", "raw",
        str(source), str(target),
    ]  # fmt: skip
    limit, percent = faults.fills_up_at(storage), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:  # each ends with a carriage return
                if not (found := PROGRESS.search(line)):
                    continue
                percent = float(found[1])
                if limit is not None and percent >= limit:
                    break
                done = show_bytes(int(size * percent / 100))
                print(f"transferred {done} of {show_bytes(size)} ({found[1]}%)", flush=True)
        finally:
            if limit is not None or process.poll() is None:
                process.terminate()
        words = process.stderr.read().strip()
    if limit is not None:
        words = f"qemu-img: error while writing at byte {int(size * percent / 100)}: No space left on device"
    if limit is not None or process.returncode:
        print(words, flush=True)
        raise ApiError(f"copy failed: command '{' '.join(command)}' failed: exit code 1")


def show_bytes(count: int) -> str:
    """A number of bytes as Proxmox renders it in the logs of tasks: 1.5 GiB."""
    unit, value = 0, float(count)
    while value >= 1024 and unit < 5:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[unit]}"
