"""Machines for K3s that are only namespaces, each with an address, a name and the folders of K3s of its own.

They start in a moment and need no disk image; there is no systemd in them, so K3s is started and ended directly.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lab import ROOT, builds, packages

GATEWAY, VERSION = "10.77.0.1", "v1.34.4+k3s1"
OWN = ("/etc/rancher", "/var/lib/rancher")


def sh(*argv: str, check: bool = True, **options) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def until(condition: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> object:
    """What the condition gives as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.3)
    return found


class Site(NamedTuple):
    """The network in which the nodes are, with the server of the releases."""

    folder: Path
    prefix: str  # of the namespaces' names
    nodes: list["Node"]

    def node(self, name: str, last: int) -> "Node":
        one = Node(self, name, f"10.77.0.{last}")
        self.nodes.append(one)
        one.make()
        return one


class Node:
    def __init__(self, site: Site, name: str, address: str):
        self.site, self.name, self.address = site, name, address
        self.folder, self.space = site.folder / name, f"{site.prefix}-{name}"
        self.process: subprocess.Popen | None = None
        self.log = self.folder / "log"

    def make(self) -> None:
        """A new machine: also in place of one of the same name, whose disk is lost."""
        self.stop(signal.SIGKILL)
        sh("rm", "-rf", str(self.folder))
        for path in OWN:
            (self.folder / path[1:]).mkdir(parents=True)
            Path(path).mkdir(parents=True, exist_ok=True)
        self.log.touch()
        if self.space in sh("ip", "netns", "list").split():
            return
        sh("ip", "netns", "add", self.space)
        near, far = f"v{self.address.replace('.', '')}", "eth0"
        sh(
            "ip",
            "-n",
            self.space,
            "link",
            "add",
            far,
            "type",
            "veth",
            "peer",
            "name",
            near,
            "netns",
            self.site.prefix,
        )
        sh("ip", "-n", self.site.prefix, "link", "set", near, "master", "br0", "up")
        sh("ip", "-n", self.space, "addr", "add", f"{self.address}/24", "dev", far)
        for device in (far, "lo"):
            sh("ip", "-n", self.space, "link", "set", device, "up")
        sh("ip", "-n", self.space, "route", "add", "default", "via", GATEWAY)

    def argv(self, *argv: str) -> list[str]:
        mounts = "; ".join(f"mount --bind {self.folder}{path} {path}" for path in OWN)
        inside = f'hostname {self.name}; {mounts}; exec "$@"'
        return ["ip", "netns", "exec", self.space, "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child",
                "--mount-proc", "sh", "-ec", inside, "sh", *argv]  # fmt: skip

    def run(self, *argv: str, check: bool = True) -> str:
        done = subprocess.run(self.argv(*argv), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}\n{self.tail()}"
        return done.stdout.strip() + ("" if check else done.stderr)

    def fetch(self, version: str = VERSION) -> None:
        url = f"http://{GATEWAY}:8080/k3s-io/k3s/releases/download/{version}/k3s"
        self.run("sh", "-c", f"curl -sfS -o /var/lib/rancher/bin {url}; chmod +x /var/lib/rancher/bin")

    def start(self, *args: str, **env: str) -> "Node":
        """`k3s ARGS…`, which is fetched before if it is not there."""
        if not (self.folder / "var/lib/rancher/bin").exists():
            self.fetch()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv("/var/lib/rancher/bin", *args), stdout=log, stderr=log, env={**os.environ, **env}
            )
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            os.kill(self.main(), how)
            self.process.wait(30)

    def main(self) -> int:
        """K3s' process: the first of its namespace. The one that we started only waits for it."""
        return int(sh("pgrep", "--parent", str(self.process.pid), check=False) or self.process.pid)

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def said(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def up(self, seconds: float = 90) -> "Node":
        until(
            lambda: self.said("is up and running") or self.ended(),
            seconds,
            f"{self.name} is up:\n{self.tail()}",
        )
        assert not self.ended(), self.tail()
        return self

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kubectl(self, *args: str, check: bool = True) -> str:
        return self.run("/var/lib/rancher/bin", "kubectl", *args, check=check)

    def get(self, *args: str) -> dict:
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def members(self) -> list[dict]:
        """Etcd's, as etcdctl lists them."""
        tls = "/var/lib/rancher/k3s/server/tls/etcd"
        said = self.run(
            str(packages.fetched("etcdctl")), "--endpoints=https://127.0.0.1:2379", f"--cacert={tls}/server-ca.crt",
            f"--cert={tls}/client.crt", f"--key={tls}/client.key", "member", "list", "--write-out=json",
        )  # fmt: skip
        return json.loads(said)["members"]


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A network for nodes; whatever was started in it ends with it."""
    packages.fetch_etcd()
    for name in ("kubernetes", "k3s"):
        builds.build(builds.find(name))
    one = Site(folder, f"k{os.getpid()}", [])
    sh("ip", "netns", "add", one.prefix)
    server = None
    try:
        sh("ip", "-n", one.prefix, "link", "add", "br0", "type", "bridge")
        sh("ip", "-n", one.prefix, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        for device in ("br0", "lo"):
            sh("ip", "-n", one.prefix, "link", "set", device, "up")
        argv = [sys.executable, "-m", "lab.k3s", "--bind", GATEWAY]
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                ["ip", "netns", "exec", one.prefix, *argv], cwd=ROOT, stdout=log, stderr=log
            )
        until(
            lambda: "handing out" in (folder / "server.log").read_text(),
            10,
            "the server of the releases runs",
        )
        yield one
    finally:
        for node in one.nodes:
            node.stop(signal.SIGKILL)
        if server:
            server.kill()
            server.wait()
        for space in sh("ip", "netns", "list").split("\n"):
            name = space.split(" ")[0]
            if name == one.prefix or name.startswith(f"{one.prefix}-"):
                for pid in sh("ip", "netns", "pids", name, check=False).split():
                    os.kill(int(pid), signal.SIGKILL)
                sh("ip", "netns", "delete", name)
        # The folders of OWN stay: to remove one would end the mounts that another site has on it.
