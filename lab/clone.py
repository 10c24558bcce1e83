"""A person's clone of the fleet's repository: commits, branches, pushes."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import ROOT, LabError, forge, secrets_dir
from lab.command import output

IDENTITY = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


class Clone:
    """A person's clone of the lab's repository."""

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            self._seed()
            output(["git", "clone", "--quiet", forge.repository(), str(path)])
            # A fleet commits this file; it would tie the lab's repository to one build of the provider.
            with (path / ".git/info/exclude").open("a") as exclude:
                exclude.write(".terraform.lock.hcl\n")

    @staticmethod
    def _seed() -> None:
        """A new fleet starts from this checkout's last commit, plus the key that its machines accept."""
        repo = forge.repository()
        if output(["git", "-C", repo, "for-each-ref", "refs/heads/main"]):
            return
        with tempfile.TemporaryDirectory() as folder:
            output(["git", "clone", "--quiet", "--no-local", str(ROOT), f"{folder}/seed"])
            keys = Path(folder, "seed/proxmox/authorized_keys")
            shutil.copyfile(secrets_dir() / "ssh_key.pub", keys)
            output(["git", "-C", f"{folder}/seed", "add", "proxmox/authorized_keys"])
            # Checksums of the registry's provider: the lab has built its own.
            lock = "proxmox/.terraform.lock.hcl"
            output(["git", "-C", f"{folder}/seed", "rm", "--quiet", "--ignore-unmatch", lock])
            message = "chore: the public key of the fleet"
            output(["git", *IDENTITY, "-C", f"{folder}/seed", "commit", "--quiet", "-m", message])
            # From within the repository, so that no hook runs: the first commit asks for nothing.
            output(["git", "-C", repo, "fetch", "--quiet", f"{folder}/seed", "+HEAD:refs/heads/main"])

    def git(self, *args: str) -> str:
        return output(["git", *IDENTITY, "-C", str(self.path), *args])

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
