"""Atomic writes: whoever reads, whenever the writer is killed, sees the old text or the new one."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.files import read_text, temporary, write_atomic, write_text
from fleet.findings import Fault

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_a_new_file_gets_the_mode_asked_for(tmp_path):
    assert write_atomic(tmp_path / "a", "x\n", mode=0o600)
    assert ((tmp_path / "a").stat().st_mode & 0o777, (tmp_path / "a").read_text()) == (0o600, "x\n")


def test_line_endings_and_mode_stay(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a\r\n")
    path.chmod(0o640)
    assert write_atomic(path, "a\r\nb\r\n", backup=tmp_path / "a.bak")
    assert path.read_bytes() == b"a\r\nb\r\n"
    assert (tmp_path / "a.bak").read_bytes() == b"a\r\n"
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o640}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_keeps_its_owner(tmp_path):
    (tmp_path / "a").write_text("old")
    os.chown(tmp_path / "a", 65534, 65534)
    write_atomic(tmp_path / "a", "new", backup=tmp_path / "a.bak")
    assert {(file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()} == {(65534, 65534)}


def test_the_same_text_writes_nothing(tmp_path):
    path = tmp_path / "a"
    path.write_text("x")
    before = path.stat()
    assert not write_atomic(path, "x", backup=tmp_path / "a.bak")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        write_atomic(tmp_path / "pipe", "new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_symlink_stays_one(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_failed_write_leaves_the_old_text_and_no_litter(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match=f"disk full: '{tmp_path}/a'"):
        write_atomic(tmp_path / "a", "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_what_was_written_outlives_a_power_cut(tmp_path, monkeypatch):
    kinds = []
    monkeypatch.setattr(os, "fsync", lambda handle: kinds.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    write_atomic(tmp_path / "a", "new")
    assert kinds == [False, True], "the text before the rename, the folder after it"


# Kills itself with SIGKILL just before the Nth system call that an audit hook or a patched function sees.
KILLED = """
import os, signal, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fleet.files import read_text, temporary, write_atomic, write_text
from fleet.findings import Fault
left = int(sys.argv[3])
def counted(function):
    def wrapper(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper
for name in ("fdopen", "fchown", "fchmod", "fsync", "open", "close", "rename", "replace"):
    setattr(os, name, counted(getattr(os, name)))
Path.replace = counted(Path.replace)
tempfile.mkstemp = counted(tempfile.mkstemp)
target = Path(sys.argv[2])
write_atomic(target, "new" * 100_000, backup=target.with_suffix(".bak"))
"""


def test_killed_at_any_step_the_file_is_old_or_new(tmp_path):
    target = tmp_path / "k8s.ini"
    seen = set()
    for step in range(40):
        target.write_text("old")
        run = subprocess.run([sys.executable, "-c", KILLED, SCRIPTS, target, str(step)], check=False)
        text = target.read_text()
        assert text in ("old", "new" * 100_000)
        seen.add((run.returncode, text[:3]))
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
    assert seen == {(-signal.SIGKILL, "old"), (-signal.SIGKILL, "new"), (0, "new")}


def test_text_is_read_with_its_line_endings(tmp_path):
    (tmp_path / "a").write_bytes(b"a\r\nb\n")
    assert read_text(tmp_path / "a") == "a\r\nb\n"
    assert read_text(tmp_path / "missing") == ""


def test_not_utf8(tmp_path):
    (tmp_path / "k8s.ini").write_bytes(b"# one\nk8s-\xff")
    with pytest.raises(Fault, match="UTF-8") as fault:
        read_text(tmp_path / "k8s.ini")
    assert fault.value.finding.line == 2


def test_a_file_that_cannot_be_written_is_a_fault(tmp_path):
    with pytest.raises(Fault, match="cannot be written"):
        write_text(tmp_path / "missing" / "a", "text")


def test_a_temporary_folder_is_private_and_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    with temporary("x-") as folder:
        assert (folder.parent, folder.name[:2]) == (tmp_path, "x-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []
