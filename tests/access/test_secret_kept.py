"""A secret that Proxmox tells once: it is in `.env`, or its token is gone again; and nobody else sees it."""

import contextlib
import os
import pty
import re
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from fleet.config import write
from fleet.findings import Fault
from lab import PROXMOX_URL, ROOT, secret
from lab.proxmox import faults
from tests.access.conftest import USER


@contextlib.contextmanager
def no_room():
    """As on a disk that is full: a file may have 32 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_no_secret_is_given_up(made):
    state, text = made.state, made.file.read_text()
    with no_room():
        ran = made.run("--rotate")
    assert ran.status == 2
    assert ran.err.endswith(
        "cannot be written (File too large), so no token is made: its secret would be lost\n"
    )
    assert (made.state, made.file.read_text()) == (state, text) and made.answers()


def test_without_a_file_nothing_is_made(site):
    state = site.state
    site.file.rename(site.file.with_name("env"))
    ran = site.run(PROXMOX_VE_ENDPOINT="https://192.168.1.1:8006/")
    assert (ran.status, "does not exist; `cp .env.example .env` makes one" in ran.err) == (2, True)
    assert site.state == state
    site.file.with_name("env").rename(site.file)


@contextlib.contextmanager
def meanwhile(site, action):
    """Do something while Proxmox makes the token."""
    with faults.injected({"match": "POST .*/token/gitops$", "delay": 1, "times": 1}):
        timer = threading.Timer(0, lambda: (_until(lambda: not faults.current()), action()))
        timer.start()
        yield
        timer.join()


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_that_goes_away_meanwhile(site):
    text = site.file.read_text()
    with meanwhile(site, site.file.unlink):
        ran = site.run()
    assert ran.status == 2
    assert f"{USER}!gitops was removed again, because its secret cannot be kept: " in ran.err
    assert ran.err.endswith("mend that, then run this again\n")
    assert site.state["tokens"] == {}
    site.file.write_text(text)
    assert site.run().status == 0 and site.answers()


def test_a_token_that_cannot_be_removed_either(site, monkeypatch):
    def full(*_):
        raise Fault("cannot be written: No space left on device", ".env", code=2)

    monkeypatch.setattr(write, "set_value", full)
    with faults.injected({"match": "DELETE .*/token", "status": 595, "message": "No route to host"}):
        ran = site.run()
    assert ran.status == 2
    assert (
        f"{USER}!gitops has to be removed by hand (`pveum user token delete {USER} gitops`; a node does"
        in ran.err
    )
    assert ".env: cannot be written: No space left on device" in ran.err


def test_interrupted(site, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "set_value", interrupted)
        assert site.run().status == 130
    assert site.state["tokens"] == {}
    assert site.run().status == 0


KILLED = """
import os, sys
from fleet.config import write
write.set_value = lambda *given: os.kill(os.getpid(), 9)
import proxmox_token
proxmox_token.main(sys.argv[1:])
"""


def environment(site) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts"), "PROXMOX_GITOPS_ENV": str(site.file),
        "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"],
    }  # fmt: skip


def test_killed_before_it_is_written(site):
    command = [sys.executable, "-c", KILLED, "--yes", "--password-file", str(site.password)]
    assert subprocess.run(command, env=environment(site), check=False).returncode == -9
    ran = site.run()
    assert ran.status == 1
    assert "PROXMOX_VE_API_TOKEN in " in ran.err and "`make fix-token ROTATE=gitops` makes" in ran.err
    assert site.answers("PROXMOX_READ_API_TOKEN"), "all else is done"
    assert site.run("--rotate", "gitops").status == 0 and site.answers()
    assert site.run().out == "nothing to change\n"


def test_nobody_sees_a_secret(site):
    """Neither who lists processes, nor who reads what is printed, nor a file beside `.env`."""
    command = [
        sys.executable,
        str(ROOT / "scripts/proxmox_token.py"),
        "--yes",
        "--password-file",
        str(site.password),
    ]
    seen = []
    with (
        faults.injected({"match": "PUT /access/acl", "delay": 0.3, "times": 2}),
        subprocess.Popen(
            command, env=environment(site), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
    ):
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
                seen.append(b"".join(found).decode())
            time.sleep(0.05)
        output = process.stdout.read()
    assert process.returncode == 0, output
    secrets = site.secrets()
    assert len(secrets) == 3 and len(seen) > 5
    for text in (output, *seen):
        assert not any(value in text for value in secrets)
    others = [file for file in site.file.parent.iterdir() if file not in (site.file, site.password)]
    assert others == []
    assert secret("proxmox_root_password") not in site.file.read_text()


def test_typed_at_a_prompt(site):
    """`cp .env.example .env`, its endpoint, and `make fix-token` at a terminal, which shows no secret."""
    example = (ROOT / ".env.example").read_text()
    site.file.write_text(
        re.sub("^PROXMOX_VE_ENDPOINT=.*", f"PROXMOX_VE_ENDPOINT={PROXMOX_URL}", example, flags=re.M)
    )
    keyboard, terminal = pty.openpty()
    shown = b""
    answers = {b"The password of root@pam: ": secret("proxmox_root_password"), b"[y/N] ": "y"}
    with subprocess.Popen(
        ["make", "-s", "fix-token"], cwd=ROOT, env=environment(site) | {"TERM": "dumb"}, start_new_session=True,
        stdin=terminal, stdout=terminal, stderr=terminal,
    ) as process:  # fmt: skip
        os.close(terminal)
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(keyboard, 4096):
                shown += part
                for question in [one for one in answers if one in shown]:
                    os.write(keyboard, f"{answers.pop(question)}\n".encode())
    os.close(keyboard)
    assert (process.returncode, answers) == (0, {}), shown.decode()
    site.check_silent(shown.decode())
    assert site.answers() and site.answers("PROXMOX_READ_API_TOKEN")
    now = re.sub(r"^(PROXMOX_VE_ENDPOINT|PROXMOX_\w+_TOKEN)=.*", r"\1=", site.file.read_text(), flags=re.M)
    assert now == re.sub("^PROXMOX_VE_ENDPOINT=.*", "PROXMOX_VE_ENDPOINT=", example, flags=re.M)
