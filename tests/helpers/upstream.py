"""A small project with releases, and fleets that are copies of one: real repositories in a temporary folder."""

import io
import os
import subprocess
from pathlib import Path

import pytest

import upgrade
from fleet.paths import ROOT

LISTS = (ROOT / ".github/paths.toml").read_text()
PROJECT = {
    "pyproject.toml": '[project]\nname = "proxmox-gitops"\nversion = "0.1.0"\n',
    ".github/paths.toml": LISTS,
}


class Clone:
    """A repository whose commits are made of texts: None deletes a file, bytes are written as they are."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *args, check=True):
        who = {f"GIT_{r}_{k}": "p@example.com" for r in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
        done = subprocess.run(["git", "-C", self.path, *args], capture_output=True, env=os.environ | who)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode(errors="surrogateescape").strip()

    def commit(self, files, message="change"):
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def release(self, version, files):
        made = self.commit(files, f"release {version}")
        self.git("tag", version)
        return made

    def files(self, revision="HEAD"):
        names = self.git("ls-tree", "-r", "-z", "--name-only", revision).split("\0")
        return {name: self.git("show", f"{revision}:{name}") for name in names if name}

    def copy(self, path, revision) -> "Clone":
        """What "Use this template" makes: the same files, and a history of one commit."""
        copied = Clone(path)
        data = subprocess.run(["git", "-C", self.path, "archive", revision], capture_output=True, check=True)
        import tarfile

        with tarfile.open(fileobj=io.BytesIO(data.stdout)) as archive:
            archive.extractall(path, filter="tar")
        copied.commit({}, "Initial commit")
        return copied


@pytest.fixture
def nobody(monkeypatch):
    """No setting of the machine's, and none of a runner's."""
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def project(tmp_path, nobody):
    return Clone(tmp_path / "project")


@pytest.fixture
def run(capfd):
    """upgrade.py on a fleet: its exit code and all that it says."""

    def call(fleet, project, *args):
        code = upgrade.main(["--repo", str(fleet.path), "--upstream", str(project.path), *args])
        return code, "".join(capfd.readouterr())

    return call
