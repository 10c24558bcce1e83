"""Whether a cluster's API answers /readyz from here, to the credentials of the kubeconfig that K3s writes.

The certificate is verified for the address that is asked. No redirect is followed: it could lead the question
to another host, whose answer would count as the cluster's.
"""

import base64
import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fleet.clusters.current import checked
from fleet.clusters.server import server_at
from fleet.clusters.yaml_parse import parse
from fleet.deadline import at_most
from fleet.findings import Fault, printable

TIMEOUT = 5  # seconds to connect, and between two bytes of the answer
MOST = 1 << 20  # bytes of a document that are read


class Question(NamedTuple):
    url: str
    context: ssl.SSLContext


def question(kubeconfig: str, address: str) -> Question | None:
    """What to ask at `address`; None when the kubeconfig cannot be used.

    Why it cannot is not told: update_kubeconfig.py, which gets the same kubeconfig, tells it.
    """
    try:
        config = parse(kubeconfig, "the kubeconfig").data
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        host = f"[{address}]" if ":" in address else address
        url = f"https://{host}:{urlsplit(cluster['server']).port or 443}/readyz"
        return Question(url, context(cluster, user))
    except (Fault, LookupError, TypeError, ValueError, AttributeError, OSError):
        return None


def wait_at_most(asked: Question, seconds: float) -> str:
    """`wait`, also for a machine that never ends its answer."""
    try:
        with at_most(seconds + 2 * TIMEOUT):
            return wait(asked, seconds)
    except TimeoutError as error:
        return f"did not answer: {error}"


def wait(asked: Question, seconds: float) -> str:
    """Ask until the API answers 200, for `seconds` at most; empty then, else the problem of the last try."""
    opener = _opener(asked)
    end = time.monotonic() + seconds
    while True:
        try:
            with opener.open(asked.url, timeout=TIMEOUT):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                problem = f"answered {error.code}: {_body(error)}"
        except OSError as error:
            problem = f"did not answer: {getattr(error, 'reason', None) or error}"
        if time.monotonic() > end:
            return problem
        time.sleep(0.5)


def version(asked: Question) -> str | None:
    """The version that the API tells, such as v1.34.4; None when it does not answer."""
    try:
        return str(document(asked, "/version")["gitVersion"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def document(asked: Question, path: str) -> Any:
    """The JSON that the API has at `path`. Raises OSError (a refusal is one too) and ValueError."""
    with _opener(asked).open(urlsplit(asked.url)._replace(path=path).geturl(), timeout=TIMEOUT) as answer:
        return json.loads(answer.read(MOST))


def _opener(asked: Question) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=asked.context), _NoRedirect
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """None: the redirect becomes an HTTPError like every other answer that is not 200."""


def _body(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"a redirect to {printable(error.headers.get('Location', ''))[:200]}, which is not followed"
    return printable(error.read(300).decode(errors="replace").strip())


def context(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    """For requests as the user of a kubeconfig's entries. Raises LookupError, TypeError, ValueError, OSError."""
    authority, certificate, key = (
        base64.b64decode(entry[field])
        for entry, field in (
            (cluster, "certificate-authority-data"),
            (user, "client-certificate-data"),
            (user, "client-key-data"),
        )
    )
    made = ssl.create_default_context(cadata=authority.decode())
    # OpenSSL reads a key only from a file; the folder is this user's alone and removed at once.
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "client.pem"
        pem.touch(0o600)
        pem.write_bytes(certificate + b"\n" + key)
        made.load_cert_chain(pem)
    return made


def uid(cluster: Mapping[str, Any], user: Mapping[str, Any], address: str | None = None) -> str | None:
    """The uid of the cluster's namespace kube-system, asked with a kubeconfig's entries; None if it does not tell.

    `address` is in place of a loopback host, as in server_at.
    """
    try:
        asked = Question(server_at(cluster["server"], address), context(cluster, user))
        with at_most(2 * TIMEOUT):
            return checked(document(asked, "/api/v1/namespaces/kube-system")["metadata"]["uid"])
    except (Fault, OSError, ValueError, LookupError, TypeError):
        return None
