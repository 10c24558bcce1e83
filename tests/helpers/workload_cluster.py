"""The smallest cluster in which `helm install --wait` works: one server of the K3s stand-in in a namespace.

etcd, kube-apiserver, controller manager and scheduler are real; its node says of pods that they run. It is reached at a
port of 127.0.0.1, so that tests need not enter its namespace. It takes 530 MB of memory: start one for a whole file.
"""

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from lab import builds, network
from tests.helpers.k3s_nodes import Node, site, until

API = 6443


class Door:
    """A port of 127.0.0.1 that leads to the API server in the namespace."""

    def __init__(self, node: Node):
        self.node, self.open, self.writers = node, True, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.running = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self.running.wait(10), "the door to the API server does not open"

    async def _serve(self) -> None:
        # What this thread opens from here on is in the namespace; the listener stays outside.
        network.setns(Path("/run/netns") / self.node.space)
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._through, sock=self.listener)
        self.running.set()
        await self.ended.wait()
        server.close()
        self._abort()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self.writers |= ends
        with suppress(OSError, asyncio.CancelledError):  # cancelled when the door is closed for good
            if self.open:
                there, back = await asyncio.open_connection(self.node.address, API)
                ends.add(back)
                self.writers |= ends
                await asyncio.gather(_pour(reader, back), _pour(there, writer))
        self.writers -= ends
        for end in ends:
            end.close()

    def _abort(self) -> None:
        for one in self.writers:
            one.transport.abort()

    def shut(self) -> None:
        """As if the API server were away: every connection breaks off, also those that are open."""
        self.open = False
        self.loop.call_soon_threadsafe(self._abort)

    def reopen(self) -> None:
        self.open = True

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()


class WorkloadCluster:
    def __init__(self, node: Node, folder: Path):
        self.node, self.folder, self.door = node, folder, Door(node)
        self.address = f"https://127.0.0.1:{self.door.port}"
        self.file = folder / "kubeconfig"
        self.file.write_text(yaml.safe_dump(self.kubeconfig()))
        self.file.chmod(0o600)

    def kubeconfig(self, context: str = "k8s-dev") -> dict:
        """The administrator's, with one context of this name."""
        found = yaml.safe_load((self.node.folder / "etc/rancher/k3s/k3s.yaml").read_text())
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": context, "cluster": {**cluster, "server": self.address}}],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        }

    def environment(self, context: str = "k8s-dev") -> dict[str, str]:
        """What Terraform's helm provider, helm and kubectl read."""
        return {"KUBECONFIG": str(self.file), "KUBE_CONFIG_PATH": str(self.file), "KUBE_CTX": context}

    def kubectl(self, *args: str, check: bool = True) -> str:
        return self._run(builds.entry("kubernetes") / "kubectl", args, check)

    def helm(self, *args: str, check: bool = True) -> str:
        return self._run(builds.entry("helm") / "helm", args, check)

    def _run(self, program: Path, args: tuple[str, ...], check: bool) -> str:
        argv = [str(program), f"--kubeconfig={self.file}", *args]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}\n{self.node.tail()}"
        return done.stdout.strip() + ("" if check else done.stderr)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The API cannot be reached."""
        self.door.shut()
        try:
            yield
        finally:
            self.door.reopen()


@contextmanager
def cluster(folder: Path) -> Iterator[WorkloadCluster]:
    """A cluster of one server, ready for helm, and for Terraform's helm provider."""
    builds.build(builds.find("helm"))
    with site(folder) as network_of_nodes:
        node = network_of_nodes.node("k8s-dev", 11).start("server", K3S_STAND_IN_FULL="true").up(180)
        one = WorkloadCluster(node, folder)
        try:
            until(
                lambda: " Ready " in one.kubectl("get", "nodes", "--no-headers", check=False), 60, node.tail
            )
            yield one
        finally:
            one.door.close()
