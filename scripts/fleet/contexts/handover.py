"""Hand a kubeconfig over to the commands that this process starts: in memory, and under a name that they can open.

Not in a file, in which the key of a cluster would outlive a killed run, and not on a command line.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleet import processes
from fleet.clusters.yaml_edit import dump
from fleet.findings import Fault, listed

# What helm, kubectl and Terraform's providers obey before the kubeconfig: with one of these a command reaches another
# cluster than the one that was checked, or the same one as somebody else.
ELSEWHERE = (
    *(f"HELM_KUBE{name}" for name in ("CONTEXT", "APISERVER", "TOKEN", "CAFILE", "ASUSER", "ASGROUPS")),
    *(f"HELM_KUBE{name}" for name in ("INSECURE_SKIP_TLS_VERIFY", "TLS_SERVER_NAME")),
    *(f"KUBE_{name}" for name in ("HOST", "TOKEN", "USER", "PASSWORD", "INSECURE", "TLS_SERVER_NAME")),
    *(f"KUBE_{name}" for name in ("CLIENT_CERT_DATA", "CLIENT_KEY_DATA", "CLUSTER_CA_CERT_DATA")),
    *(f"KUBE_{name}" for name in ("CONFIG_PATHS", "CTX_AUTH_INFO", "CTX_CLUSTER", "PROXY_URL")),
)
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@contextlib.contextmanager
def handed_over(kubeconfig: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The variables for the environment of commands that run while this context lasts, and no longer.

    `kubeconfig` is one of `single`. Raises Fault where the environment leads to another cluster.
    """
    if found := [name for name in ELSEWHERE if os.environ.get(name)]:
        raise Fault(
            f"{listed(found)} would lead the command to another cluster than the context's; unset"
            f" {'it' if len(found) == 1 else 'them'}, since Vault's kubeconfig says all that is needed",
            code=2,
        )
    with in_memory(dump(kubeconfig).encode()) as path:
        settings = {"KUBECONFIG": path, "KUBE_CONFIG_PATH": path, "KUBE_CTX": kubeconfig["current-context"]}
        yield settings | _past_proxies(kubeconfig["clusters"][0]["cluster"])


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """The name under which this process and its children can read the content, while this context lasts."""
    if not hasattr(os, "memfd_create"):
        with _in_file(content) as path:
            yield path
        return
    number = os.memfd_create("kubeconfig")  # closed in children: they open it by its name, if they need it
    try:
        os.fchmod(number, 0o600)  # it is made with 0777
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
        yield f"/proc/{os.getpid()}/fd/{number}"
    finally:
        os.close(number)


@contextlib.contextmanager
def _in_file(content: bytes) -> Iterator[str]:
    """Where there is no memory with a name, as on macOS: a file, removed however this ends but by SIGKILL."""
    with processes.exit_on_signals(), tempfile.TemporaryDirectory(prefix="kubeconfig-") as folder:
        path = Path(folder, "config")
        path.touch(0o600)
        path.write_bytes(content)
        yield str(path)


def _past_proxies(cluster: dict[str, Any]) -> dict[str, str]:
    """NO_PROXY with the API's host, where a proxy is set: clusters are asked directly, by this project too.

    Only a proxy that the kubeconfig names is for the API; helm and Terraform reach charts and providers by the others.
    """
    if cluster.get("proxy-url") or not any(os.environ.get(name) for name in PROXIES):
        return {}
    host = urlsplit(str(cluster["server"])).hostname or ""
    before = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, (before, host))))
