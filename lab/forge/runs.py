"""The runs of workflows: queued, admitted by their concurrency group, executed, recorded."""

import asyncio
import contextlib
import os
import secrets
import signal

from lab.forge import gated, processes, runner, settings, store
from lab.forge.client import REPOSITORY
from lab.forge.git import Repository
from lab.forge.groups import Groups


class Runs:
    def __init__(self, repository: Repository, environment: dict[str, str]):
        self.repository, self.environment = repository, environment
        self.folder = repository.folder
        self.url = ""
        self.store = store.Store(self.folder / "forge.db")
        self.groups = Groups()
        self.tokens: dict[str, str] = {}  # token -> who pushes with it
        self.running: dict[int, runner.Execution] = {}
        self.cancelled: dict[int, str] = {}
        self.tasks: set[asyncio.Task] = set()

    def resume(self) -> None:
        """Fail the runs that were in progress when the forge ended, and start those that were waiting."""
        for run in list(self.store.runs.values()):
            if run.status == "in_progress":
                processes.kill(processes.mark(self.folder, run))
                self._execution(run, "").clean()
                self._complete(run, "failure", "the runner was lost")
            elif run.status != "completed":
                self._launch(run)

    async def close(self) -> None:
        for run in list(self.running):
            processes.kill(self.running[run].marker)
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def start(self, **fields) -> store.Run:
        """A new run; `fields` are those of store.Run."""
        run = self.store.add(**fields)
        self._launch(run)
        return run

    def again(self, run: store.Run) -> None:
        """A further attempt of a completed run. Raises ValueError as GitHub answers 422."""
        if run.status != "completed":
            raise ValueError("This workflow is already running")
        run.attempt, run.status, run.conclusion, run.jobs = run.attempt + 1, "queued", None, []
        run.reason, run.started_at, run.completed_at = "", None, None
        self.store.save(run)
        self._launch(run)

    def _launch(self, run: store.Run) -> None:
        task = asyncio.create_task(self._run(run))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, run: store.Run) -> None:
        token = f"ghs_{secrets.token_hex(18)}"
        config = settings.read(self.folder, self.environment)
        # Where there is a deploy key, actions/checkout uses it, and its pushes start workflows.
        own = "deploy key" if config["secrets"].get("DEPLOY_KEY") else f"run {run.id}"
        self.tokens[token] = own if run.trusted else "stranger"
        try:
            if not await self._admitted(run):
                return
            run.status, run.started_at = "in_progress", store.now()
            self.store.save(run)
            execution = self.running[run.id] = self._execution(run, token, config)
            await execution.start()
            conclusion = await execution.finish(lambda job: self._job_changed(run, job))
            reason = self.cancelled.pop(run.id, "")
            self._complete(run, "cancelled" if reason else conclusion, reason)
        except asyncio.CancelledError:
            self._complete(run, "failure", "the runner was lost")
        except Exception as error:
            print(f"run {run.id} of {run.file}: {error!r}", flush=True)
            self._complete(run, "failure", f"could not be run: {error}")
        finally:
            self.running.pop(run.id, None)
            self.tokens.pop(token, None)
            self.groups.release(run.id)

    async def _admitted(self, run: store.Run) -> bool:
        """Wait for the run's own concurrency group; False when it is cancelled instead."""
        workflow = (await self.repository.workflows(run.sha))[run.file]
        context = {"github.workflow": run.name, "github.ref": run.ref, "github.run_id": run.id}
        group = gated.group_of(workflow.get("concurrency"), context)
        if group:
            run.status = "pending"
            self.store.save(run)
            if reason := await self.enter(*group, (run.id, "")):
                self._complete(run, "cancelled", reason)
                return False
        if reason := self.cancelled.pop(run.id, ""):
            self._complete(run, "cancelled", reason)
            return False
        return True

    async def enter(self, group: str, cancels: bool, owner: tuple[int, str]) -> str:
        holder = self.groups.holder(group)
        if cancels and holder and holder[0] != owner[0]:
            self.cancel(holder[0], f"a newer request of '{group}' exists")
        return await self.groups.acquire(group, owner)

    def _execution(self, run: store.Run, token: str, config: dict | None = None) -> runner.Execution:
        config = config or {"secrets": {}, "vars": {}, "env": {}}
        return runner.Execution(self.folder, run, self.url, REPOSITORY, token, config)

    def _job_changed(self, run: store.Run, job: dict) -> None:
        self.store.save(run)
        if job["status"] == "completed":
            self.groups.release(run.id, job["job_id"])

    def _complete(self, run: store.Run, conclusion: str, reason: str = "") -> None:
        run.status, run.conclusion, run.reason = "completed", conclusion, reason
        run.completed_at = store.now()
        self.store.save(run)
        print(f"run {run.id} of {run.file} ({run.event}, {run.sha[:9]}): {conclusion} {reason}", flush=True)

    def cancel(self, number: int, reason: str) -> None:
        """End a run as GitHub does: first SIGTERM, ten seconds later SIGKILL."""
        run = self.store.runs[number]
        if run.status == "completed":
            return
        self.cancelled[number] = reason
        self.groups.release(number) if number not in self.running else None
        if number in self.running:
            asyncio.get_running_loop().create_task(self._end(self.running[number]))

    async def _end(self, execution: runner.Execution) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(execution.process.pid, signal.SIGTERM)
        for _ in range(100):
            if execution.process.returncode is not None:
                break
            await asyncio.sleep(0.1)
        processes.kill(execution.marker)
