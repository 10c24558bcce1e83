"""What the machines of a K3s cluster say on port 6443, asked from here and never over SSH.

Nothing that a machine answers is trusted: an answer is bounded in size and time, and a password is only sent to a
server whose certificate the cluster's own CA has signed.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, printable

PORT = 6443
TIMEOUT = 5  # seconds for a question and its whole answer
MOST = 1 << 20  # bytes of an answer
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


class Reply(NamedTuple):
    status: int
    body: bytes


class Answer(NamedTuple):
    """What a machine answers to somebody without credentials."""

    state: str  # "alive"; "busy": something answers, but no API that is up; "silent": nobody does
    problem: str  # why it is not alive
    authority: str  # the CA of its cluster as PEM; "" where it gives none


class EtcdMember(NamedTuple):
    node: str  # its Node's name; "" while it joins
    learner: bool  # not yet a voter
    hosts: frozenset[str]  # the addresses at which its peers find it


def answer(address: str) -> Answer:
    """Ask a control plane whether its API is up. K3s answers 401 to somebody without credentials: up."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        ready = get(address, "/readyz", context)
        found = get(address, "/cacerts", context)
    except (TimeoutError, ConnectionError, socket.gaierror) as error:
        return Answer("silent", printable(str(error)) or type(error).__name__, "")
    except (OSError, http.client.HTTPException) as error:
        # A route that is missing and a host that is off are silence; broken TLS is somebody.
        state = "busy" if isinstance(error, ssl.SSLError | http.client.HTTPException) else "silent"
        return Answer(state, printable(str(error)) or type(error).__name__, "")
    authority = found.body.decode(errors="replace") if found.status == 200 else ""
    if ready.status not in (200, 401):
        return Answer("busy", f"it answers {ready.status} to /readyz", authority)
    return Answer("alive", "", authority)


def has_hash(authority: str, wanted: str) -> bool:
    """Whether a CA is the one that a full token (K10<hash>::…) names.

    K3s hashes the file of a single certificate as it is, and of a chain the root's DER.
    """
    chain = _PEM.findall(authority)
    hashes = [hashlib.sha256(authority.encode()).hexdigest()]
    with contextlib.suppress(ValueError):
        hashes += [hashlib.sha256(ssl.PEM_cert_to_DER_cert(one)).hexdigest() for one in chain[1:]]
    return bool(chain) and wanted in hashes


def etcd(address: str, authority: str, password: str) -> list[EtcdMember]:
    """The members of etcd as the server at `address` lists them. Raises Fault.

    `authority` must have been held against the token's hash.
    """
    credentials = base64.b64encode(f"server:{password}".encode()).decode()
    try:
        context = ssl.create_default_context(cadata=authority)
        reply = get(address, "/db/info", context, {"Authorization": f"Basic {credentials}"})
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Fault(f"{address} does not tell etcd's members: {printable(str(error))}") from None
    if reply.status in (401, 403):
        raise Fault(f"{address} does not accept the cluster's token (it answers {reply.status})")
    try:
        found = json.loads(reply.body)["members"] if reply.status == 200 else None
        # A server that cannot ask etcd used to list itself alone, without an ID.
        if found and all(int(one["ID"]) for one in found):
            return [_member(one) for one in found]
    except (ValueError, KeyError, TypeError):
        pass
    raise Fault(
        f"{address} does not tell etcd's members: it answers {reply.status}, etcd may lack its quorum"
    )


def _member(found: Mapping[str, Any]) -> EtcdMember:
    # K3s calls a member by its Node's name and eight random digits.
    hosts = re.findall(r"https?://\[?([^\]/]+?)\]?(?::\d+)?(?=\s|/|$)", " ".join(found.get("peerURLs") or []))
    node = re.sub(r"-[0-9a-f]{8}$", "", str(found.get("name") or ""))
    return EtcdMember(node, bool(found.get("isLearner")), frozenset(hosts))


def get(
    address: str,
    path: str,
    context: ssl.SSLContext,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request, at most TIMEOUT seconds in all. Raises OSError, HTTPException."""
    with (
        socket.create_connection((address, PORT), TIMEOUT) as raw,
        context.wrap_socket(raw, server_hostname=address, do_handshake_on_connect=False) as tls,
        _cut_after(TIMEOUT, tls),
    ):
        tls.do_handshake()
        connection = http.client.HTTPConnection(address, PORT)
        connection.sock = tls
        connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, response.read(MOST))


@contextlib.contextmanager
def _cut_after(seconds: float, connection: socket.socket) -> Iterator[None]:
    """End the connection then, also for a machine that sends its answer byte by byte."""
    # A second descriptor of the connection: shutting down the first would take TLS away from whoever reads.
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        timer = threading.Timer(seconds, _end, (twin,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
