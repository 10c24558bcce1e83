"""The lab's own life, on small labs in temporary folders: start, repair, crash, stop."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

import lab
from lab import cache, cgroup, daemons, leftovers, network, process, setup, vault
from lab.environment import environment

SMALL = ("postgres", "vault")  # of the real daemons, the quick ones


@pytest.fixture
def small(tmp_path, monkeypatch):
    """LAB_DIR in a folder that no other user may enter."""
    monkeypatch.setenv("LAB_DIR", str(tmp_path / "lab"))
    yield tmp_path / "lab"
    daemons.down()


def command(*argv: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "lab", *argv], cwd=lab.ROOT, capture_output=True, text=True, timeout=120
    )


def running() -> dict[str, int]:
    return {item.name: item.pid for item in daemons.status() if item.state == "runs"}


def ci(method: str, path: str, body: dict | None = None) -> dict:
    return vault.request(method, path, body, token=lab.secret("vault_token"))


def test_up_twice_starts_nothing_the_second_time(small):
    assert daemons.up(SMALL) == list(SMALL)
    first = running()
    assert set(first) == set(SMALL)
    assert daemons.up(SMALL) == []
    assert running() == first


def test_command_line(small):
    assert "not up" in command("exec", "--", "true").stderr
    up = command("up", *SMALL)
    assert (up.returncode, up.stdout) == (0, "started: postgres, vault\n"), up.stderr
    status = command("status")
    assert status.returncode == 1, "not all of the lab runs"
    assert "vault      runs" in status.stdout
    assert "proxmox    stopped" in status.stdout
    # In the lab's network, with its environment: both services take what the environment offers.
    check = (
        "import os, hvac, psycopg; psycopg.connect(os.environ['PG_CONN_STR']).close();"
        "print(hvac.Client(os.environ['VAULT_ADDR'], os.environ['VAULT_TOKEN']).is_authenticated())"
    )
    asked = command("exec", "--", "python", "-c", check)
    assert (asked.returncode, asked.stdout) == (0, "True\n"), asked.stderr
    assert command("exec", "--", "sh", "-c", "exit 7").returncode == 7
    assert "ready to accept connections" in command("logs", "postgres").stdout
    assert command("logs", "nginx").returncode == 2
    assert command("down").returncode == 0
    assert leftovers.found_now() == []


def test_a_daemon_that_died_is_started_again_with_its_state(small):
    daemons.up(SMALL)
    body = {"data": {"KUBECONFIG": "kept"}, "options": {"cas": 0}}
    ci("POST", f"kv/data/{vault.PATH}", body)
    before, token = running(), lab.secret("vault_token")
    os.kill(before["vault"], signal.SIGKILL)
    while process.pid("vault"):
        time.sleep(0.01)
    assert [item.state for item in daemons.status()[:2]] == ["runs", "stopped"]
    assert daemons.up(SMALL) == ["vault"]
    assert running()["postgres"] == before["postgres"]
    assert lab.secret("vault_token") == token
    assert ci("GET", f"kv/data/{vault.PATH}")["data"]["data"] == {"KUBECONFIG": "kept"}


def test_state_outlives_a_crash_of_everything(small):
    daemons.up(SMALL)
    ci("POST", f"kv/data/{vault.PATH}", {"data": {"KUBECONFIG": "kept"}})
    for pid in cgroup.pids():
        with contextlib.suppress(ProcessLookupError):  # a server's child ends with it
            os.kill(pid, signal.SIGKILL)
    daemons.down()
    assert leftovers.found_now() == []
    assert daemons.up(SMALL) == list(SMALL)
    assert ci("GET", f"kv/data/{vault.PATH}")["data"]["data"] == {"KUBECONFIG": "kept"}


def test_down_finds_what_nobody_keeps_a_record_of(small, tmp_path):
    daemons.up(["vault"])
    image, mount = small / "disk.raw", small / "mnt"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    for argv in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(mount)]):
        subprocess.run(argv, check=True)
    stray = subprocess.Popen(network.inside_argv(["sleep", "600"]), cwd=mount)
    while stray.pid not in network.processes():
        time.sleep(0.01)
    assert leftovers.mounts() and leftovers.loops()
    daemons.down()
    assert stray.wait(5) == -signal.SIGKILL
    assert leftovers.found_now() == []


def test_down_of_a_lab_that_never_was_or_is_half_there(small):
    daemons.down()
    network.up()
    cgroup.make("vm500")
    daemons.down()
    assert leftovers.found_now() == []


def test_a_stranger_with_the_same_process_id_is_let_alone(small):
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        process.pidfile("vault").parent.mkdir(parents=True)
        process.pidfile("vault").write_text(f"{stranger.pid} 1\n")
        assert process.pid("vault") is None
        daemons.down()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_daemon_that_ends_while_it_starts_shows_its_log(small):
    network.up()
    with pytest.raises(lab.LabError, match="no such configuration"):
        process.start("broken", ["sh", "-c", "echo no such configuration; exit 3"], ready=lambda: False)
    with pytest.raises(lab.LabError, match="slow is not ready after 0 s"):
        process.start("slow", ["sleep", "600"], ready=lambda: False, seconds=0.2)


def test_a_daemon_takes_its_children_with_it(small):
    network.up()
    process.start("parent", ["sh", "-c", "sleep 600 & sleep 600 & wait"], ready=lambda: True)
    while len(cgroup.pids("parent.daemon")) < 3:
        time.sleep(0.01)
    process.stop("parent")
    assert cgroup.pids() == set()


def test_two_labs_side_by_side(small, tmp_path, monkeypatch):
    daemons.up(SMALL)
    mine = running()
    with monkeypatch.context() as other:
        other.setenv("LAB_DIR", str(tmp_path / "other"))
        try:
            daemons.up(SMALL)
            assert not set(running().values()) & set(mine.values())
            assert lab.secret("vault_token") != ci_token_of(small)
        finally:
            daemons.down()
        assert leftovers.found_now() == []
    assert running() == mine


def ci_token_of(folder: Path) -> str:
    return (folder / "secrets/vault_token").read_text().strip()


def proxmox(method: str, path: str, **form) -> object:
    """One call of the lab's Proxmox API, with the token and the CA that Terraform uses."""
    env = environment()
    with network.inside():
        answer = requests.request(
            method, f"{lab.PROXMOX_URL}api2/json{path}", data=form or None, timeout=60,
            headers={"Authorization": f"PVEAPIToken={env['PROXMOX_VE_API_TOKEN']}"},
            verify=env["REQUESTS_CA_BUNDLE"],
        )  # fmt: skip
    answer.raise_for_status()
    data = answer.json()["data"]
    if isinstance(data, str) and data.startswith("UPID:"):
        task = f"/nodes/{data.split(':')[1]}/tasks/{quote(data, safe='')}/status"
        while (state := proxmox("GET", task))["status"] != "stopped":
            time.sleep(0.1)
        assert state["exitstatus"] == "OK"
    return data


def test_machines_stop_and_start_with_the_lab_and_leave_nothing(small):
    setup.everything()
    daemons.up()
    assert {item.state for item in daemons.status()} == {"runs"}
    proxmox("POST", "/nodes/node01/qemu/9000/clone", newid=500, name="machine", full=1)
    proxmox("PUT", "/nodes/node01/qemu/500/config", scsi1="local-lvm:1", ide2="local-lvm:cloudinit")
    proxmox("POST", "/nodes/node01/qemu/500/status/start")
    assert daemons.machines() == ["vm500"]
    assert leftovers.loops()
    process.kill("proxmox")
    assert daemons.machines() == ["vm500"], "a machine does not need the API that started it"
    assert daemons.up() == ["proxmox"]
    daemons.down()
    assert leftovers.found_now() == []
    daemons.up()
    deadline = time.monotonic() + 20
    while not daemons.machines() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert daemons.machines() == ["vm500"]
    while alive := cgroup.pids():  # all at once, as when the host runs out of memory
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    daemons.down()
    assert leftovers.found_now() == []


def test_nothing_leads_out_of_the_network(small):
    network.up()
    routes = subprocess.run(
        network.inside_argv(["ip", "route"]), capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert [route.split()[0] for route in routes if route] == ["192.168.1.0/24"]


def test_vault_can_be_sealed_and_gives_ci_one_secret_alone(small):
    daemons.up(["vault"])
    ci("POST", f"kv/data/{vault.PATH}", {"data": {"KUBECONFIG": "a"}, "options": {"cas": 0}})
    with pytest.raises(lab.LabError, match="check-and-set parameter did not match"):
        ci("POST", f"kv/data/{vault.PATH}", {"data": {"KUBECONFIG": "b"}, "options": {"cas": 0}})
    for method, path in (
        ("GET", "kv/data/other"),
        ("POST", "kv/data/other"),
        ("DELETE", f"kv/data/{vault.PATH}"),
        ("GET", f"kv/metadata/{vault.PATH}"),
        ("DELETE", f"kv/metadata/{vault.PATH}"),
        ("GET", "sys/mounts"),
        ("POST", "auth/token/create"),
    ):
        with pytest.raises(lab.LabError, match="permission denied"):
            ci(method, path, {} if method == "POST" else None)
    vault.seal()
    with pytest.raises(lab.LabError, match="503"):
        ci("GET", f"kv/data/{vault.PATH}")
    assert daemons.up(["vault"]) == []  # repairs: it runs, but is sealed
    assert ci("GET", f"kv/data/{vault.PATH}")["data"]["metadata"]["version"] == 1


def test_secrets_stay_in_their_files(small):
    daemons.up(SMALL)
    found = lab.secrets()
    assert {name.split(":")[0] for name in found} == {
        "github_token", "postgres_admin_password", "postgres_password", "proxmox_root_password",
        "proxmox_tls.key", "proxmox_token", "ssh_key", "vault_root_token", "vault_token", "vault_unseal_key",
    }  # fmt: skip
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in (small / "secrets").iterdir() if path.suffix != ".pub"
    )
    seen = [path.read_bytes() for path in (small / "log").iterdir()]
    seen += [
        Path(f"/proc/{pid}/{what}").read_bytes() for pid in cgroup.pids() for what in ("cmdline", "environ")
    ]
    for name, value in found.items():
        assert not any(value.encode() in text for text in seen), name


def make_entry(target: Path, made) -> None:
    with cache.made(target, "a test") as folder:
        if folder:
            (folder / "file").write_text("whole")
            time.sleep(0.2)
            made.put(1)


def test_two_checkouts_build_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    made, target = context.Queue(), tmp_path / "thing-1.0"
    workers = [context.Process(target=make_entry, args=(target, made)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert made.get() == 1 and made.empty()
    assert (target / "file").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path, small):
    with pytest.raises(lab.LabError, match="no space"), cache.made(tmp_path / "thing-1.0", "a test"):
        cache.run(["sh", "-c", "echo no space; exit 1"], "test")
    assert not list(tmp_path.glob("*thing-1.0*new*")) and not (tmp_path / "thing-1.0").exists()
