"""What Git remembers of a VM file that is gone."""

import subprocess
from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.git.deleted import is_since, versions


@pytest.fixture
def git(tmp_path):
    def run(*arguments: str, cwd: Path = tmp_path) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "-b", "main")
    return run


def last_committed(path: Path):
    return next(versions(path), None)


def commit(git, folder: Path, files: dict[str, str | None]) -> str:
    for name, text in files.items():
        path = folder / "vms" / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True) if text is None else path.write_text(text)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "x", "--allow-empty", cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


def test_removed_in_a_commit(git, tmp_path):
    commit(git, tmp_path, {"a.yaml": "1", "b.yaml": "x"})
    before = commit(git, tmp_path, {"a.yaml": "2"})
    gone = commit(git, tmp_path, {"a.yaml": None})
    after = commit(git, tmp_path, {"b.yaml": "y"})
    path = tmp_path / "vms/a.yaml"
    assert last_committed(path) == (b"2", gone)
    assert is_since(path.parent, gone, before)
    assert is_since(path.parent, gone, None)
    assert is_since(path.parent, None, after)
    assert not is_since(path.parent, gone, gone)
    assert not is_since(path.parent, gone, after)
    assert is_since(path.parent, gone, "0" * 40)
    assert last_committed(tmp_path / "vms/never.yaml") is None


def test_every_version_once_and_the_newest_first(git, tmp_path):
    commit(git, tmp_path, {"a.yaml": "1", "b.yaml": "x"})
    commit(git, tmp_path, {"a.yaml": None})
    for text in ("2", "1", "3"):
        commit(git, tmp_path, {"a.yaml": text})
    (tmp_path / "vms/a.yaml").write_bytes(b"\xff")
    commit(git, tmp_path, {})
    gone = commit(git, tmp_path, {"a.yaml": None})
    found = list(versions(tmp_path / "vms/a.yaml"))
    assert [version.content for version in found] == [b"\xff", b"3", b"1", b"2"]
    assert {version.commit for version in found} == {gone}


def test_a_forged_date_does_not_change_the_order(git, tmp_path, monkeypatch):
    for text, year in (("1", 2030), ("2", 2001), (None, 2001)):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{year}-01-01T00:00:00Z")
        commit(git, tmp_path, {"a.yaml": text, "b.yaml": "x"})
    assert [version.content for version in versions(tmp_path / "vms/a.yaml")] == [b"2", b"1"]


def test_removed_on_a_branch_or_in_a_merge(git, tmp_path):
    commit(git, tmp_path, {"a.yaml": "1", "b.yaml": "1"})
    git("switch", "-qc", "side")
    commit(git, tmp_path, {"a.yaml": None})
    git("switch", "-q", "main")
    commit(git, tmp_path, {"c.yaml": "1"})
    git("merge", "-q", "--no-ff", "--no-commit", "side")
    (tmp_path / "vms/b.yaml").unlink()
    merge = commit(git, tmp_path, {})
    # Either was removed here by the merge.
    assert last_committed(tmp_path / "vms/a.yaml") == (b"1", merge)
    assert last_committed(tmp_path / "vms/b.yaml") == (b"1", merge)


def test_removed_but_not_committed(git, tmp_path):
    commit(git, tmp_path, {"a.yaml": "1"})
    (tmp_path / "vms/a.yaml").unlink()
    assert last_committed(tmp_path / "vms/a.yaml") == (b"1", None)


def test_a_shallow_clone_does_not_know(git, tmp_path):
    commit(git, tmp_path, {"a.yaml": "1", "b.yaml": "x"})
    commit(git, tmp_path, {"a.yaml": None})
    git("clone", "-q", "--depth", "1", f"file://{tmp_path}", "shallow")
    assert last_committed(tmp_path / "shallow/vms/a.yaml") is None
    git("fetch", "-q", "--unshallow", cwd=tmp_path / "shallow")
    assert last_committed(tmp_path / "shallow/vms/a.yaml").content == b"1"


def test_no_repository(tmp_path):
    with pytest.raises(Fault, match="is in no Git repository"):
        last_committed(tmp_path / "a.yaml")


def test_nothing_committed_yet(git, tmp_path):
    assert last_committed(tmp_path / "a.yaml") is None
