"""Nodes of the lab's stand-in for Talos, each on an address of its own, in a network namespace of the test's own.

They are programs, not machines: started in a tenth of a second, with a folder for a disk.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lab import builds, network, packages, setup

NETWORK = "10.5.0"


class Nodes:
    """Nodes by name. Their names number their addresses: the first that is started has 10.5.0.11."""

    def __init__(self, folder: Path, namespace: str):
        self.folder, self.namespace = folder, namespace
        self.address: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen] = {}
        self.talosctl_program = builds.entry("talosctl") / "talosctl"
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "kube-apiserver").symlink_to(builds.entry("kubernetes") / "kube-apiserver")
        for name in packages.PROGRAMS:
            (self.programs / name).symlink_to(packages.fetched(name))

    def inside(self, argv: list[str], node: str = "") -> list[str]:
        """The command in the network of who calls the nodes, or in that of one node."""
        return ["ip", "netns", "exec", f"{self.namespace}{node}", *argv]

    def start(self, name: str, *options: str) -> str:
        """Start a node, again if it was stopped; its address."""
        if name not in self.address:
            self._connect(name)
        program = str(builds.entry("talosnode") / "talosnode")
        argv = [program, "--address", self.address[name], "--link", "eth0", "--disk", str(self.folder / name),
                "--programs", str(self.programs), *options]  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.inside(argv, name), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self.address[name]

    def _connect(self, name: str) -> None:
        """A network namespace for the node: etcd checks from which address another member calls."""
        port = f"node{len(self.address)}"
        self.address[name] = f"{NETWORK}.{11 + len(self.address)}"
        subprocess.run(["ip", "netns", "add", f"{self.namespace}{name}"], check=True)
        link = [
            "ip",
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            f"{self.namespace}{name}",
        ]
        subprocess.run(self.inside(link), check=True)
        subprocess.run(self.inside(["ip", "link", "set", port, "master", "nodes", "up"]), check=True)
        for command in (
            "link set lo up",
            "link set eth0 up",
            f"address add {self.address[name]}/24 dev eth0",
        ):
            subprocess.run(self.inside(["ip", *command.split()], name), check=True)

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Switch a node off; with SIGKILL, as if its power failed."""
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(30)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def talosctl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess:
        """Run talosctl with the talosconfig of the folder, if it has one."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TALOSCONFIG": str(self.talosconfig)}
        argv = self.inside([str(self.talosctl_program), *arguments])
        return subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=300)

    @property
    def talosconfig(self) -> Path:
        return self.folder / "talosconfig"

    def kubectl(self, kubeconfig: str, *arguments: str) -> subprocess.CompletedProcess:
        path = self.folder / "kubeconfig"
        path.write_text(kubeconfig)
        program = str(builds.entry("kubernetes") / "kubectl")
        argv = self.inside([program, f"--kubeconfig={path}", *arguments])
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """A place for nodes; all that was started ends with it."""
    setup.on_demand("kubernetes", "talosctl", "talosnode")
    packages.fetch_etcd()
    namespace = f"nodes-{os.getpid()}-{time.monotonic_ns() % 1_000_000}-"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    found = Nodes(folder, namespace)
    try:
        for command in (
            "link set lo up",
            "link add nodes type bridge",
            "link set nodes up",
            f"address add {NETWORK}.1/24 dev nodes",
        ):
            subprocess.run(found.inside(["ip", *command.split()]), check=True)
        yield found
    finally:
        for name in list(found.processes):
            found.stop(name, signal.SIGKILL)
        for name in ("", *found.address):
            subprocess.run(["ip", "netns", "delete", f"{namespace}{name}"], check=True)


@contextlib.contextmanager
def entered(nodes: Nodes) -> Iterator[None]:
    """This thread, and all that it starts, in the nodes' network."""
    before = os.open(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{nodes.namespace}", os.O_RDONLY)
    try:
        network._setns(there)
        yield
    finally:
        network._setns(before)
        os.close(before)
        os.close(there)


def wait(condition, seconds: float = 60, pause: float = 0.5) -> None:
    """Wait until a function answers with something true; AssertionError with its last answer."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {answer!r}"
        time.sleep(pause)
