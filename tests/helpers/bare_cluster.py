"""A real API server with etcd on loopback and nothing else: releases of helm, and whoever reads them, need no more.

No controller runs, so that a Deployment never gets ready. Before the API stands a switch, which cuts it off at once.
"""

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import builds, packages
from tests.helpers.vault_server import free_port

DAY = datetime.timedelta(days=1)
PEM, NONE = serialization.Encoding.PEM, serialization.NoEncryption()


class Authority:
    """Signs what the parts of the cluster show each other."""

    def __init__(self, folder: Path):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = _name("ca")
        self.certificate = self._signed(self.name, self.key, x509.BasicConstraints(True, None))
        (folder / "ca.crt").write_bytes(self.certificate.public_bytes(PEM))

    def issue(self, name: str, group: str = "", address: str = "") -> tuple[bytes, bytes]:
        """Certificate and key in PEM, also as files NAME.crt and NAME.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        more = (
            [x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])] if address else []
        )
        pair = (
            self._signed(_name(name, group), key, *more).public_bytes(PEM),
            key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, NONE),
        )
        for suffix, data in zip(("crt", "key"), pair, strict=True):
            (self.folder / f"{name}.{suffix}").write_bytes(data)
        return pair

    def _signed(self, name: x509.Name, key: Any, *extensions: Any) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - DAY).not_valid_after(now + DAY)
        for extension in extensions:
            made = made.add_extension(extension, isinstance(extension, x509.BasicConstraints))
        return made.sign(self.key, hashes.SHA256())


def _name(common: str, group: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Cluster:
    def __init__(self, folder: Path):
        self.folder, self.authority = folder, Authority(folder)
        self.authority.issue("server", address="127.0.0.1")
        self.authority.issue("accounts")
        self.admin = self.authority.issue("admin", "system:masters")
        self.etcd, self.peer, self.port = (free_port() for _ in range(3))
        self.switch = Switch(self.port)
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        end = f"http://127.0.0.1:{self.etcd}"
        self._run(
            packages.fetched("etcd"), f"--data-dir={self.folder}/etcd", f"--listen-client-urls={end}",
            f"--advertise-client-urls={end}", f"--listen-peer-urls=http://127.0.0.1:{self.peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        self._run(
            builds.entry("kubernetes") / "kube-apiserver", f"--etcd-servers={end}", "--bind-address=127.0.0.1",
            f"--secure-port={self.port}", "--authorization-mode=RBAC", "--profiling=false", "--anonymous-auth=false",
            f"--client-ca-file={self.folder}/ca.crt", f"--tls-cert-file={self.folder}/server.crt",
            f"--tls-private-key-file={self.folder}/server.key", "--service-account-issuer=https://x",
            f"--service-account-key-file={self.folder}/accounts.key",
            f"--service-account-signing-key-file={self.folder}/accounts.key",
            "--service-cluster-ip-range=10.96.0.0/24", f"--cert-dir={self.folder}",
            "--feature-gates=SizeBasedListCostEstimate=false,WatchList=false",
            "--disable-admission-plugins=ServiceAccount,ValidatingAdmissionWebhook,MutatingAdmissionWebhook",
        )  # fmt: skip
        end_of_wait = time.monotonic() + 60
        while not self._ready():
            assert time.monotonic() < end_of_wait, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def _run(self, *command: object) -> None:
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(list(map(str, command)), stdout=log, stderr=log))

    def _ready(self) -> bool:
        trusted = ssl.create_default_context(cafile=self.folder / "ca.crt")
        trusted.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)
        opener = urllib.request.build_opener(*handlers)
        with contextlib.suppress(OSError):
            # The namespace may come a moment after /readyz says ok.
            for path in ("readyz", "api/v1/namespaces/kube-system"):
                opener.open(f"https://127.0.0.1:{self.port}/{path}", timeout=2).close()
            return True
        return False

    def stop(self) -> None:
        self.switch.close()
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def kubeconfig(
        self, context: str, pair: tuple[bytes, bytes] | None = None, **user: str
    ) -> dict[str, Any]:
        """Of the administrator, of the user of another pair, or with a token; by way of the switch."""
        if not user:
            names = ("client-certificate-data", "client-key-data")
            user = {name: _text(data) for name, data in zip(names, pair or self.admin, strict=True)}
        cluster = {"server": f"https://127.0.0.1:{self.switch.port}",
                   "certificate-authority-data": _text((self.folder / "ca.crt").read_bytes())}  # fmt: skip
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "clusters": [{"name": f"{context}-c", "cluster": cluster}],
            "users": [{"name": f"{context}-c", "user": user}],
            "contexts": [{"name": context, "context": {"cluster": f"{context}-c", "user": f"{context}-c"}}],
        }  # fmt: skip

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        files = {
            "certificate-authority": "ca.crt",
            "client-certificate": "admin.crt",
            "client-key": "admin.key",
        }
        options = [f"--{name}={self.folder}/{file}" for name, file in files.items()]
        options.append(f"--server=https://127.0.0.1:{self.port}")
        command = [
            str(builds.entry("kubernetes") / "kubectl"),
            "--kubeconfig=/dev/null",
            *options,
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Switch:
    """Passes connections on to a port; when `off`, those that are open end and new ones are refused."""

    def __init__(self, target: int):
        self.target, self.open = target, set[socket.socket]()
        self.port, self.listener, self.off_after = 0, None, None
        self.on()

    def on(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def off(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    close = off

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self.target)) as far:
            self.open |= {near, far}
            try:
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join()
            finally:
                self.open -= {near, far}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    packages.fetch_etcd()
    builds.build(builds.find("kubernetes"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
