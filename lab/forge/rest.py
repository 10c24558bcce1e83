"""The part of GitHub's REST API that is used here, and what the hook and the jobs ask the forge.

The routes and the short functions that answer them are one table, which is why this file is long.
"""

import asyncio
import base64
import contextlib
import secrets

from aiohttp import web

from lab.forge import administration, git_http, processes, store
from lab.forge.client import REPOSITORY
from lab.forge.pushes import Events, about
from lab.forge.runs import Runs


class Rest:
    def __init__(self, events: Events, runs: Runs):
        self.events, self.runs, self.repository = events, runs, events.repository
        self.ready = False

    def application(self, trusted: bool) -> web.Application:
        """The API; the socket trusts every caller, the network requires a token."""

        @web.middleware
        async def guard(request: web.Request, handler):
            request["who"] = "person" if trusted else self._who(request)
            if request["who"] is None and request.path != "/forge/health":
                ask = {"WWW-Authenticate": 'Basic realm="forge"'}
                return web.json_response({"message": "Requires authentication"}, status=401, headers=ask)
            if isinstance(request["who"], list) and (
                answer := administration.refused(
                    request["who"], request.path.removeprefix(f"/repos/{REPOSITORY}")
                )
            ):
                return answer
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
        get(f"/repos/{REPOSITORY}", self._about)
        get(f"/repos/{REPOSITORY}/environments", self._environments)
        get(f"{actions}/runners", self._runners)
        get(f"{actions}/secrets", self._secrets)
        get(f"{actions}/organization-secrets", self._organization)
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
        application.router.add_route("*", f"/{REPOSITORY}.git/{{path:.*}}", self._git)
        return application

    def _who(self, request: web.Request) -> str | list[str] | None:
        """Who it is; of a person who may do less, what."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            with contextlib.suppress(ValueError):
                value = base64.b64decode(value).decode().partition(":")[2]
        own = self.runs.environment.get("GITHUB_TOKEN")
        if own and secrets.compare_digest(value, own):
            return "person"
        return self.runs.tokens.get(value) or administration.permissions(self.runs.folder, value)

    async def _health(self, _request) -> web.Response:
        return web.json_response({"ok": self.ready})

    async def _about(self, _request) -> web.Response:
        return web.json_response(about()["repository"] | {"private": True})

    async def _environments(self, _request) -> web.Response:
        return web.json_response({"total_count": 0, "environments": []})

    async def _runners(self, _request) -> web.Response:
        return web.json_response(administration.runners(self.runs.folder, bool(self.runs.running)))

    async def _secrets(self, _request) -> web.Response:
        return web.json_response(administration.secret_names(self.runs.folder, self.runs.environment))

    async def _organization(self, _request) -> web.Response:
        return web.json_response({"total_count": 0, "secrets": []})

    async def _seen(self, request) -> web.Response:
        started = await self.events.take((await request.json())["event"])
        return web.json_response({"started": [{"id": run.id, "path": run.file} for run in started]})

    async def _gate(self, request) -> web.Response:
        asked = await request.json()
        reason = await self.runs.enter(asked["group"], asked["cancel"], (asked["run"], asked["job"]))
        if reason and asked["copy"]:
            return web.json_response({"refused": reason})
        if reason:
            self.runs.cancel(asked["run"], reason)
            await asyncio.sleep(60)  # no step of the job may run; the run is ended meanwhile
        return web.json_response({})

    async def _runs(self, request) -> web.Response:
        found = sorted(self.runs.store.runs.values(), key=lambda run: -run.id)
        file = request.match_info.get("file")
        if file:
            found = [run for run in found if run.file == file]
            known = await self.repository.git("ls-tree", "--name-only", "main", f".github/workflows/{file}")
            if not known and not found:
                raise KeyError(file)
        shown = [run.shown(self.runs.url, REPOSITORY) for run in found]
        for key, name in (("head_sha", "head_sha"), ("event", "event"), ("branch", "head_branch")):
            if key in request.query:
                shown = [run for run in shown if run[name] == request.query[key]]
        if status := request.query.get("status"):
            shown = [run for run in shown if status in (run["status"], run["conclusion"])]
        size, page = int(request.query.get("per_page", 100)), int(request.query.get("page", 1))
        part = shown[(page - 1) * size : page * size]
        return web.json_response({"total_count": len(shown), "workflow_runs": part})

    def _asked(self, request) -> store.Run:
        return self.runs.store.runs[int(request.match_info["run"])]

    async def _show(self, request) -> web.Response:
        return web.json_response(self._asked(request).shown(self.runs.url, REPOSITORY))

    async def _jobs(self, request) -> web.Response:
        jobs = self._asked(request).jobs
        return web.json_response({"total_count": len(jobs), "jobs": jobs})

    def _file(self, request, name: str) -> web.Response:
        run = self._asked(request)
        path = self.runs.folder / "runs" / f"{run.id}.{run.attempt}" / name
        return web.Response(text=path.read_text(errors="replace") if path.exists() else f"{run.reason}\n")

    async def _log(self, request) -> web.Response:
        return self._file(request, "log.txt")

    async def _summary(self, request) -> web.Response:
        return self._file(request, "summary.md")

    async def _dispatch(self, request) -> web.Response:
        asked = await request.json()
        inputs = {name: str(value) for name, value in (asked.get("inputs") or {}).items()}
        file, ref = request.match_info["file"], asked.get("ref", "main")
        await self.events.dispatch(file, ref, inputs, request["who"])
        return web.Response(status=204)

    async def _rerun(self, request) -> web.Response:
        self.runs.again(self._asked(request))
        return web.json_response({}, status=201)

    async def _cancel(self, request) -> web.Response:
        self.runs.cancel(self._asked(request).id, "cancelled by hand")
        return web.json_response({}, status=202)

    async def _kill(self, request) -> web.Response:
        processes.kill(self.runs.running[self._asked(request).id].marker)
        return web.json_response({})

    async def _pulls(self, request) -> web.Response:
        asked = await request.json()
        base, title = asked.get("base", "main"), asked.get("title", "")
        made = await self.events.pull_request(asked["head"], base, title)
        return web.json_response(made, status=201)

    async def _git(self, request: web.Request) -> web.StreamResponse:
        return await git_http.answer(self.repository.path, request)
