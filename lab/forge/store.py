"""The runs that the forge knows, kept in SQLite so that they outlive it."""

import datetime
import json
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path


def now() -> str:
    """The time as GitHub's API writes it, but with milliseconds, which the lab's figures need."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Run:
    """One run of one workflow file. `status` is queued, pending (for its group), in_progress or completed."""

    id: int
    file: str
    name: str
    event: str
    sha: str
    ref: str
    payload: dict
    actor: str = "person"
    trusted: bool = True  # False for a stranger's pull request: no secrets, a token that can only read
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    created_at: str = field(default_factory=now)
    started_at: str | None = None
    completed_at: str | None = None
    jobs: list[dict] = field(default_factory=list)
    reason: str = ""  # why it was cancelled or could not start

    @property
    def branch(self) -> str:
        return self.payload.get("pull_request", {}).get("head", {}).get("ref") or self.ref.split("/", 2)[-1]

    def shown(self, url: str, repository: str) -> dict:
        """The run as GitHub's API answers it."""
        title = (self.payload.get("head_commit") or {}).get("message", self.name).split("\n")[0]
        return {
            "id": self.id,
            "run_number": self.id,
            "run_attempt": self.attempt,
            "name": self.name,
            "path": f".github/workflows/{self.file}",
            "display_title": title,
            "event": self.event,
            "status": self.status,
            "conclusion": self.conclusion,
            "head_sha": self.payload.get("pull_request", {}).get("head", {}).get("sha") or self.sha,
            "head_branch": self.branch,
            "created_at": self.created_at,
            "run_started_at": self.started_at or self.created_at,
            "updated_at": self.completed_at or self.started_at or self.created_at,
            "completed_at": self.completed_at,  # not GitHub's: its runs have no end of their own
            "reason": self.reason,  # nor this
            "actor": {"login": self.actor},
            "html_url": f"{url}/{repository}/actions/runs/{self.id}",
            "url": f"{url}/repos/{repository}/actions/runs/{self.id}",
        }


class Store:
    def __init__(self, path: Path):
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("create table if not exists runs (id integer primary key, data text not null)")
        self.runs = {
            row[0]: Run(**json.loads(row[1])) for row in self._database.execute("select * from runs")
        }

    def add(self, **fields) -> Run:
        run = Run(id=max(self.runs, default=0) + 1, **fields)
        self.runs[run.id] = run
        self.save(run)
        return run

    def save(self, run: Run) -> None:
        self._database.execute("insert or replace into runs values (?, ?)", (run.id, json.dumps(asdict(run))))
