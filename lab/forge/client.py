"""Talking to the forge from outside its network, through its socket: for people, tests and its own hook.

Standard library only: Git hooks and the first step of a job use it too.
One call of the API is one short function here, which is why this file is long.
"""

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import LabError, lab_dir

REPOSITORY = "lab/fleet"
API = f"/repos/{REPOSITORY}"


class ForgeError(LabError):
    """The forge does not answer, or refused a request."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, folder: Path, seconds: float | None):
        super().__init__("forge", timeout=seconds)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        # By the directory's handle, since a socket's own path must be shorter than 108 bytes.
        handle = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{handle}/socket")
        finally:
            os.close(handle)


def call(
    method: str, path: str, body: dict | None = None, folder: Path | None = None, seconds: float | None = 30
):
    """One request; the answer's data. Raises ForgeError."""
    connection = _Connection(folder or lab_dir() / "forge", seconds)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise ForgeError(f"the forge does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise ForgeError(f"{method} {path}: {answer.status} {data}")
    return json.loads(data) if data and answer.headers.get_content_type() == "application/json" else data


def alive() -> bool:
    with contextlib.suppress(ForgeError):
        return call("GET", "/forge/health", seconds=5) == {"ok": True}
    return False


def runs(sha: str | None = None, file: str | None = None) -> list[dict]:
    """The workflow runs, newest first; of one commit and of one workflow file when given."""
    workflow = f"/workflows/{file}" if file else ""
    query = f"?head_sha={sha}" if sha else ""
    return call("GET", f"{API}/actions{workflow}/runs{query}")["workflow_runs"]


def run(number: int) -> dict:
    """One run with its jobs and their steps."""
    found = call("GET", f"{API}/actions/runs/{number}")
    return found | {"jobs": call("GET", f"{API}/actions/runs/{number}/jobs")["jobs"]}


def log(number: int) -> str:
    return call("GET", f"{API}/actions/runs/{number}/logs")


def summary(number: int) -> str:
    """What the run's steps wrote into GITHUB_STEP_SUMMARY."""
    return call("GET", f"/forge/summary/{number}")


def wait(
    sha: str | None = None,
    numbers: Sequence[int] = (),
    seconds: float = 900,
    report: Callable[[str], None] | None = None,
) -> list[dict]:
    """Wait until runs are completed, and return them with their jobs.

    Which runs: those of a commit, those with these numbers, or all that there are. `report` gets a line for
    each job that starts or ends.
    """
    deadline, ended, seen = time.monotonic() + seconds, {}, set()
    while True:
        wanted = numbers or [one["id"] for one in runs(sha)]
        found = [ended.get(number) or run(number) for number in wanted]
        ended = {one["id"]: one for one in found if one["status"] == "completed"}
        for key, line in _lines(found).items():
            if report and key not in seen:
                report(line)
            seen.add(key)
        if len(ended) == len(found):
            return found
        if time.monotonic() > deadline:
            late = ", ".join(f"{name(one)} {one['status']}" for one in found if one["id"] not in ended)
            raise ForgeError(f"not completed after {seconds:.0f} s: {late}")
        time.sleep(0.1)


def _lines(found: list[dict]) -> dict[tuple, str]:
    """The state of each job of some runs, as a line for people."""
    states = [(one, job["name"], job["conclusion"] or job["status"]) for one in found for job in one["jobs"]]
    return {
        (one["id"], job, state): f"{name(one)} / {job}: {state}"
        for one, job, state in states
        if state != "skipped"
    }


def failed(found: list[dict]) -> list[dict]:
    """Those of some completed runs that did not succeed."""
    return [one for one in found if one["conclusion"] not in ("success", "skipped")]


def name(one: dict) -> str:
    """A run's workflow file without its ending: terraform-apply."""
    return Path(one["path"]).stem


def dispatch(file: str, inputs: dict | None = None, ref: str = "main") -> int:
    """Start a workflow by hand; the run's number."""
    call("POST", f"{API}/actions/workflows/{file}/dispatches", {"ref": ref, "inputs": inputs or {}})
    return max(one["id"] for one in runs(file=file))


def rerun(number: int) -> None:
    call("POST", f"{API}/actions/runs/{number}/rerun", {})


def cancel(number: int) -> None:
    call("POST", f"{API}/actions/runs/{number}/cancel", {})


def kill(number: int) -> None:
    """End a run's processes as a crash of the runner would, with no chance to clean up."""
    call("POST", f"/forge/kill/{number}", {})


def pull_request(head: str, title: str = "") -> dict:
    """Open a pull request of a pushed branch; `fork:` in front makes it a stranger's."""
    return call("POST", f"{API}/pulls", {"head": head, "base": "main", "title": title or head})


def processes_of(folder: Path) -> list[tuple[int, str]]:
    """The processes of all runs of the forge in this lab folder, with their command lines."""
    wanted = f"LAB_FORGE_RUN={folder}/forge#".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(part.startswith(wanted) for part in (process / "environ").read_bytes().split(b"\0")):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(process.name), command.strip()))
    return found
