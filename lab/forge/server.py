"""The forge's daemon: Git over HTTP, the part of GitHub's REST API that is used here, and the runs.

Everything stands in LAB_DIR/forge: repo.git, forge.db (the runs), runs/ID.ATTEMPT/ (log.txt, log.jsonl,
summary.md), events/ (pushes not yet seen), settings.json (optional changes of `secrets`, `vars` and `env`; a
null removes one), protected (refs that a workflow's own token may not push to), socket (the same API, for
this machine's root, without a token).
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import sys
from pathlib import Path

from aiohttp import web

from lab.forge import gated, runner, store, triggers
from lab.forge.client import REPOSITORY
from lab.forge.groups import Groups

_ZERO = "0" * 40
_HOOKS = ("post-receive", "update")


class Forge:
    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        self.environment = environment
        self.url = ""
        self.ready = False
        folder.mkdir(parents=True, exist_ok=True)
        self.store = store.Store(folder / "forge.db")
        self.groups = Groups()
        self.tokens: dict[str, str] = {}  # token -> who pushes with it
        self.running: dict[int, runner.Execution] = {}
        self.cancelled: dict[int, str] = {}
        self.tasks: set[asyncio.Task] = set()
        self.events_lock = asyncio.Lock()

    # --- its life

    async def prepare(self) -> None:
        repo = self.folder / "repo.git"
        if not (repo / "HEAD").exists():
            await runner._git("init", "--quiet", "--bare", "--initial-branch=main", str(repo))
        for name, value in (("http.receivepack", "true"), ("uploadpack.allowAnySHA1InWant", "true")):
            await runner._git("-C", str(repo), "config", name, value)
        (self.folder / "code").write_text(str(Path(__file__).resolve().parents[2]))
        script = self.folder / "hook.py"
        script.write_text(Path(__file__).with_name("hook.py").read_text())
        for name in _HOOKS:
            hook = repo / "hooks" / name
            hook.write_text(f'#!/bin/sh\nexec {sys.executable} "{script}" {name} "$@"\n')
            hook.chmod(0o755)

    async def resume(self) -> None:
        """What was under way when the forge ended is lost, as if the runner had died; what waited goes on."""
        for run in list(self.store.runs.values()):
            if run.status == "in_progress":
                runner.kill(runner.mark(self.folder, run))
                self._execution(run, "").clean()
                self._complete(run, "failure", "the runner was lost")
            elif run.status != "completed":
                self._launch(run)
        await self.take_events()

    async def close(self) -> None:
        for run in list(self.running):
            runner.kill(self.running[run].marker)
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    # --- pushes and other events

    async def take_events(self) -> None:
        """Start what the pushes in events/ ask for; an event leaves when its runs are recorded."""
        async with self.events_lock:
            for path in sorted((self.folder / "events").glob("*.json")):
                event = json.loads(path.read_text())
                if not event["pusher"].startswith("run"):
                    for pushed in event["pushed"]:
                        await self._pushed(pushed["ref"], pushed["before"], pushed["after"], event["pusher"])
                path.unlink()

    async def _pushed(self, ref: str, before: str, after: str, pusher: str) -> None:
        if after == _ZERO or not ref.startswith(("refs/heads/", "refs/tags/")):
            return
        payload = await self._payload(ref, before, after, pusher)
        if triggers.SKIP.search(payload["head_commit"]["message"]):
            return
        changed = await self._changed(before, after)
        for file, workflow in (await self._workflows(after)).items():
            if triggers.wants_push(workflow, ref, changed):
                self._new_run(file, workflow, "push", after, ref, payload, pusher)

    async def pull_request(self, head: str, base: str, title: str) -> dict:
        """A pull request was opened, or its branch got new commits."""
        owner, _, branch = head.rpartition(":")
        tip = await self._git("rev-parse", f"refs/heads/{branch}")
        onto = await self._git("rev-parse", f"refs/heads/{base}")
        tree = await self._git("merge-tree", "--write-tree", onto, tip)
        identity = ("-c", "user.name=forge", "-c", "user.email=forge@localhost")
        parents = ("-p", onto, "-p", tip)
        merged = await self._git(*identity, "commit-tree", tree, *parents, "-m", f"Merge {tip} into {onto}")
        number = 1 + len([run for run in self.store.runs.values() if run.event == "pull_request"])
        await self._git("update-ref", f"refs/pull/{number}/merge", merged)
        request = {
            "number": number,
            "title": title,
            "head": {"ref": branch, "sha": tip, "repo": {"fork": bool(owner)}},
            "base": {"ref": base, "sha": onto},
        }
        payload = {"action": "opened", "number": number, "pull_request": request} | self._about()
        changed = (await self._git("diff", "--name-only", f"{onto}...{tip}")).splitlines()
        for file, workflow in (await self._workflows(merged)).items():
            if triggers.wants_pull_request(workflow, base, changed, "opened"):
                fields = ("pull_request", merged, f"refs/pull/{number}/merge", payload, owner or "person")
                self._new_run(file, workflow, *fields, trusted=not owner)
        return request

    async def dispatch(self, file: str, ref: str, inputs: dict, actor: str) -> None:
        """A workflow is started by hand. Raises ValueError as GitHub answers 422."""
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        sha = await self._git("rev-parse", "--verify", full)
        workflow = (await self._workflows(sha)).get(file)
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
        payload = {"ref": full, "inputs": inputs, "workflow": f".github/workflows/{file}"} | self._about()
        self._new_run(file, workflow, "workflow_dispatch", sha, full, payload, actor)

    async def _workflows(self, sha: str) -> dict[str, dict]:
        names = await self._git("ls-tree", "--name-only", sha, ".github/workflows/")
        found = {}
        for path in names.splitlines():
            if path.endswith((".yml", ".yaml")):
                with contextlib.suppress(
                    Exception
                ):  # GitHub shows a broken file as a failed run of no workflow
                    found[Path(path).name] = triggers.load(await self._git("show", f"{sha}:{path}"))
        return found

    async def _changed(self, before: str, after: str) -> list[str]:
        if before == _ZERO:
            empty = await self._git("hash-object", "-t", "tree", "/dev/null")
            before = empty if after == await self._git("rev-parse", "main") else f"main...{after}"
            if "..." in before:
                return (await self._git("diff", "--name-only", before)).splitlines()
        return (await self._git("diff", "--name-only", before, after)).splitlines()

    async def _payload(self, ref: str, before: str, after: str, pusher: str) -> dict:
        message = await self._git("log", "-1", "--format=%B", after)
        commit = {"id": await self._git("rev-parse", f"{after}^{{commit}}"), "message": message}
        forced = False
        if before != _ZERO:
            forced = await self._git("merge-base", before, after, check=False) != before
        push = {"ref": ref, "before": before, "after": after, "created": before == _ZERO, "deleted": False}
        push |= {"forced": forced, "head_commit": commit, "commits": [commit], "pusher": {"name": pusher}}
        return push | self._about()

    def _about(self) -> dict:
        owner, name = REPOSITORY.split("/")
        repository = {
            "full_name": REPOSITORY,
            "name": name,
            "owner": {"login": owner},
            "default_branch": "main",
        }
        return {"repository": repository, "sender": {"login": "person"}}

    async def _git(self, *args: str, check: bool = True) -> str:
        try:
            return await runner._git("--git-dir", str(self.folder / "repo.git"), *args)
        except RuntimeError:
            if check:
                raise
            return ""

    # --- runs

    def _new_run(self, file, workflow, event, sha, ref, payload, actor, trusted=True) -> store.Run:
        name = str(workflow.get("name", f".github/workflows/{file}"))
        run = self.store.add(
            file=file, name=name, event=event, sha=sha, ref=ref, payload=payload, actor=actor, trusted=trusted
        )
        self._launch(run)
        return run

    def _launch(self, run: store.Run) -> None:
        task = asyncio.create_task(self._run(run))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, run: store.Run) -> None:
        token = f"ghs_{secrets.token_hex(18)}"
        config = runner.settings(self.folder, self.environment)
        # Where there is a deploy key, actions/checkout uses it, and its pushes start workflows.
        self.tokens[token] = (
            "deploy key" if config["secrets"].get("DEPLOY_KEY") and run.trusted else f"run {run.id}"
        )
        if not run.trusted:
            self.tokens[token] = "stranger"
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
        workflow = (await self._workflows(run.sha))[run.file]
        context = {"github.workflow": run.name, "github.ref": run.ref, "github.run_id": run.id}
        group = gated.group_of(workflow.get("concurrency"), context)
        if group:
            run.status = "pending"
            self.store.save(run)
            if reason := await self._enter(*group, (run.id, "")):
                self._complete(run, "cancelled", reason)
                return False
        if reason := self.cancelled.pop(run.id, ""):
            self._complete(run, "cancelled", reason)
            return False
        return True

    async def _enter(self, group: str, cancels: bool, owner: tuple[int, str]) -> str:
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
        run.status, run.conclusion, run.reason, run.completed_at = (
            "completed",
            conclusion,
            reason,
            store.now(),
        )
        self.store.save(run)
        print(f"run {run.id} of {run.file} ({run.event}, {run.sha[:9]}): {conclusion} {reason}", flush=True)

    def cancel(self, number: int, reason: str) -> None:
        """End a run as GitHub does: it is asked, and after ten seconds it is made to."""
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
        runner.kill(execution.marker)

    # --- HTTP

    def application(self, trusted: bool) -> web.Application:
        """The API; over the socket everybody is trusted, over the network a token is needed."""

        @web.middleware
        async def guard(request: web.Request, handler):
            request["who"] = "person" if trusted else self._who(request)
            if request["who"] is None and request.path != "/forge/health":
                return web.json_response({"message": "Requires authentication"}, status=401,
                                         headers={"WWW-Authenticate": 'Basic realm="forge"'})  # fmt: skip
            try:
                return await handler(request)
            except (KeyError, RuntimeError) as error:
                return web.json_response({"message": "Not Found", "detail": str(error)}, status=404)
            except ValueError as error:
                return web.json_response({"message": str(error)}, status=422)

        application = web.Application(middlewares=[guard], client_max_size=2**30)
        actions = f"/repos/{REPOSITORY}/actions"
        get, post = application.router.add_get, application.router.add_post
        get("/forge/health", self._health)
        get("/forge/summary/{run}", self._summary)
        get(f"/repos/{REPOSITORY}", self._repository)
        get(f"{actions}/runs", self._runs)
        get(actions + "/workflows/{file}/runs", self._runs)
        get(actions + "/runs/{run}", self._show)
        get(actions + "/runs/{run}/jobs", self._jobs)
        get(actions + "/runs/{run}/logs", self._log)
        post(actions + "/workflows/{file}/dispatches", self._dispatch)
        post(actions + "/runs/{run}/rerun", self._rerun)
        post(actions + "/runs/{run}/cancel", self._cancel)
        post(f"/repos/{REPOSITORY}/pulls", self._pulls)
        if trusted:
            post("/forge/pushed", self._seen)
            post("/forge/gate", self._gate)
            post("/forge/kill/{run}", self._kill)
        application.router.add_route("*", f"/{REPOSITORY}.git/{{path:.*}}", self._git_http)
        return application

    def _who(self, request: web.Request) -> str | None:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            with contextlib.suppress(ValueError):
                value = base64.b64decode(value).decode().partition(":")[2]
        own = self.environment.get("GITHUB_TOKEN")
        if own and secrets.compare_digest(value, own):
            return "person"
        return self.tokens.get(value)

    async def _health(self, _request) -> web.Response:
        return web.json_response({"ok": self.ready})

    async def _repository(self, _request) -> web.Response:
        return web.json_response(self._about()["repository"])

    async def _seen(self, _request) -> web.Response:
        await self.take_events()
        return web.json_response({})

    async def _gate(self, request) -> web.Response:
        asked = await request.json()
        reason = await self._enter(asked["group"], asked["cancel"], (asked["run"], asked["job"]))
        if reason:
            self.cancel(asked["run"], reason)
            await asyncio.sleep(60)  # no step of the job may run; the run is ended meanwhile
        return web.json_response({})

    async def _runs(self, request) -> web.Response:
        found = sorted(self.store.runs.values(), key=lambda run: -run.id)
        file = request.match_info.get("file")
        if file:
            found = [run for run in found if run.file == file]
            known = await self._git("ls-tree", "--name-only", "main", f".github/workflows/{file}")
            if not known and not found:
                raise KeyError(file)
        shown = [run.shown(self.url, REPOSITORY) for run in found]
        for key, name in (("head_sha", "head_sha"), ("event", "event"), ("branch", "head_branch")):
            if key in request.query:
                shown = [run for run in shown if run[name] == request.query[key]]
        if status := request.query.get("status"):
            shown = [run for run in shown if status in (run["status"], run["conclusion"])]
        size, page = int(request.query.get("per_page", 100)), int(request.query.get("page", 1))
        part = shown[(page - 1) * size : page * size]
        return web.json_response({"total_count": len(shown), "workflow_runs": part})

    def _asked(self, request) -> store.Run:
        return self.store.runs[int(request.match_info["run"])]

    async def _show(self, request) -> web.Response:
        return web.json_response(self._asked(request).shown(self.url, REPOSITORY))

    async def _jobs(self, request) -> web.Response:
        jobs = self._asked(request).jobs
        return web.json_response({"total_count": len(jobs), "jobs": jobs})

    def _file(self, request, name: str) -> web.Response:
        run = self._asked(request)
        path = self.folder / "runs" / f"{run.id}.{run.attempt}" / name
        return web.Response(text=path.read_text(errors="replace") if path.exists() else f"{run.reason}\n")

    async def _log(self, request) -> web.Response:
        return self._file(request, "log.txt")

    async def _summary(self, request) -> web.Response:
        return self._file(request, "summary.md")

    async def _dispatch(self, request) -> web.Response:
        asked = await request.json()
        inputs = {name: str(value) for name, value in (asked.get("inputs") or {}).items()}
        await self.dispatch(request.match_info["file"], asked.get("ref", "main"), inputs, request["who"])
        return web.Response(status=204)

    async def _rerun(self, request) -> web.Response:
        run = self._asked(request)
        if run.status != "completed":
            raise ValueError("This workflow is already running")
        run.attempt, run.status, run.conclusion, run.jobs = run.attempt + 1, "queued", None, []
        run.reason, run.started_at, run.completed_at = "", None, None
        self.store.save(run)
        self._launch(run)
        return web.json_response({}, status=201)

    async def _cancel(self, request) -> web.Response:
        self.cancel(self._asked(request).id, "cancelled by hand")
        return web.json_response({}, status=202)

    async def _kill(self, request) -> web.Response:
        runner.kill(self.running[self._asked(request).id].marker)
        return web.json_response({})

    async def _pulls(self, request) -> web.Response:
        asked = await request.json()
        made = await self.pull_request(asked["head"], asked.get("base", "main"), asked.get("title", ""))
        return web.json_response(made, status=201)

    async def _git_http(self, request: web.Request) -> web.StreamResponse:
        """Git's own server, by CGI."""
        writes = "git-receive-pack" in (request.path.rpartition("/")[2], request.query.get("service"))
        if writes and request["who"] == "stranger":
            return web.Response(status=403, text="Permission to lab/fleet.git denied to stranger.\n")
        body = await request.read()
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.folder / "repo.git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": "/" + request.match_info["path"],
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": request["who"],
            "LAB_FORGE_PUSHER": request["who"],
        }
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        answer, _ = await process.communicate(body)
        head, _, data = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=data)


async def serve(folder: Path, port: int, environment: dict[str, str]) -> None:
    """Serve until SIGTERM. Writes the address to `url` in the folder once it answers."""
    forge = Forge(folder, environment)
    await forge.prepare()
    runners = [
        web.AppRunner(forge.application(trusted), access_log=None, shutdown_timeout=1)
        for trusted in (True, False)
    ]
    for one in runners:
        await one.setup()
    (folder / "socket").unlink(missing_ok=True)
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)  # a socket's path must be shorter than 108 bytes
    await web.UnixSite(runners[0], f"/proc/self/fd/{handle}/socket").start()
    (folder / "socket").chmod(0o600)
    site = web.TCPSite(runners[1], "127.0.0.1", port)
    await site.start()
    forge.url = f"http://127.0.0.1:{runners[1].addresses[0][1]}"
    (folder / "url").write_text(forge.url)
    await forge.resume()
    forge.ready = True
    print(f"serving {forge.url}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await forge.close()
    for one in runners:
        await one.cleanup()
