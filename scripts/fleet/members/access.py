"""How a cluster of several machines is asked with credentials: its tokens, its CA, and the administrator's key."""

import base64
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.clusters import contents, ready, shared_kubeconfig, yaml_parse
from fleet.clusters.vault import Store
from fleet.findings import Fault
from fleet.members import ask, tokens
from fleet.members.tokens import Tokens


class Access(NamedTuple):
    tokens: Tokens
    authority: str  # the cluster's CA as PEM
    administrator: ssl.SSLContext  # for requests as the kubeconfig's user


class Administrator(NamedTuple):
    """What a kubeconfig has of a cluster."""

    authority: str  # as PEM
    context: ssl.SSLContext
    host: str  # of its server


def known(cluster: str, addr: str | None = None, token: str | None = None) -> bool:
    """Whether Vault's kubeconfig has the cluster. Raises Fault."""
    return contents.has_context(_stored(addr, token), cluster)


def access(cluster: str, kubeconfig: str, addr: str | None = None, token: str | None = None) -> Access:
    """By a member's own kubeconfig, or with "" by the one in Vault. Raises Fault."""
    found = tokens.Store(cluster, addr, token).read()
    if kubeconfig:
        data, what = yaml_parse.parse(kubeconfig, "the kubeconfig").data, "the kubeconfig"
        contents.check(data, what)
    else:
        data, what = _stored(addr, token), f"Vault's kubeconfig of {cluster}"
        if not contents.has_context(data, cluster):
            raise Fault(f"Vault has no kubeconfig of {cluster} yet: its control planes come first", code=2)
    entry = _administrator(data, cluster, what)
    if found.authority and not ask.has_hash(entry.authority, found.authority):
        raise Fault(
            f"{what} is of another cluster: its CA is not the one of the token in Vault"
            f" (kv/cluster-bootstrap/{cluster})"
        )
    return Access(found, entry.authority, entry.context)


def administrator(cluster: str, addr: str | None = None, token: str | None = None) -> Administrator | None:
    """By the kubeconfig in Vault; None where that does not have the cluster. Raises Fault."""
    data = _stored(addr, token)
    if not contents.has_context(data, cluster):
        return None
    return _administrator(data, cluster, f"Vault's kubeconfig of {cluster}")


def _administrator(data: dict, cluster: str, what: str) -> Administrator:
    _, server, user = contents.chosen(data, cluster)
    try:
        authority = base64.b64decode(server["cluster"]["certificate-authority-data"]).decode()
        context = ready.context(server["cluster"], user["user"])
    except (LookupError, TypeError, ValueError, OSError):
        raise Fault(f"{what} cannot be used: it has no certificates of an administrator", code=2) from None
    return Administrator(authority, context, urlsplit(str(server["cluster"]["server"])).hostname or "")


def _stored(addr: str | None, token: str | None) -> dict:
    return shared_kubeconfig.read(Store(addr, token))
