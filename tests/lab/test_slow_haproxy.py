"""HAProxy with the configuration of the role, under load, while servers stop, hang, come back, leave and join.

HAProxy, TLS and the role's reload are real; a server is 40 lines of Python that answer as an API server does to a
request without credentials. Everything is on the loopback, so a server's machine cannot lose power here: a server that
is stopped refuses connections, and one that hangs accepts them and says nothing.
"""

import asyncio
import contextlib
import csv
import os
import runpy
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.paths import PLAYBOOKS_DIR
from tests.helpers import api_server
from tests.helpers.https_server import certificate
from tests.playbooks.test_haproxy_config import render

FRONTEND, SERVERS = 16443, {name: 16450 + number for number, name in enumerate("abcd")}
RATE, MOST_OPEN = 200, 40  # connections a second, and at once
PATIENCE = 10  # seconds that kubectl would wait at most
CONTROL = PLAYBOOKS_DIR / "roles/haproxy/files/control.py"
ASK = runpy.run_path(str(CONTROL))["ask"]


class Servers:
    """The servers by their names, each a process."""

    def __init__(self, pem: Path):
        self.pem, self.running = pem, {}

    def start(self, name: str) -> None:
        argv = [sys.executable, api_server.__file__, str(SERVERS[name]), str(self.pem)]
        self.running[name] = subprocess.Popen(argv)

    def signal(self, name: str, what: int) -> None:
        self.running[name].send_signal(what)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running.pop(name).wait()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(certificate(tmp_path))
    for name in "abc":
        made.start(name)
    yield made
    for name in list(made.running):
        made.kill(name)


class Balancer:
    """HAProxy with a configuration of the role's, in a folder of its own and by the user who runs the test."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "haproxy.cfg"
        self.socket, self.state = folder / "admin.sock", folder / "state"
        self.state.write_text("1\n")

        machines = {}
        for names in ("abc", "bc", "bcd"):
            listed = [{"name": name, "address": "127.0.0.1", "port": SERVERS[name]} for name in names]
            cluster = {"name": "k8s-prod", "address": "127.0.0.1", "port": FRONTEND, "servers": listed}
            machines[names] = {"haproxy_clusters": [cluster], "haproxy_stats_port": FRONTEND + 1}
        assert not render(folder, machines, {})

    def write(self, names: str) -> None:
        """The role's configuration for these servers, without what only root may have and with paths of our own."""
        text = (self.folder / f"{names}.cfg").read_text()
        for here in ("    chroot ", "    user ", "    group ", "    log /", "    daemon"):
            text = "".join(line for line in text.splitlines(True) if not line.startswith(here))
        text = text.replace("/run/haproxy/admin.sock", str(self.socket))
        self.config.write_text(text.replace("/var/lib/haproxy/server-state", str(self.state)))

    def start(self) -> None:
        path = f"{os.environ['PATH']}:/usr/sbin"
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["haproxy", "-W", "-db", "-f", str(self.config)], stderr=log, env={"PATH": path}
            )

    def reload(self, names: str) -> None:
        self.write(names)
        asked = ["kill", "-USR2", str(self.process.pid)]
        argv = [sys.executable, CONTROL, "reload", self.config, self.socket, self.state, "60", *asked]
        assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith(
            "reloaded\n"
        )

    def up(self) -> set[str]:
        rows = csv.DictReader((ASK(str(self.socket), "show stat") or "").removeprefix("# ").splitlines())
        return {row["svname"] for row in rows if row["svname"] in SERVERS and row["status"].startswith("UP")}


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Balancer]:
    made = Balancer(tmp_path)
    made.write("abc")
    made.start()
    yield made
    made.process.terminate()
    made.process.wait(timeout=20)


CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


@contextlib.asynccontextmanager
async def asking(path: str):
    reader, writer = await asyncio.open_connection("127.0.0.1", FRONTEND, ssl=CONTEXT)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: k8s-prod\r\n\r\n".encode())
        yield reader
    finally:
        writer.close()


async def ask() -> bool:
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(PATIENCE), asking("/api") as reader:
            return (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
    return False


class Load:
    """Connections at a steady rate; what failed, and the longest anybody waited, by the phase that it ended in."""

    def __init__(self):
        self.phase, self.asked, self.failed, self.longest = "", Counter(), Counter(), Counter()
        self.tasks: set[asyncio.Task] = set()

    async def one(self) -> None:
        start = time.monotonic()
        if not await ask():
            self.failed[self.phase] += 1
        self.longest[self.phase] = max(self.longest[self.phase], time.monotonic() - start)

    async def run(self) -> None:
        """At RATE, but never more than MOST_OPEN at once: a machine too slow for it would measure only itself."""
        due = time.monotonic()
        while self.phase != "end":
            if len(self.tasks) < MOST_OPEN:
                self.asked[self.phase] += 1
                self.tasks.add(task := asyncio.create_task(self.one()))
                task.add_done_callback(self.tasks.discard)
            due = max(due + 1 / RATE, time.monotonic() - 0.1)
            await asyncio.sleep(max(0, due - time.monotonic()))
        await asyncio.gather(*self.tasks)


async def watch(lines: list[float]) -> None:
    """One connection that lasts, as a watch of kubectl's; when each line of it came."""
    with contextlib.suppress(OSError, EOFError):
        async with asking("/watch") as reader:
            while await reader.readline():
                lines.append(time.monotonic())


async def shown(balancer: Balancer, wanted: str) -> float:
    """Seconds until HAProxy holds these servers for alive, and no others."""
    start = time.monotonic()
    while await asyncio.to_thread(balancer.up) != set(wanted):
        assert time.monotonic() - start < 60, f"not {wanted}: {balancer.up()}"
        await asyncio.sleep(0.05)
    return time.monotonic() - start


async def day(servers: Servers, balancer: Balancer) -> tuple[Load, dict[str, float], bool]:
    """The load through everything that happens; also seconds until HAProxy knew, and whether the watch went on."""
    load, knew, lines = Load(), {}, []
    await shown(balancer, "abc")
    load.phase = "all is well"
    running = asyncio.create_task(load.run())
    watching = asyncio.create_task(watch(lines))
    await asyncio.sleep(4)
    load.phase = "one is stopped"
    servers.kill("b")
    knew[load.phase] = await shown(balancer, "ac")
    await asyncio.sleep(2)
    load.phase = "it comes back"
    servers.start("b")
    knew[load.phase] = await shown(balancer, "abc")
    await asyncio.sleep(2)
    load.phase = "one hangs"
    servers.signal("c", signal.SIGSTOP)
    knew[load.phase] = await shown(balancer, "ab")
    await asyncio.sleep(1)
    servers.signal("c", signal.SIGCONT)
    await shown(balancer, "abc")
    await asyncio.sleep(2)
    before = len(lines)
    load.phase = "one leaves, by a reload"
    await asyncio.to_thread(balancer.reload, "bc")
    knew[load.phase] = await shown(balancer, "bc")
    await asyncio.sleep(3)
    load.phase = "one joins, by a reload, before it answers"
    await asyncio.to_thread(balancer.reload, "bcd")
    await shown(balancer, "bc")
    servers.start("d")
    knew[load.phase] = await shown(balancer, "bcd")
    await asyncio.sleep(3)
    load.phase = "end"
    await running
    went_on = len(lines) > before + 20
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return load, knew, went_on


# The most connections of a phase that may fail. One that hangs has taken some before HAProxy knows; a killed one takes
# those with it that it was answering.
MOST = {"one is stopped": 5, "one hangs": 25}


def test_a_day_of_servers(servers: Servers, balancer: Balancer):
    load, knew, went_on = asyncio.run(day(servers, balancer))
    for phase, count in load.asked.items():
        print(
            f"{phase}: {count} connections, {load.failed[phase]} failed,"
            f" the longest {load.longest[phase]:.2f} s, HAProxy knew after {knew.get(phase, 0):.1f} s"
        )
    assert sum(load.asked.values()) > 2 * RATE  # as many as the machine could ask
    assert {phase: count for phase, count in load.failed.items() if count > MOST.get(phase, 0)} == {}
    assert max(load.longest.values()) < PATIENCE > max(knew.values())
    assert went_on, "the watch through a server that left was cut"


def test_a_watch_moves_on_when_its_server_stops_answering(servers: Servers, balancer: Balancer):
    """Without a word of the server's: HAProxy ends the connection as soon as it holds the server for dead."""

    async def moved() -> float:
        await shown(balancer, "abc")
        lines: list[float] = []
        watching = asyncio.create_task(watch(lines))
        while len(lines) < 3:
            await asyncio.sleep(0.05)
        for name in "abc":
            servers.signal(name, signal.SIGSTOP)
        start = time.monotonic()
        await asyncio.wait_for(watching, PATIENCE)
        return time.monotonic() - start

    print(f"cut after {asyncio.run(moved()):.1f} s")
