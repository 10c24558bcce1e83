"""Running one workflow run in act: a fresh clone, secrets by file, the log, the end of all it started."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import yaml

from lab.forge import gated, store

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

# What of the lab's environment a repository keeps as secrets, and what as variables; the rest of it that
# production needs besides belongs to the runner itself.
SECRETS = (
    "PROXMOX_VE_ENDPOINT",
    "PROXMOX_VE_API_TOKEN",
    "PG_CONN_STR",
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "SSH_PRIVATE_KEY",
)
VARIABLES = ("PROXMOX_VE_INSECURE", "K3S_INSTALL_URL", "K3S_VERSION")
RUNNER = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "TF_CLI_CONFIG_FILE",
    "CHECKPOINT_DISABLE",
    "KUBECTL",
)


def settings(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """The repository's secrets and variables and the runner's environment; settings.json may change each."""
    found = {
        "secrets": {name: environment[name] for name in SECRETS if name in environment},
        "vars": {name: environment[name] for name in VARIABLES if name in environment},
        "env": {name: environment[name] for name in RUNNER if name in environment},
    }
    changes = folder / "settings.json"
    for kind, values in (json.loads(changes.read_text()) if changes.exists() else {}).items():
        for name, value in values.items():
            if value is None:
                found.setdefault(kind, {}).pop(name, None)
            else:
                found.setdefault(kind, {})[name] = value
    return found


def mark(folder: Path, run: store.Run) -> str:
    """What every process of a run has in its environment, and no other process has."""
    return f"LAB_FORGE_RUN={folder}#{run.id}.{run.attempt}"


def processes(marker: str) -> list[int]:
    """The processes of a run, also those that left its process group and lost their parents."""
    found = []
    wanted = marker.encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def kill(marker: str) -> None:
    """End all processes of a run at once, as a crash would."""
    while found := processes(marker):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)


class Execution:
    """One attempt of one run. `start()` prepares it, `finish()` waits for its end."""

    def __init__(self, folder: Path, run: store.Run, url: str, repository: str, token: str, config: dict):
        self.folder, self.run, self.url, self.repository = folder, run, url, repository
        self.token, self.config = token, config
        self.home = folder / "runs" / f"{run.id}.{run.attempt}"
        self.marker = mark(folder, run)
        self._masks = self._secret_lines()

    async def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        clone = self.home / "clone"
        await _git("clone", "--quiet", "--no-checkout", str(self.folder / "repo.git"), str(clone))
        branch = self.run.ref.split("/", 2)[2]
        await _git("-C", str(clone), "checkout", "--quiet", "--force", "-B", branch, self.run.sha)
        # What actions/checkout does with its token; act takes the clone as it is instead of running it.
        origin = f"{self.url}/{self.repository}.git"
        await _git("-C", str(clone), "remote", "set-url", "origin", origin)
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
        """`on_job(job)` is told of each job's begin and end. Returns success or failure."""
        with (self.home / "log.jsonl").open("w") as raw, (self.home / "log.txt").open("w") as text:
            async for line in self.process.stdout:
                masked = self._mask(line.decode(errors="replace"))
                raw.write(masked)
                raw.flush()
                text.write(self._follow(masked, on_job))
                text.flush()
        code = await self.process.wait()
        kill(self.marker)
        for job in self.run.jobs:
            if job["status"] != "completed":
                job.update(status="completed", conclusion="cancelled", completed_at=store.now())
        self.clean()
        return "success" if code == 0 else "failure"

    def clean(self) -> None:
        """Remove what a run leaves besides its log: clone, workspaces, files with secrets."""
        for name in ("clone", "work"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        for name in ("secrets.yaml", "env.yaml", "vars.yaml"):
            (self.home / name).unlink(missing_ok=True)

    def _follow(self, line: str, on_job) -> str:
        """Note what a line of act's log tells about jobs and steps; returns the line for people."""
        try:
            entry = json.loads(line)
        except ValueError:
            return line
        text = entry.get("msg", "").rstrip()
        name = entry.get("job")
        if not name:
            return f"{text}\n"
        name = re.sub(r"^[^/]*/", "", name).strip()
        job = next((one for one in self.run.jobs if one["name"] == name), None)
        if job is None:
            job = {"id": self.run.id * 100 + len(self.run.jobs), "run_id": self.run.id, "name": name}
            job |= {"job_id": entry["jobID"], "status": "in_progress", "conclusion": None, "steps": []}
            job |= {"started_at": store.now(), "completed_at": None}
            self.run.jobs.append(job)
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
            with (self.home / "summary.md").open("a") as summary:
                summary.write(entry["content"])
        if "jobResult" in entry:
            result = "skipped" if entry["jobResult"] == "skipped" else entry["jobResult"]
            job.update(status="completed", conclusion=result, completed_at=store.now())
            on_job(job)
        time_of_day = entry.get("time", "")[11:19]
        return "".join(f"{time_of_day} {name} | {part}\n" for part in text.split("\n"))

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


async def _git(*args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"git {args[0]}: {err.decode().strip()}")
    return out.decode().strip()
