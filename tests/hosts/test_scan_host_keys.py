"""scan_host_keys.py against real OpenSSH servers on loopback."""

import hashlib
import hmac
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest

import scan_host_keys
from fleet.hosts import known_hosts, ssh
from tests.helpers.sshd import Server, servers


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with servers(tmp_path_factory.mktemp("machine"), 1) as (server,):
        yield server


@pytest.fixture(autouse=True)
def fresh(machine):
    machine.says("status: done")


def scan(tmp_path: Path, lines: list[str], *options: str) -> int:
    inventory = tmp_path / "k8s.ini"
    inventory.write_text("\n".join(lines) + "\n")
    names = ",".join(line.split()[0] for line in lines)
    return scan_host_keys.main(
        [
            "--inventory",
            str(inventory),
            "--known-hosts",
            str(tmp_path / "known_hosts"),
            "--hosts",
            names,
            *options,
        ]
    )


def test_writes_the_key_and_the_next_scan_changes_nothing(machine, tmp_path, capsys):
    line = f"k8s-dev {machine.variables()}  # terraform mac=AA instance=abc123"
    assert scan(tmp_path, [line]) == 0
    file = tmp_path / "known_hosts"
    assert (
        file.read_text()
        == f"[127.0.0.1]:{machine.port} ssh-ed25519 {machine.host_key} k8s-dev instance=abc123\n"
    )
    before = file.stat().st_mtime_ns
    assert scan(tmp_path, [line]) == 0
    assert file.stat().st_mtime_ns == before
    assert "k8s-dev: ready" in capsys.readouterr().out


def test_another_key_of_the_same_instance_is_refused(machine, tmp_path, capsys):
    file = tmp_path / "known_hosts"
    file.write_text(f"[127.0.0.1]:{machine.port} ssh-ed25519 AAAAC3old k8s-dev instance=abc\n")
    before = file.read_text()
    assert scan(tmp_path, [f"k8s-dev {machine.variables()} # terraform instance=abc"]) == 1
    assert file.read_text() == before
    said = capsys.readouterr().err
    assert "host keys of k8s-dev at" in said and "changed though the machine did not" in said
    assert known_hosts.fingerprint(machine.host_key) in said and "take the lines of" in said


def test_a_new_instance_replaces_the_key(machine, tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(
        f"# mine\n[127.0.0.1]:{machine.port} ssh-ed25519 AAAAC3old k8s-dev instance=abc\nother ssh-rsa AAAA\n"
    )
    assert scan(tmp_path, [f"k8s-dev {machine.variables()} # terraform instance=def"]) == 0
    assert file.read_text() == (
        "# mine\nother ssh-rsa AAAA\n"
        f"[127.0.0.1]:{machine.port} ssh-ed25519 {machine.host_key} k8s-dev instance=def\n"
    )


@pytest.mark.parametrize(
    ("says", "code", "ready", "said"),
    [
        ("status: done", 0, True, "ready"),
        ("....\nstatus: done\nextended_status: degraded done", 2, True, "degraded"),
        ("status: disabled", 0, True, "disabled"),
        ("status: error\ndetail: no data source", 1, False, "no data source"),
        ("", 127, True, "no cloud-init"),
        ("Traceback", 1, False, "unknown"),
        (
            "status: error\x1b[2J\n\r::error::x ##[group]",
            1,
            False,
            r"error\x1b[2J: status: error\x1b[2J ::error::x # #[",
        ),
    ],
)
def test_cloud_init(machine, tmp_path, capsys, says, code, ready, said):
    machine.says(says, code)
    assert scan(tmp_path, [f"k8s-dev {machine.variables()}"]) == int(not ready)
    streams = capsys.readouterr()
    assert said in streams.out + streams.err
    assert (tmp_path / "known_hosts").exists() is ready


def test_cloud_init_is_waited_for_only_so_long(machine, tmp_path, capsys):
    machine.says("status: done", after=5)
    assert scan(tmp_path, [f"k8s-dev {machine.variables()}"], "--cloud-init-timeout", "1") == 1
    assert "cloud-init is not done after 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["yes", "yes >&2", "yes status: done | tr -d '\\n'"])
def test_an_answer_without_end_is_cut_off(machine, tmp_path, capsys, script):
    machine.cloud_init.write_text(f"#!/bin/sh\n{script}\n")
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert scan(tmp_path, [f"k8s-dev {machine.variables()}"]) == 1
    assert "does not end" in capsys.readouterr().err
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


def test_unreachable_machines_are_reported_and_the_others_go_on(machine, tmp_path, capsys):
    lines = [f"k8s-a {machine.variables()}", "k8s-b ansible_host=127.0.0.1 ansible_port=1"]
    lines += ["k8s-c ansible_host=no.such.host.invalid", "k8s-l ansible_connection=local"]
    start = time.monotonic()
    assert scan(tmp_path, lines, "--timeout", "2", "--format", "json") == 1
    assert time.monotonic() - start < 10
    streams = capsys.readouterr()
    ready = {one["name"]: one["ready"] for one in json.loads(streams.out)}
    assert ready == {"k8s-a": True, "k8s-b": False, "k8s-c": False, "k8s-l": True}
    assert "no answer within 2 s" in streams.err
    assert machine.host_key in (tmp_path / "known_hosts").read_text()


def test_refused_login_says_why(machine, tmp_path, capsys):
    line = f"k8s-dev ansible_host=127.0.0.1 ansible_port={machine.port} ansible_user=nobody"
    assert scan(tmp_path, [line], "--timeout", "1") == 1
    assert "Permission denied" in capsys.readouterr().err


def test_unknown_machine(machine, tmp_path, capsys):
    (tmp_path / "k8s.ini").write_text("k8s-a\n")
    args = [
        "--inventory",
        str(tmp_path / "k8s.ini"),
        "--known-hosts",
        str(tmp_path / "k"),
        "--hosts",
        "k8s-b",
    ]
    assert scan_host_keys.main(args) == 1
    assert "k8s-b is not in the inventory" in capsys.readouterr().err
    assert not (tmp_path / "k").exists()


def test_waits_for_a_machine_that_boots(tmp_path):
    server = Server(tmp_path / "late")
    starting = threading.Timer(1.5, server.start)
    starting.start()
    try:
        assert scan(tmp_path, [f"k8s-dev {server.variables()}"], "--timeout", "20") == 0
    finally:
        starting.join()
        server.stop()


def test_keys_that_cloud_init_makes_anew_are_read_again(tmp_path):
    """The template's keys are shown first, the machine's own when cloud-init is done."""
    server = Server(tmp_path / "first").start()
    marker = tmp_path / "regenerated"
    server.cloud_init.write_text(
        f"#!/bin/sh\nif [ ! -e {marker} ]; then touch {marker}; sleep 2; fi\necho 'status: done'\n"
    )
    template = server.host_key

    def regenerate() -> None:
        while not marker.exists():
            time.sleep(0.05)
        server.new_host_keys()
        server.stop()
        server.start()

    thread = threading.Thread(target=regenerate)
    thread.start()
    try:
        line = f"k8s-dev {server.variables()} # terraform instance=abc"
        assert scan(tmp_path, [line], "--timeout", "20") == 0
    finally:
        thread.join()
        server.stop()
    assert server.host_key != template
    assert server.host_key in (tmp_path / "known_hosts").read_text()
    assert template not in (tmp_path / "known_hosts").read_text()


def test_the_environments_key_is_used_and_never_inherited(machine, tmp_path, monkeypatch):
    text = machine.key_file.read_text().replace("\n", "\r\n").strip()
    monkeypatch.setenv("SSH_PRIVATE_KEY", text)
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path / "runner"))
    (tmp_path / "runner").mkdir()
    variables = machine.variables().rpartition(" ansible_private_key_file")[0]
    assert scan(tmp_path, [f"k8s-dev {variables}"]) == 0
    assert list((tmp_path / "runner").iterdir()) == []
    monkeypatch.setenv("SSH_PRIVATE_KEY", text)
    with ssh.private_key() as file:
        assert Path(file).stat().st_mode & 0o777 == 0o600
        assert "PRIVATE KEY" not in subprocess.run(["env"], capture_output=True, text=True, check=True).stdout


def hashed(place: str) -> str:
    salt = b"s" * 20
    digest = hmac.new(salt, place.encode(), hashlib.sha1).digest()
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()}"


KEYS = {"ssh-ed25519": "AAAAnew"}
H = hashed("10.0.0.1")
NEW = "10.0.0.1 ssh-ed25519 AAAAnew k8s-a instance=i2\n"


@pytest.mark.parametrize(
    ("text", "instance", "after"),
    [
        ("", "i2", NEW),
        ("", "", "10.0.0.1 ssh-ed25519 AAAAnew k8s-a\n"),
        ("10.0.0.1 ssh-ed25519 AAAAnew\n", "", None),
        ("10.0.0.1 ssh-ed25519 AAAAnew\n", "i2", None),
        ("10.0.0.1 ssh-ed25519 AAAAold\n", "", known_hosts.Changed),
        ("10.0.0.1 ssh-ed25519 AAAAold\n", "i2", NEW),
        ("10.0.0.1 ssh-rsa AAAAold\n", "", known_hosts.Changed),  # no kind in common: cannot be compared
        ("10.0.0.1 ssh-rsa AAAAold k8s-a instance=i2\n", "i2", known_hosts.Changed),
        ("10.0.0.1 ssh-ed25519 AAAAold k8s-a instance=i1", "i2", NEW),
        ("10.0.0.1 ssh-ed25519 AAAAold k8s-b instance=i9\n", "i2", NEW),  # the address had another machine
        (
            "10.0.0.10 ssh-ed25519 AAAAold x instance=i9\n",
            "i2",
            "10.0.0.10 ssh-ed25519 AAAAold x instance=i9\n" + NEW,
        ),
        # Terraform changed the instance, the machine did not restart yet: nothing is written.
        ("10.0.0.1 ssh-ed25519 AAAAnew k8s-a instance=i1\n", "i2", None),
        # The machine's earlier address.
        ("10.0.0.7 ssh-ed25519 AAAAold k8s-a instance=i1\n", "i2", NEW),
        # A DHCP server gave the same instance another address: it must show the keys that it had.
        ("10.0.0.7 ssh-ed25519 AAAAnew k8s-a instance=i2\n", "i2", NEW),
        ("10.0.0.7 ssh-ed25519 AAAAold k8s-a instance=i2\n", "i2", known_hosts.Changed),
        ("10.0.0.7 ssh-rsa AAAAold k8s-a instance=i2\n", "i2", known_hosts.Changed),
        (
            "10.0.0.7 ssh-ed25519 AAAAold k8s-b instance=i2\n",
            "i2",
            "10.0.0.7 ssh-ed25519 AAAAold k8s-b instance=i2\n" + NEW,
        ),
        (
            "10.0.0.7 ssh-ed25519 AAAAold k8s-a instance=i2\n10.0.0.1 ssh-ed25519 AAAAnew k8s-b instance=i9\n",
            "i2",
            known_hosts.Changed,  # those of the machine whose address it claims
        ),
        (f"{H} ssh-ed25519 AAAAnew\n", "", None),
        (f"{H} ssh-ed25519 AAAAold\n", "", known_hosts.Changed),
        (f"{H} ssh-ed25519 AAAAold\n{hashed('b')} ssh-rsa A\n", "i2", f"{hashed('b')} ssh-rsa A\n{NEW}"),
        ("|1|broken ssh-ed25519 AAAAold\n", "i2", "|1|broken ssh-ed25519 AAAAold\n" + NEW),
        ("web,10.0.0.1 ssh-ed25519 AAAAold me\n", "i2", "web ssh-ed25519 AAAAold me\n" + NEW),
        ("@revoked 10.0.0.1 ssh-ed25519 AAAAold\n", "i2", "@revoked 10.0.0.1 ssh-ed25519 AAAAold\n" + NEW),
        ("# note\n\nnonsense\n", "i2", "# note\n\nnonsense\n" + NEW),
        ("# no newline", "i2", "# no newline\n" + NEW),
    ],
)
def test_known_hosts(text, instance, after):
    if after is known_hosts.Changed:
        with pytest.raises(known_hosts.Changed, match=r"10\.0\.0\.1"):
            known_hosts.renewed(text, "k8s-a", "10.0.0.1", KEYS, instance)
        return
    assert known_hosts.renewed(text, "k8s-a", "10.0.0.1", KEYS, instance) == (
        text if after is None else after
    )


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("10.0.0.1 ssh-ed25519 AAAA k8s-a instance=i1", False),
        ("[10.0.0.1]:2222 ssh-rsa AAAA k8s-a", False),
        ("10.0.0.2 ssh-ed25519 AAAA k8s-ab instance=i1", True),
        ("10.0.0.2 ssh-ed25519 AAAA me@k8s-a", True),
        ("10.0.0.2 ssh-ed25519 AAAA", True),
        ("# k8s-a", True),
        ("@revoked * ssh-ed25519 AAAA k8s-a", True),
    ],
)
def test_a_removed_machine_leaves_the_record(line, stays):
    text = f"# hi\n{line}\n10.0.0.9 ssh-ed25519 AAAA k8s-b\n"
    assert (known_hosts.without(text, ["k8s-a", "k8s-c"]) == text) is stays
    assert known_hosts.without(text, []) == text


def test_a_part_of_the_keys_must_not_differ():
    text = "10.0.0.1 ssh-ed25519 AAAAnew k8s-a\n10.0.0.1 ssh-rsa AAAArsa k8s-a\n"
    with pytest.raises(known_hosts.Changed):
        known_hosts.renewed(text, "k8s-a", "10.0.0.1", KEYS | {"ssh-rsa": "AAAAforged"})
    assert known_hosts.renewed(text, "k8s-a", "10.0.0.1", KEYS) == text
    assert known_hosts.renewed(text, "k8s-a", "10.0.0.1", KEYS | {"ecdsa-sha2-nistp256": "AAAA"}) == text


def test_fingerprint_is_openssh_s(machine):
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(machine.folder / "host.pub")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert known_hosts.fingerprint(machine.host_key) == done.stdout.split()[1]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_soon_and_leaves_nothing(machine, tmp_path, signum):
    machine.says("status: done", after=60)
    (tmp_path / "k8s.ini").write_text(
        f"k8s-a {machine.variables()}\nk8s-b ansible_host=127.0.0.1 ansible_port=1\n"
    )
    (tmp_path / "runner").mkdir()
    key = {"SSH_PRIVATE_KEY": machine.key_file.read_text(), "RUNNER_TEMP": str(tmp_path / "runner")}
    options = [f"--inventory={tmp_path}/k8s.ini", f"--known-hosts={tmp_path}/known", "--hosts=k8s-a,k8s-b"]
    run = subprocess.Popen([sys.executable, scan_host_keys.__file__, *options], env=os.environ | key)
    end = time.monotonic() + 30
    while not list((tmp_path / "runner").iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)
    run.send_signal(signum)
    assert run.wait(timeout=15) == 128 + signum
    assert list((tmp_path / "runner").iterdir()) == []
    assert not (tmp_path / "known").exists()


def test_the_time_to_wait_is_a_variable(monkeypatch, tmp_path, capsys):
    (tmp_path / "k8s.ini").write_text("k8s-a ansible_host=127.0.0.1 ansible_port=1\n")
    options = [f"--inventory={tmp_path}/k8s.ini", f"--known-hosts={tmp_path}/known", "--hosts=k8s-a"]
    monkeypatch.setenv("SSH_TIMEOUT", "0.1")
    assert scan_host_keys.main(options) == 1
    monkeypatch.setenv("SSH_TIMEOUT", "soon")
    with pytest.raises(SystemExit) as ended:
        scan_host_keys.main(options)
    assert ended.value.code == 2 and "soon" in capsys.readouterr().err


def test_the_queued_machines(machine, tmp_path, capsys):
    (tmp_path / "k8s.ini").write_text(f"k8s-a {machine.variables()}\nk8s-b ansible_port={{{{x}}}}\n")
    (tmp_path / "q").write_text("127.0.0.1,k8s-a\n127.0.0.1,k8s-a,k8s\n1.1.1.1,k8s-b\n")
    options = [f"--inventory={tmp_path}/k8s.ini", f"--known-hosts={tmp_path}/known", f"--queue={tmp_path}/q"]
    assert scan_host_keys.main(options) == 1
    streams = capsys.readouterr()
    assert streams.out == "k8s-a: ready\n" and "which is not a number" in streams.err
