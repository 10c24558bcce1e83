"""What starts runs: pushes, pull requests, and workflows that are started by hand."""

import asyncio
import json

from lab.forge import store, triggers
from lab.forge.client import REPOSITORY
from lab.forge.git import NO_COMMIT, Repository
from lab.forge.runs import Runs


class Events:
    def __init__(self, repository: Repository, runs: Runs):
        self.repository, self.runs = repository, runs
        self.folder = repository.folder / "events"
        self._git = repository.git
        self._lock = asyncio.Lock()
        self._started: dict[str, list[store.Run]] = {}  # by event, until its hook asks

    async def take(self, name: str = "") -> list[store.Run]:
        """Start what the pushes in events/ ask for; returns the runs of the event `name`.

        An event is removed when its runs are recorded. Another push may have brought it here before its own
        hook asks for the runs.
        """
        async with self._lock:
            for path in sorted(self.folder.glob("*.json")):
                event, started = json.loads(path.read_text()), []
                if not event["pusher"].startswith("run"):
                    for pushed in event["pushed"]:
                        started += await self._pushed(**pushed, pusher=event["pusher"])
                self._started[path.stem] = started
                path.unlink()
            return self._started.pop(name, [])

    async def _pushed(self, ref: str, before: str, after: str, pusher: str) -> list[store.Run]:
        if after == NO_COMMIT or not ref.startswith(("refs/heads/", "refs/tags/")):
            return []
        payload = await self._payload(ref, before, after, pusher)
        if triggers.SKIP.search(payload["head_commit"]["message"]):
            return []
        changed = await self.repository.changed(before, after)
        return [
            self._start(file, workflow, "push", after, ref, payload, pusher)
            for file, workflow in (await self.repository.workflows(after)).items()
            if triggers.wants_push(workflow, ref, changed)
        ]

    async def pull_request(self, head: str, base: str, title: str) -> dict:
        """A pull request was opened, or its branch got new commits."""
        owner, _, branch = head.rpartition(":")
        tip = await self._git("rev-parse", f"refs/heads/{branch}")
        onto = await self._git("rev-parse", f"refs/heads/{base}")
        tree = await self._git("merge-tree", "--write-tree", onto, tip)
        identity = ("-c", "user.name=forge", "-c", "user.email=forge@localhost")
        parents = ("-p", onto, "-p", tip)
        merged = await self._git(*identity, "commit-tree", tree, *parents, "-m", f"Merge {tip} into {onto}")
        number = 1 + len([run for run in self.runs.store.runs.values() if run.event == "pull_request"])
        await self._git("update-ref", f"refs/pull/{number}/merge", merged)
        request = {
            "number": number,
            "title": title,
            "head": {"ref": branch, "sha": tip, "repo": {"fork": bool(owner)}},
            "base": {"ref": base, "sha": onto},
        }
        payload = {"action": "opened", "number": number, "pull_request": request} | about()
        changed = (await self._git("diff", "--name-only", f"{onto}...{tip}")).splitlines()
        for file, workflow in (await self.repository.workflows(merged)).items():
            if triggers.wants_pull_request(workflow, base, changed, "opened"):
                fields = ("pull_request", merged, f"refs/pull/{number}/merge", payload, owner or "person")
                self._start(file, workflow, *fields, trusted=not owner)
        return request

    async def dispatch(self, file: str, ref: str, inputs: dict, actor: str) -> None:
        """A workflow is started by hand. Raises ValueError as GitHub answers 422."""
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        sha = await self._git("rev-parse", "--verify", full)
        workflow = (await self.repository.workflows(sha)).get(file)
        filters = triggers.events(workflow or {}).get("workflow_dispatch")
        if filters is None:
            raise ValueError(f"{file} has no 'workflow_dispatch' trigger")
        known = filters.get("inputs") or {}
        if unknown := set(inputs) - set(known):
            raise ValueError(f"unexpected inputs provided: {sorted(unknown)}")
        for name, given in known.items():
            if (given or {}).get("required") and not inputs.get(name) and "default" not in given:
                raise ValueError(f"required input '{name}' not provided")
            inputs.setdefault(name, (given or {}).get("default", ""))
        payload = {"ref": full, "inputs": inputs, "workflow": f".github/workflows/{file}"} | about()
        self._start(file, workflow, "workflow_dispatch", sha, full, payload, actor)

    def _start(self, file, workflow, event, sha, ref, payload, actor, trusted=True) -> store.Run:
        name = str(workflow.get("name", f".github/workflows/{file}"))
        return self.runs.start(
            file=file, name=name, event=event, sha=sha, ref=ref, payload=payload, actor=actor, trusted=trusted
        )

    async def _payload(self, ref: str, before: str, after: str, pusher: str) -> dict:
        message = await self._git("log", "-1", "--format=%B", after)
        commit = {"id": await self._git("rev-parse", f"{after}^{{commit}}"), "message": message}
        forced = False
        if before != NO_COMMIT:
            forced = await self._git("merge-base", before, after, check=False) != before
        push = {"ref": ref, "before": before, "after": after, "created": before == NO_COMMIT}
        push |= {"deleted": False, "forced": forced, "head_commit": commit, "commits": [commit]}
        return push | {"pusher": {"name": pusher}} | about()


def about() -> dict:
    """The repository and the sender, as each event of GitHub's names them."""
    owner, name = REPOSITORY.split("/")
    repository = {
        "full_name": REPOSITORY,
        "name": name,
        "owner": {"login": owner},
        "default_branch": "main",
    }
    return {"repository": repository, "sender": {"login": "person"}}
