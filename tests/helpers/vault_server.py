"""A real Vault on loopback for tests, and a proxy before it that fails on demand."""

import contextlib
import http.client
import http.server
import json
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from lab import builds
from lab.vault import PATH, POLICY, WORKLOADS


class Vault:
    """An unsealed Vault with a KV v2 at kv/, a KV v1 at old/ and a token that may do what CI needs."""

    def __init__(self, url: str):
        self.url = url
        made = self.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        self.key, self.root = made["keys_base64"][0], made["root_token"]
        self.unseal()
        self.request("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        self.request("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
        self.request("PUT", "sys/policies/acl/ci", {"policy": POLICY})
        self.request("PUT", "sys/policies/acl/workloads", {"policy": WORKLOADS})
        self.token = self.new_token("ci")

    def request(self, method: str, path: str, body: dict | None = None, token: str | None = None) -> dict:
        headers = {"X-Vault-Token": self.root if token is None else token}
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(f"{self.url}/v1/{path}", data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(100):
            try:
                with opener.open(asked, timeout=10) as answer:
                    return json.loads(answer.read() or b"{}")
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read().decode()
                if "Upgrading" not in said and error.code != 503:  # a new mount needs a moment
                    raise AssertionError(f"{method} {path}: {error.code} {said}") from None
                time.sleep(0.05)
        raise AssertionError(f"{method} {path}: not ready")

    def new_token(self, *policies: str) -> str:
        made = self.request("POST", "auth/token/create", {"policies": policies, "no_parent": True})
        return made["auth"]["client_token"]

    def seal(self) -> None:
        self.request("PUT", "sys/seal")

    def unseal(self) -> None:
        self.request("PUT", "sys/unseal", {"key": self.key}, token="")

    def read(self) -> tuple[dict, int]:
        """The newest version's fields and its number."""
        answer = self.request("GET", f"kv/data/{PATH}")["data"]
        return answer["data"], answer["metadata"]["version"]

    def write(self, **fields) -> None:
        self.request("POST", f"kv/data/{PATH}", {"data": fields})

    def forget(self) -> None:
        self.request("DELETE", f"kv/metadata/{PATH}")


@contextlib.contextmanager
def running() -> Iterator[Vault]:
    builds.build(next(build for build in builds.BUILDS if build.name == "vault"))
    program = builds.entry("vault") / "vault"
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        command = [str(program), "-listen", f"127.0.0.1:{port}", "-storage", f"{folder}/data"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None, Path(folder, "log").read_text()
                time.sleep(0.05)
            yield Vault(f"http://127.0.0.1:{port}")
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to a Vault. `script` holds what the next ones get instead.

    An HTTP status, a status with the text of a body (and the address of a redirect), "hang up", "lose the
    answer" (it is passed on, but nothing comes back), other text as the body of a 200, or None to pass it on.
    """

    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target.removeprefix("http://")
        self.script: list[int | tuple[int, str] | tuple[int, str, str] | str | None] = []
        self.seen: list[str] = []
        self.namespaces: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a client that went away


class _Handler(http.server.BaseHTTPRequestHandler):
    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(self.command)
        self.server.namespaces.add(self.headers.get("X-Vault-Namespace"))
        step = self.server.script.pop(0) if self.server.script else None
        if isinstance(step, int):
            return self._answer(step, json.dumps({"errors": ["made to fail"]}).encode())
        if isinstance(step, tuple):
            return self._answer(step[0], step[1].encode(), *step[2:])
        if step == "hang up":
            return self.connection.shutdown(socket.SHUT_RDWR)
        if step not in (None, "lose the answer"):
            return self._answer(200, step.encode())
        forward = http.client.HTTPConnection(self.server.target, timeout=10)
        forward.request(self.command, self.path, body, dict(self.headers))
        answer = forward.getresponse()
        text = answer.read()
        forward.close()
        if step == "lose the answer":
            return self.connection.shutdown(socket.SHUT_RDWR)
        return self._answer(answer.status, text)

    do_GET = do_POST = do_PUT = _serve

    def _answer(self, status: int, body: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    with Proxy(target) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
