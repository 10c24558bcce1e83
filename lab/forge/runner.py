"""Running one workflow run in act: a fresh clone, secrets by file, the log, the end of all it started."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import yaml

from lab.forge import actlog, gated, processes, store
from lab.forge.git import git

# A mount namespace for the run, with its workspace in memory: a checkout is ten times as fast. act gives each
# step a terminal if it can: a step may then die of its hangup, a failing one loses its last words, and GitHub
# gives none; where no terminal can be made it uses pipes. The machines' file systems leave the namespace, or
# it would keep their disks busy after their end.
ISOLATED = [
    "unshare", "--mount", "sh", "-c",
    """mount --bind /dev/null /dev/ptmx && mkdir "$0" && mount -t tmpfs workspace "$0" || exit
    findmnt -rno TARGET | awk '/[/]proxmox[/]run[/][0-9]+[/]/' | xargs -r umount --lazy
    exec "$@" """,
]  # fmt: skip


class Execution:
    """One attempt of one run. `start()` prepares it, `finish()` waits for its end."""

    def __init__(self, folder: Path, run: store.Run, url: str, repository: str, token: str, config: dict):
        self.folder, self.run, self.url, self.repository = folder, run, url, repository
        self.token, self.config = token, config
        self.home = folder / "runs" / f"{run.id}.{run.attempt}"
        self.marker = processes.mark(folder, run)
        self._masks = self._secret_lines()

    async def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        clone = self.home / "clone"
        await git("clone", "--quiet", "--no-checkout", str(self.folder / "repo.git"), str(clone))
        branch = self.run.ref.split("/", 2)[2]
        await git("-C", str(clone), "checkout", "--quiet", "--force", "-B", branch, self.run.sha)
        # What actions/checkout does with its token; act takes the clone as it is instead of running it.
        origin = f"{self.url}/{self.repository}.git"
        await git("-C", str(clone), "remote", "set-url", "origin", origin)
        with (clone / ".git" / "config").open("a") as config:
            os.fchmod(config.fileno(), 0o600)
            config.write(f'[http "{self.url}/"]\n\textraheader = "AUTHORIZATION: bearer {self.token}"\n')
        context = {"github.workflow": self.run.name, "github.ref": self.run.ref, "github.run_id": self.run.id}
        copy = gated.prepare(clone, self.run.file, context)
        runner_home = self.folder / "home"
        runner_home.mkdir(exist_ok=True)
        command = [
            str(Path(sys.executable).with_name("act")), self.run.event, "--json", "--directory", str(clone),
            "--workflows", str(clone / copy), "--eventpath", self._write("event.json", self.run.payload),
            "--secret-file", self._write("secrets.yaml", self._secrets()),
            "--var-file", self._write("vars.yaml", self.config["vars"]),
            "--env-file", self._write("env.yaml", self._env()), "--input-file", os.devnull,
            "--platform", "ubuntu-latest=-self-hosted", "--platform", "self-hosted=-self-hosted",
            "--actor", self.run.actor, "--defaultbranch", "main", "--no-cache-server",
            "--action-offline-mode", "--action-cache-path", str(self.home / "work"),
            "--concurrent-jobs", "8", "--no-recurse",
        ]  # fmt: skip
        name, _, value = self.marker.partition("=")
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(runner_home), "LANG": "C.UTF-8", name: value,
        }  # fmt: skip
        self.process = await asyncio.create_subprocess_exec(
            *ISOLATED, str(self.home / "work"), *command, env=environment, cwd=clone, limit=2**24,
            start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def finish(self, on_job) -> str:
        """Calls `on_job(job)` when a job starts or ends; returns success or failure."""
        with (self.home / "log.jsonl").open("w") as raw, (self.home / "log.txt").open("w") as text:
            async for line in self.process.stdout:
                masked = self._mask(line.decode(errors="replace"))
                raw.write(masked)
                raw.flush()
                text.write(actlog.note(masked, self.run, self.home / "summary.md", on_job))
                text.flush()
        code = await self.process.wait()
        processes.kill(self.marker)
        for job in self.run.jobs:
            if job["status"] != "completed":
                job.update(status="completed", conclusion="cancelled", completed_at=store.now())
        self.clean()
        return "success" if code == 0 else "failure"

    def clean(self) -> None:
        """Remove all of a run except its log: clone, workspaces, files with secrets."""
        for name in ("clone", "work"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        for name in ("secrets.yaml", "env.yaml", "vars.yaml"):
            (self.home / name).unlink(missing_ok=True)

    def _secrets(self) -> dict[str, str]:
        given = self.config["secrets"] if self.run.trusted else {}
        return {**given, "GITHUB_TOKEN": self.token}

    def _env(self) -> dict[str, str]:
        name, _, value = self.marker.partition("=")
        return {
            **self.config["env"],
            name: value,
            "LAB_FORGE": str(self.folder),
            "PROXMOX_GITOPS_VENV": sys.prefix,
            "GITHUB_SERVER_URL": self.url,
            "GITHUB_API_URL": self.url,
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_RUN_ID": str(self.run.id),
            "GITHUB_RUN_NUMBER": str(self.run.id),
            "GITHUB_RUN_ATTEMPT": str(self.run.attempt),
        }

    def _write(self, name: str, data: dict) -> str:
        """A file that only its owner can read; YAML, since a key has several lines."""
        path = self.home / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if name.endswith(".json"):
                json.dump(data, file)
            elif data:
                yaml.safe_dump(data, file, default_style='"', width=2**20)
        return str(path)

    def _secret_lines(self) -> list[str]:
        # act masks a secret as a whole; GitHub masks each line of it too.
        lines = {line.strip() for value in self._secrets().values() for line in value.splitlines()}
        return sorted((line for line in lines if len(line) >= 8), key=len, reverse=True)

    def _mask(self, text: str) -> str:
        for line in self._masks:
            text = text.replace(line, "***")
        return text
