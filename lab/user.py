"""What a person does and sees: a clone of the fleet's repository, commits, pushes, and looks from outside."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from lab import GATEWAY, ROOT, LabError, environment, forge, lab_dir, network, secrets_dir, vault
from lab.forge import client

IDENTITY = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


def machine_file(name: str, address: str, node: str = "node01", **changes) -> str:
    """The text of a VM file; `changes` replace or add fields, a None leaves one out."""
    data = {
        "name": name,
        "target_node": node,
        "cores": 1,
        "memory": 1024,
        "clone": "ubuntu24-template",
        "ipconfig0": f"ip={address}/24,gw={GATEWAY}",
        "ciuser": "suporte",
        "disks": {"scsi0": {"size": "4G", "storage": "local-lvm"}},
    } | changes
    body = yaml.safe_dump({key: value for key, value in data.items() if value is not None}, sort_keys=False)
    return "# yaml-language-server: $schema=../../schemas/vm.schema.json\n" + body


class Clone:
    """A person's clone of the lab's repository."""

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            self._seed()
            _run(["git", "clone", "--quiet", forge.repository(), str(path)])
            # A fleet commits this file; it would tie the lab's repository to one build of the provider.
            with (path / ".git/info/exclude").open("a") as exclude:
                exclude.write(".terraform.lock.hcl\n")

    @staticmethod
    def _seed() -> None:
        """A new fleet starts from this checkout's last commit, plus the key that its machines accept."""
        repo = forge.repository()
        if _run(["git", "-C", repo, "for-each-ref", "refs/heads/main"]):
            return
        with tempfile.TemporaryDirectory() as folder:
            _run(["git", "clone", "--quiet", "--no-local", str(ROOT), f"{folder}/seed"])
            keys = Path(folder, "seed/proxmox/authorized_keys")
            shutil.copyfile(secrets_dir() / "ssh_key.pub", keys)
            _run(["git", "-C", f"{folder}/seed", "add", "proxmox/authorized_keys"])
            # Checksums of the registry's provider: the lab has built its own.
            lock = "proxmox/.terraform.lock.hcl"
            _run(["git", "-C", f"{folder}/seed", "rm", "--quiet", "--ignore-unmatch", lock])
            message = "chore: the public key of the fleet"
            _run(["git", *IDENTITY, "-C", f"{folder}/seed", "commit", "--quiet", "-m", message])
            # From within the repository, so that no hook runs: the first commit asks for nothing.
            _run(["git", "-C", repo, "fetch", "--quiet", f"{folder}/seed", "+HEAD:refs/heads/main"])

    def git(self, *args: str) -> str:
        return _run(["git", *IDENTITY, "-C", str(self.path), *args])

    def pull(self) -> str:
        """Bring main up to the forge; returns its head."""
        self.git("switch", "--quiet", "main")
        self.git(
            "fetch",
            "--quiet",
            "origin",
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/gitops/*:refs/gitops/*",
        )
        self.git("reset", "--quiet", "--hard", "origin/main")
        return self.git("rev-parse", "HEAD")

    def update(self) -> str | None:
        """Merge what this checkout has committed since, as a fleet takes a newer toolkit; None if nothing."""
        self.pull()
        self.git("fetch", "--quiet", str(ROOT), "HEAD")
        if self.git("merge-base", "HEAD", "FETCH_HEAD") == self.git("rev-parse", "FETCH_HEAD"):
            return None
        message = "chore: take the newest version of the toolkit"
        self.git("merge", "--quiet", "-X", "ours", "-m", message, "FETCH_HEAD")
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def read(self, path: str) -> str:
        return (self.path / path).read_text()

    def push(self, message: str, files: dict[str, str | None]) -> str:
        """Commit `files` (None removes one) on top of main and push; returns the commit."""
        for attempt in range(5):
            self.pull()
            self._write(files)
            self.git("commit", "--quiet", "--allow-empty", "-m", message)
            if self._pushed() or attempt == 4:
                return self.git("rev-parse", "HEAD")
        raise LabError("not pushed: somebody else was always faster")

    def merge_branch(self, branch: str, message: str, files: dict[str, str | None]) -> str:
        """The same by a branch and a merge commit, as a pull request does it."""
        self.pull()
        self.git("switch", "--quiet", "-C", branch)
        self._write(files)
        self.git("commit", "--quiet", "-m", message)
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge branch '{branch}'", branch)
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def _write(self, files: dict[str, str | None]) -> None:
        for name, text in files.items():
            path = self.path / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self.git("add", "--all")

    def _pushed(self) -> bool:
        done = subprocess.run(
            ["git", "-C", str(self.path), "push", "--quiet", "origin", "main"], capture_output=True
        )
        return done.returncode == 0


def wait(
    sha: str | None = None, number: int | None = None, told: Callable[[str], None] | None = None
) -> list[dict]:
    """Wait for the runs of a commit, or for one run; `told` hears of each job as it starts and ends."""
    seen: set[tuple] = set()
    while True:
        found = [client.run(number)] if number else [client.run(one["id"]) for one in client.runs(sha)]
        for run in found:
            for job in run["jobs"]:
                state = job["conclusion"] or job["status"]
                if told and (key := (run["id"], job["name"], state)) not in seen and state != "skipped":
                    told(f"{Path(run['path']).stem} / {job['name']}: {state}")
                    seen.add(key)
        if found and all(run["status"] == "completed" for run in found):
            return found
        time.sleep(0.2)


def failed(runs: list[dict]) -> list[dict]:
    return [run for run in runs if run["conclusion"] not in ("success", "skipped")]


def inside(argv: list[str], check: bool = True, stdin: str | None = None, **env: str) -> str:
    """Standard output of a command run in the lab's network with its environment."""
    return _run(network.inside_argv(argv), check=check, stdin=stdin, env=environment() | env)


def ssh(address: str, command: str, user: str = "suporte", check: bool = True) -> str:
    """Standard output of a command in a machine."""
    options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=5",
    ]
    argv = ["ssh", "-i", str(secrets_dir() / "ssh_key"), *(part for one in options for part in ("-o", one))]
    return inside([*argv, f"{user}@{address}", command], check=check)


def kubeconfig() -> tuple[dict, int]:
    """The kubeconfig of all clusters in Vault and the secret's version; ({}, 0) when there is none."""
    with network.inside():
        try:
            answer = vault.request("GET", f"{vault.MOUNT}/data/{vault.PATH}")["data"]
        except LabError as error:
            if "404" in str(error):
                return {}, 0
            raise
    return yaml.safe_load(answer["data"]["KUBECONFIG"]), answer["metadata"]["version"]


def kubectl(context: str, *args: str, check: bool = True) -> str:
    """kubectl from outside the machines, with the kubeconfig read back from Vault."""
    with tempfile.NamedTemporaryFile("w", dir=secrets_dir()) as file:
        yaml.safe_dump(kubeconfig()[0], file)
        file.flush()
        program = environment()["KUBECTL"]
        return inside(
            [program, "--kubeconfig", file.name, "--context", context, "--request-timeout=10s", *args], check
        )


def terraform_output(clone: Clone) -> dict:
    """Terraform's outputs, as a person reads them in proxmox/."""
    folder = str(clone.path / "proxmox")
    inside(["terraform", f"-chdir={folder}", "init", "-input=false", "-no-color"])
    answer = json.loads(inside(["terraform", f"-chdir={folder}", "output", "-json"]))
    return {name: item["value"] for name, item in answer.items()}


def fleet() -> Clone:
    """The clone that the demo works in."""
    return Clone(lab_dir() / "demo" / "fleet")


def _run(
    argv: list[str], check: bool = True, stdin: str | None = None, env: dict[str, str] | None = None
) -> str:
    env = (env or dict(os.environ)) | {"GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, env=env)
    if check and done.returncode:
        raise LabError(f"{argv[0]} {' '.join(argv[1:4])}…: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout.strip()
