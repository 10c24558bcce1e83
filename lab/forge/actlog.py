"""act's log: its lines as jobs and steps, and as text for people."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from lab.forge import store


def note(line: str, run: store.Run, summary: Path, on_job: Callable[[dict], None]) -> str:
    """Record the jobs and steps of one line of act's log; returns the line as text for people."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    text = entry.get("msg", "").rstrip()
    name = entry.get("job")
    if not name:
        return f"{text}\n"
    matrix = entry.get("matrix") or {}
    name = _as_on_github(re.sub(r"^[^/]*/", "", name).strip(), matrix)
    job = next((one for one in run.jobs if one["name"] == name), None)
    if job is None:
        job = {"id": run.id * 100 + len(run.jobs), "run_id": run.id, "name": name}
        job |= {
            "job_id": owner(entry["jobID"], matrix),
            "status": "in_progress",
            "conclusion": None,
            "steps": [],
        }
        job |= {"started_at": store.now(), "completed_at": None}
        run.jobs.append(job)
        on_job(job)
    step = entry.get("step", "")
    if len(entry.get("stepID") or ()) != 1 or entry.get("stage") != "Main":
        pass  # a step inside an action, or act's own beginning and end
    elif text.startswith("⭐ Run Main"):
        job["steps"].append({"name": step.split("\n")[0], "status": "in_progress", "conclusion": None})
        job["steps"][-1] |= {"number": len(job["steps"]), "started_at": store.now(), "completed_at": None}
        on_job(job)
    elif "stepResult" in entry and job["steps"]:
        end = {"status": "completed", "conclusion": entry["stepResult"], "completed_at": store.now()}
        job["steps"][-1].update(end)
    if entry.get("command") == "summary":
        with summary.open("a") as file:
            file.write(entry["content"])
    if "jobResult" in entry:
        result = entry["jobResult"]
        # Of the copies that a matrix makes, act takes all for failed that end after one that is.
        if matrix and job["steps"] and all(step["conclusion"] != "failure" for step in job["steps"]):
            result = "success"
        job.update(status="completed", conclusion=result, completed_at=store.now())
        on_job(job)
    time_of_day = entry.get("time", "")[11:19]
    return "".join(f"{time_of_day} {name} | {part}\n" for part in text.split("\n"))


def owner(job: str, matrix: dict | None) -> str:
    """Whose a concurrency group is: a job's, or one's of the copies that a matrix makes of it."""
    return f"{job}{json.dumps(matrix, sort_keys=True)}" if matrix else job


def _as_on_github(name: str, matrix: dict) -> str:
    """The name without the number that act adds where a job has several copies."""
    short = re.sub(r"-\d+$", "", name)
    return short if any(short.endswith(str(value)) for value in matrix.values()) else name
