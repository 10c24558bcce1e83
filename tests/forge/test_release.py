"""release.py with the real semantic-release, on repositories in a temporary folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import release
from fleet.findings import Fault
from fleet.git import command as git
from fleet.paths import ROOT


def commit(repo, message):
    git.git(repo, "add", "--all")
    git.git(repo, "commit", "--quiet", "--allow-empty", "--file=-", stdin=message)
    git.git(repo, "push", "--quiet", "origin", "HEAD:main")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # where commits that could not be pushed are thrown away
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setattr(release.time, "sleep", lambda _seconds: None)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "origin.git"], check=True)
    subprocess.run(["git", "clone", "-q", tmp_path / "origin.git", tmp_path / "checkout"], check=True)
    git.git(tmp_path / "checkout", "checkout", "--quiet", "-B", "main")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    commit(tmp_path / "checkout", "chore: start")
    return tmp_path / "checkout"


def tags(checkout):
    listed = git.git(checkout, "ls-remote", "--tags", "origin").splitlines()
    return [line.rpartition("/")[2] for line in listed if not line.endswith("^{}")]


def test_a_feature_is_released_once(checkout, capsys):
    commit(checkout, "feat(proxmox): add k8s-dev [ansible k8s-dev]")
    assert release.main(["--repo", str(checkout)]) == 0
    (tag,) = tags(checkout)
    assert f"released {tag}" in capsys.readouterr().out
    message = git.git(checkout, "log", "-1", "--format=%B").split()
    assert message == ["chore(release):", tag[1:], "[skip", "ci]"]
    assert git.git(checkout, "ls-remote", "origin", "main").split()[0] == git.resolve(checkout, "HEAD")
    assert f'version = "{tag[1:]}"' in (checkout / "pyproject.toml").read_text()
    assert release.main(["--repo", str(checkout)]) == 0
    assert "nothing to release" in capsys.readouterr().out and tags(checkout) == [tag]
    # An upgrade brings the project's own releases: they are none of this repository's.
    git.git(checkout, "update-ref", "refs/upstream/tags/v7.0.0", "HEAD")
    commit(checkout, "feat: more")
    assert release.main(["--repo", str(checkout)]) == 0
    assert set(tags(checkout)) == {tag, "v0.2.0"} and git.resolve(checkout, "refs/upstream/tags/v7.0.0")


FIRST = [("docs: start", []), ("Initial commit", []), ("fix: x", ["v0.1.0"]), ("feat: x", ["v0.1.0"])]


@pytest.mark.parametrize(("message", "made"), FIRST)
def test_the_first_release_is_none_or_a_minor_version(checkout, message, made):
    before = (checkout / "pyproject.toml").read_text()
    commit(checkout, message)
    release.release(str(checkout))
    assert tags(checkout) == made
    assert (checkout / "pyproject.toml").read_text() == before  # which says 0.1.0


def test_after_the_first_release_a_fix_is_a_patch(checkout):
    for message, made in (("fix: x", "v0.1.0"), ("fix: y", "v0.1.1")):
        commit(checkout, message)
        assert release.release(str(checkout)) == made


def test_somebody_pushes_meanwhile(checkout, tmp_path, monkeypatch):
    commit(checkout, "feat: one")
    other, run, pushed = tmp_path / "other", subprocess.run, []
    run(["git", "clone", "-q", tmp_path / "origin.git", other], check=True)

    def meanwhile(command, **more):
        if not pushed:
            pushed.append(commit(other, "feat: two"))
        return run(command, **more)

    monkeypatch.setattr(release.subprocess, "run", meanwhile)
    tag = release.release(str(checkout))
    assert tags(checkout) == [tag]
    assert git.git(checkout, "log", "-2", "--format=%s").splitlines()[1] == "feat: two"
    assert "[skip ci]" not in git.git(checkout, "log", "-1", "--format=%B", "HEAD^")


def test_a_broken_configuration_is_no_race(checkout):
    (checkout / "pyproject.toml").write_text("[tool.semantic_release]\nversion_toml = 7\n")
    commit(checkout, "feat: one")
    with pytest.raises(Fault, match="semantic-release failed"):
        release.release(str(checkout))
    assert tags(checkout) == []


def test_without_semantic_release(checkout, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(Fault, match="not installed"):
        release.release(str(checkout))
