"""What a command prints that shows a machine's words: bounded while it is read."""

import subprocess
import time

import pytest

from fleet import processes


@pytest.mark.parametrize(
    ("script", "code", "out", "err"),
    [
        ("echo a; echo b >&2; exit 3", 3, "a\n", "b\n"),
        ("printf 'a\\377'", 0, "a\ufffd", ""),
        ("cat", 0, "", ""),  # nothing to read
        ("exec >&- 2>&-; sleep 0.2; exit 4", 4, "", ""),
    ],
)
def test_an_answer(script, code, out, err):
    done = processes.answer(["sh", "-c", script], 10)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_only_the_end_of_a_long_answer_is_kept():
    done = processes.answer(["sh", "-c", "seq 50000; seq 50000 >&2"], 30)
    for text in (done.stdout, done.stderr):
        assert len(text) == processes.KEPT and text.endswith("\n49999\n50000\n")


@pytest.mark.parametrize(
    ("script", "seconds", "raised"),
    [
        ("yes", 60, processes.Endless),
        ("yes >&2", 60, processes.Endless),
        ("exec sleep 60", 0.3, subprocess.TimeoutExpired),
        ("exec >&- 2>&-; exec sleep 60", 0.3, subprocess.TimeoutExpired),
        ("while :; do echo a; sleep 0.01; done", 0.3, subprocess.TimeoutExpired),
    ],
)
def test_an_answer_that_does_not_end(script, seconds, raised):
    start = time.monotonic()
    with pytest.raises(raised):
        processes.answer(["sh", "-c", script], seconds)
    assert time.monotonic() - start < 10
