"""A connection to the API of a kubeconfig's cluster, with the credentials in memory and the way that helm would take.

By urllib3, since the package kubernetes takes longer to load than all that is asked here; it is loaded for credentials
that another program gives.
"""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fleet.clusters.contents import decode
from fleet.contexts.handover import in_memory
from fleet.findings import Fault, listed, printable

if TYPE_CHECKING:
    import urllib3

CONNECT, READ = 5, 20  # seconds to connect, and between two parts of an answer
PROGRAMS = ("exec", "auth-provider")
CERTIFICATE = ("client-certificate-data", "client-certificate", "client-key-data", "client-key")
KNOWN = {*CERTIFICATE, *PROGRAMS, "token", "tokenFile", "extensions"}


class Connection(NamedTuple):
    server: str  # without a final slash
    pool: "urllib3.PoolManager"
    headers: dict[str, str]


def connection(kubeconfig: dict[str, Any]) -> Connection:
    """Not opened yet. Raises Fault for credentials that cannot be used, and for those that helm would use otherwise."""
    import urllib3

    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = printable(kubeconfig["current-context"])
    if strange := sorted(str(field) for field in user if field not in KNOWN and user[field]):
        raise Fault(
            f"the user of context {context} has {listed(strange)}, with which the cluster cannot be asked here; store"
            " a certificate or a token"
        )
    try:
        headers = {"Authorization": f"Bearer {token}"} if (token := _token(kubeconfig, user)) else {}
        more: dict[str, Any] = {"ssl_context": _tls(cluster, user), "headers": headers}
        more["timeout"] = urllib3.Timeout(connect=CONNECT, read=READ)
        # A redirect could lead the question, with its credentials, to another host.
        more["retries"] = urllib3.Retry(
            connect=2, read=0, redirect=0, other=0, backoff_factor=0.2, raise_on_redirect=False
        )
        if name := cluster.get("tls-server-name"):
            more["server_hostname"] = name
        proxy = cluster.get("proxy-url")  # none of the environment: see handover
        pool = urllib3.ProxyManager(proxy, **more) if proxy else urllib3.PoolManager(**more)
    except (OSError, ValueError, TypeError, LookupError, urllib3.exceptions.HTTPError) as error:
        raise Fault(
            f"the credentials of context {context} cannot be used: {printable(str(error))[:200]}"
        ) from None
    return Connection(str(cluster["server"]).rstrip("/"), pool, headers)


def _token(kubeconfig: dict[str, Any], user: dict[str, Any]) -> str:
    if any(user.get(program) for program in PROGRAMS):
        return _from_program(kubeconfig)
    if not user.get("token") and user.get("tokenFile"):
        return Path(user["tokenFile"]).read_text("utf-8").strip()
    return user.get("token") or ""


def _from_program(kubeconfig: dict[str, Any]) -> str:
    from kubernetes import client, config

    made = client.Configuration()
    try:
        config.load_kube_config_from_dict(kubeconfig, client_configuration=made, persist_config=False)
    except config.ConfigException as error:
        raise ValueError(str(error)) from None
    held = next(iter(made.api_key.values()), "").removeprefix("Bearer ")
    if not held:
        raise ValueError("the program that the kubeconfig names gave no token")
    return held


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    text = decode(authority).decode() if authority else None
    made = ssl.create_default_context(cadata=text, cafile=cluster.get("certificate-authority"))
    if cluster.get("insecure-skip-tls-verify"):
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    parts = [
        decode(user[f"{name}-data"]) if user.get(f"{name}-data") else Path(user[name]).read_bytes()
        for name in ("client-certificate", "client-key")
        if user.get(f"{name}-data") or user.get(name)
    ]
    if parts:
        with in_memory(b"\n".join(parts)) as path:  # OpenSSL reads a key from what has a name only
            made.load_cert_chain(path)
    return made
