"""A repository with playbooks, an inventory and VM files, and extract_ansible_tag.py run in it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import extract_ansible_tag


class Repo:
    def __init__(self, path: Path):
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        (path / "proxmox/vms").mkdir(parents=True)
        (path / "proxmox/playbooks").mkdir()
        for name in ("k8s", "haproxy", "k8s-ha", "myapp"):
            self.write(f"proxmox/playbooks/{name}.yml", "[]\n")
        self.write("proxmox/k8s.ini", "k8s-old ansible_host=192.168.1.9 ansible_user=me\n\n[k3s]\nk8s-old\n")
        self.start = self.commit("start")

    def git(self, *args, stdin=None, cwd=None) -> str:
        identity = {f"GIT_{who}_{what}": "me@example.com" for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")}  # fmt: skip
        env = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        done = subprocess.run(
            ["git", "-C", str(cwd or self.path), *args], env=env, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode(errors="replace").strip()

    def write(self, name, text=""):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def vm(self, *machines, text="name: x\n"):
        for machine in machines:
            self.write(f"proxmox/vms/{machine}.yaml", text)

    def commit(self, message: str | bytes) -> str:
        self.git("add", "-A")
        raw = message if isinstance(message, bytes) else message.encode()
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-", stdin=raw)
        return self.git("rev-parse", "HEAD")

    def served(self, commit=None):
        self.git("update-ref", "refs/gitops/served", commit or self.start)


@pytest.fixture
def repo(tmp_path):
    made = Repo(tmp_path / "repo")
    made.served()
    return made


@pytest.fixture
def extract(capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(path, *args):
        code = extract_ansible_tag.main(["--repo", str(path), "--format", "json", *args])
        out, err = capsys.readouterr()
        return code, (json.loads(out) if out else None), err

    return run


def short(answer):
    return [(r["name"], r["playbook"], r["machine"], r["changed"]) for r in answer["requests"]]
