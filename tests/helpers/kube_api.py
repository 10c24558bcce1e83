"""A real kube-apiserver with its etcd on loopback, and what a client with an administrator's certificate asks of it."""

import base64
import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fleet.clusters import ready
from lab import builds, packages
from tests.helpers.vault_server import free_port

ISSUER = "https://kubernetes.default.svc.cluster.local"  # K3s' own, the same in every cluster


class Api:
    """One cluster's API; `sign` starts it, and again with other keys for the tokens of ServiceAccounts."""

    def __init__(self, folder: Path, etcd: str, name: str):
        self.folder, self.port, self.name = folder, free_port(), name
        self.process: subprocess.Popen | None = None
        self.etcd = [f"--etcd-servers={etcd}", f"--etcd-prefix=/{name}"]
        folder.mkdir()
        _certificates(folder)
        cluster, user = (
            {
                f"{field}-data": base64.b64encode((folder / file).read_bytes()).decode()
                for field, file in fields
            }
            for fields in (
                [("certificate-authority", "ca.pem")],
                [("client-certificate", "admin.pem"), ("client-key", "admin.key")],
            )
        )
        self.cluster = {"server": f"https://127.0.0.1:{self.port}"} | cluster
        self.user = user
        self.kubeconfig = {
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": f"c-{name}", "cluster": self.cluster}],
            "users": [{"name": f"c-{name}", "user": self.user}],
            "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"c-{name}"}}],
        }  # fmt: skip

    def sign(self, *keys: Path) -> None:
        """Sign with the first key, and accept the others too."""
        self.end()
        argv = [
            builds.entry("kubernetes") / "kube-apiserver", *self.etcd, f"--secure-port={self.port}",
            "--bind-address=127.0.0.1", f"--tls-cert-file={self.folder / 'server.pem'}",
            f"--tls-private-key-file={self.folder / 'server.key'}", f"--client-ca-file={self.folder / 'ca.pem'}",
            "--authorization-mode=RBAC", "--anonymous-auth=false", f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={keys[0]}", "--service-cluster-ip-range=10.43.0.0/16",
            *(f"--service-account-key-file={key}" for key in keys), "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none", "--feature-gates=WatchList=false",
        ]  # fmt: skip
        log = self.folder / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(list(map(str, argv)), stdout=out, stderr=out)
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz") == "ok":
                    return
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, path: str, body: dict | None = None) -> Any:
        """One call as the administrator; an HTTPError where it is refused."""
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(
            self.cluster["server"] + path, data, {"Content-Type": "application/json"}, method=method
        )
        handler = urllib.request.HTTPSHandler(context=ready.context(self.cluster, self.user))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)
        with opener.open(asked, timeout=30) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def token(
        self, account: str = "external-secrets", namespace: str = "external-secrets", audience: str = "vault"
    ) -> str:
        """A token of a ServiceAccount, as a workload is given one. Both are made if they are not there."""
        place = "/api/v1/namespaces"
        for path, name in ((place, namespace), (f"{place}/{namespace}/serviceaccounts", account)):
            try:
                self.ask("POST", path, {"metadata": {"name": name}})
            except urllib.error.HTTPError as error:
                with error:
                    assert error.code == 409, error.read()
        spec = {"audiences": [audience], "expirationSeconds": 600}
        path = f"{place}/{namespace}/serviceaccounts/{account}/token"
        return self.ask("POST", path, {"spec": spec})["status"]["token"]


@contextlib.contextmanager
def running(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Api]]:
    """Clusters, not started yet, over one etcd."""
    builds.build(builds.find("kubernetes"))
    packages.fetch_etcd()
    clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    argv = [
        packages.fetched("etcd"), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}", f"--listen-peer-urls={peers}", "--unsafe-no-fsync",
        f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}",
    ]  # fmt: skip
    with (folder / "etcd.log").open("wb") as log:
        etcd = subprocess.Popen(list(map(str, argv)), stdout=log, stderr=log)
    found = {name: Api(folder / name, clients, name) for name in names}
    try:
        yield found
    finally:
        for one in found.values():
            one.end()
        etcd.kill()
        etcd.wait()


def new_key(path: Path) -> Path:
    """A key for tokens."""
    _openssl("genrsa", "-out", path, "2048")
    return path


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def _certificates(folder: Path) -> None:
    new = (
        "req",
        "-batch",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "3",
    )
    _openssl(*new, "-subj", "/CN=ca", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key")
    for name, subject, more in (
        ("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1"),
        ("admin", "/O=system:masters/CN=system:admin", "extendedKeyUsage=clientAuth"),
    ):
        place = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        _openssl(
            *new, *signed, "-subj", subject, "-addext", more, "-addext", "basicConstraints=CA:FALSE", *place
        )
