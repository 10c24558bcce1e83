"""A session with Proxmox VE's API: the scripts' one, and that of the playbooks' action `proxmox_api`.

Endpoint and token come from the variables that the Terraform provider reads: PROXMOX_VE_ENDPOINT,
PROXMOX_VE_API_TOKEN (user@realm!id=secret), PROXMOX_VE_INSECURE; SSL_CERT_FILE names a CA bundle.

More than 150 lines because what the scripts ask of Proxmox in several places has its method here.
"""

import functools
import json
import re
import time
from collections.abc import Callable, Mapping
from os import environ
from typing import Any

from fleet import dotenv
from fleet.console import note
from fleet.findings import Fault
from fleet.proxmox import errors, tls
from fleet.proxmox.errors import Refused, Unanswered
from fleet.proxmox.guest import Guest, guest

READ_TOKEN = "PROXMOX_READ_API_TOKEN"  # it may look at guests and change nothing
TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer
LOCK_TRIES, LOCK_PAUSE = 3, 5  # after the 10 s that Proxmox itself waits for a guest's lock
READ_PAUSES = (0.5, 1.5)  # seconds before a read is tried again
PASSING = (
    502,
    503,
    504,
    596,
    597,
    599,
)  # of a proxy before Proxmox, or of a connection between nodes that broke
INSECURE = (
    "PROXMOX_VE_INSECURE is set, so any certificate is accepted: whoever is on the way can read the token"
)
MOST_BYTES = 64 << 20  # of an answer; that of 10,000 guests is about 5 MB
TOKEN = re.compile(r"[^@!=\s]+@[^@!=\s]+![^@!=\s]+=[A-Za-z0-9-]+")


class Client:
    """A session with one endpoint. Every method raises Fault (exit 2) with the reason and the way out.

    Without a `token` it is nobody's, until fleet.access.ticket has signed somebody in.
    """

    def __init__(self, endpoint: str, token: str | None, insecure: bool = False):
        self.url = tls.checked(endpoint)
        if token is not None and not TOKEN.fullmatch(token):
            wrong = "does not have the form" if token else "is not set; its form is"
            raise Fault(f"PROXMOX_VE_API_TOKEN {wrong} user@realm!tokenid=secret", code=2)
        import requests  # 70 ms that an offline run need not wait for

        self.session = requests.Session()
        if token is not None:
            self.session.headers["Authorization"] = f"PVEAPIToken={token}"
        self.session.auth = lambda request: request  # else a line of ~/.netrc would take the token's place
        self.user = (token or "").partition("=")[0]  # without the secret
        self.verify = tls.prepare(self.session, insecure)

    def get(self, path: str, /, most: int = MOST_BYTES, **params: Any) -> Any:
        """The `data` at a path below /api2/json, of an answer of at most `most` bytes.

        Where the connection broke, or what answers says that it passes, it is asked twice more. Other methods may
        have taken effect and are never sent again.
        """
        return self._ask("GET", path, most, params=params)

    def post(self, path: str, /, **fields: Any) -> Any:
        """Begin or create something; the answer is often a task's UPID (see tasks.wait)."""
        return self._ask("POST", path, data=fields)

    def put(self, path: str, /, **fields: Any) -> Any:
        return self._ask("PUT", path, data=fields)

    def upload(self, path: str, form: Any) -> Any:
        """Send a form with a file, which is read while it is sent (requests_toolbelt's encoder)."""
        headers = {"Content-Type": form.content_type}
        return self._ask_once("POST", path, MOST_BYTES, data=form, headers=headers)

    def delete(self, path: str, /, **params: Any) -> Any:
        return self._ask("DELETE", path, params=params)

    def _ask(self, method: str, path: str, most: int = MOST_BYTES, **content: Any) -> Any:
        """A call that did not get a guest's lock did nothing, and another task seldom holds it for long."""
        if method == "GET":
            return self._read(path, most, **content)
        for _ in range(LOCK_TRIES - 1):
            try:
                return self._ask_once(method, path, most, **content)
            except Refused as refused:
                if "can't lock file" not in str(refused):
                    raise
            time.sleep(LOCK_PAUSE)
        return self._ask_once(method, path, most, **content)

    def _read(self, path: str, most: int, **content: Any) -> Any:
        for pause in READ_PAUSES:
            try:
                return self._ask_once("GET", path, most, **content)
            except Refused as refused:
                # A service that is being restarted refuses connections; a node that is off does not answer at all.
                restarted = refused.status == 595 and "refused" in str(refused)
                if refused.status not in PASSING and not restarted:
                    raise
            except Unanswered as fault:
                if not fault.broken:
                    raise
            time.sleep(pause)
        return self._ask_once("GET", path, most, **content)

    def _ask_once(self, method: str, path: str, most: int, **content: Any) -> Any:
        sent = content.get("data") or content.get("params") or {}
        question = errors.question(method, path, sent if isinstance(sent, Mapping) else {})
        try:
            with self.session.request(
                method,
                f"{self.url}/api2/json/{path}",
                timeout=TIMEOUT,
                verify=self.verify,
                allow_redirects=False,  # the token is for this address alone
                stream=True,
                **content,
            ) as answer:
                body = _body(answer, most)
        except OSError as error:  # which all errors of requests are
            raise errors.no_answer(self.url, question, TIMEOUT[1], error) from error
        if 300 <= answer.status_code < 400:
            raise errors.redirected(self.url, answer)
        if len(body) > most:
            message = (
                f"Proxmox at {self.url} answered {question} with more than {most} bytes, which are not read"
            )
            raise Fault(message, code=2)
        if not answer.ok:
            raise errors.refused(self.url, question, answer.status_code, answer.reason, body)
        try:
            return json.loads(body)["data"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"what answers at {self.url} is not Proxmox VE's API: check PROXMOX_VE_ENDPOINT"
            raise Fault(message, code=2) from error

    def guests(self) -> list[Guest]:
        """All guests of the cluster, containers too (they share the VMIDs), by VMID."""
        return sorted(map(guest, self.get("cluster/resources", type="vm")))

    def nodes(self) -> dict[str, bool]:
        """The cluster's nodes: name to whether it is online."""
        return {entry["node"]: entry.get("status") == "online" for entry in self.get("nodes")}

    def config(self, node: str, vmid: int) -> dict[str, Any]:
        return self.get(f"nodes/{node}/qemu/{vmid}/config")

    def is_free(self, vmid: int) -> bool:
        """Whether the cluster would give this VMID; it knows machines too that the token may not see."""
        try:
            return int(self.get("cluster/nextid", vmid=vmid)) == vmid
        except Refused as error:
            if error.status in (401, 403, 595):
                raise
            return False

    def storages(self, node: str) -> dict[str, dict[str, Any]] | None:
        """What can hold disks on a node, by name; None when the token may not see it."""
        found = self.if_told(f"nodes/{node}/storage")
        return None if found is None else {entry["storage"]: entry for entry in found}

    def bridges(self, node: str) -> set[str] | None:
        """The node's bridges and virtual networks; None when the token may not see them."""
        found = self.if_told(f"nodes/{node}/network", type="any_bridge")
        return None if found is None else {entry["iface"] for entry in found}

    def is_working(self, node: str) -> bool:
        """Whether any task runs on the node; True when the token may not see that."""
        found = self.if_told(f"nodes/{node}/tasks", source="active")
        return found is None or any(not task.get("endtime") for task in found)

    def if_told(self, path: str, **params: Any) -> list[dict[str, Any]] | None:
        """The entries at a path; None where the token may not see them, or the path is not there."""
        try:
            return self.get(path, **params)
        except Refused as error:
            if error.status in (403, 404, 501):
                return None
            raise


def _body(answer: Any, most: int) -> bytes:
    """The answer's body; of one that is longer than `most` bytes a part that is longer too."""
    body = bytearray()
    for part in answer.iter_content(1 << 16):
        body += part
        if len(body) > most:
            break
    return bytes(body)


def connect(token: str | None = "", say: Callable[[str], None] = note) -> Client:
    """The client that environment and `.env` describe; another `token` replaces theirs, None is nobody's.

    Raises Fault (exit 2) with the variable that is wrong.
    """
    dotenv.load()
    insecure = environ.get("PROXMOX_VE_INSECURE", "").lower() in ("1", "true", "yes")
    if insecure:
        _say_once(say)
    token = environ.get("PROXMOX_VE_API_TOKEN", "") if token == "" else token
    return Client(environ.get("PROXMOX_VE_ENDPOINT", ""), token, insecure)


def reader() -> Client:
    """The client of whoever only looks: by the read-only token, where there is one. Raises what connect() does."""
    dotenv.load()
    return connect(environ.get(READ_TOKEN, "").strip())


@functools.cache
def _say_once(say: Callable[[str], None]) -> None:
    say(INSECURE)
