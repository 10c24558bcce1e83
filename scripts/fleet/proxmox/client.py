"""Asking Proxmox VE's API, read only: what exists, so that a plan can be checked before it is made.

Endpoint and token come from the variables that the Terraform provider reads: PROXMOX_VE_ENDPOINT,
PROXMOX_VE_API_TOKEN (user@realm!id=secret), PROXMOX_VE_INSECURE; SSL_CERT_FILE names a CA bundle.
"""

import os
import re
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fleet.findings import Fault

TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer
TOKEN = re.compile(r"[^@!=\s]+@[^@!=\s]+![^@!=\s]+=[A-Za-z0-9-]+")


class Guest(NamedTuple):
    """One guest of the cluster, as far as the token may see it."""

    vmid: int
    name: str
    node: str
    template: bool
    status: str
    lock: str  # "clone" while it is being made, empty when nothing holds it
    container: bool = False


class Refused(Fault):
    """Proxmox answered, and the answer is an error; `status` is its HTTP status."""

    def __init__(self, message: str, status: int):
        super().__init__(message, code=2)
        self.status = status


class Client:
    """A session with one endpoint. Every method raises Fault (exit 2) with the reason and the way out."""

    def __init__(self, endpoint: str, token: str, insecure: bool = False):
        import requests  # 70 ms that an offline run need not wait for

        self.url = urlsplit(endpoint)._replace(path="", query="", fragment="").geturl()
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"PVEAPIToken={token}"
        # Given with each request: requests prefers REQUESTS_CA_BUNDLE to what a session says.
        self.verify = not insecure and (os.environ.get("SSL_CERT_FILE") or True)
        if insecure:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        else:
            _accept_own_ca(self.session)

    def get(self, path: str, **params: Any) -> Any:
        """GET below /api2/json; the answer's `data`. A broken connection is tried once more."""
        import requests

        for again in (True, False):
            try:
                answer = self.session.get(
                    f"{self.url}/api2/json/{path}", params=params, timeout=TIMEOUT, verify=self.verify
                )
            except requests.exceptions.SSLError as error:
                raise Fault(_certificate(self.url, str(error)), code=2) from error
            except requests.exceptions.Timeout as error:
                raise Fault(
                    f"Proxmox at {self.url} is slow: no answer to GET {path} within {TIMEOUT[1]} s; see the"
                    " node's load and `systemctl status pveproxy`, then run this again",
                    code=2,
                ) from error
            except requests.exceptions.RequestException as error:
                if again:
                    time.sleep(1)
                    continue
                raise Fault(
                    f"Proxmox at {self.url} is down or out of reach: {_reason(error)}", code=2
                ) from error
            if answer.ok:
                try:
                    return answer.json()["data"]
                except (ValueError, KeyError, TypeError) as error:
                    raise Fault(
                        f"what answers at {self.url} is not Proxmox VE's API: see PROXMOX_VE_ENDPOINT", code=2
                    ) from error
            raise Refused(_refusal(self.url, path, answer.status_code, _message(answer)), answer.status_code)

    def guests(self) -> list[Guest]:
        """All guests of the cluster, containers too (they share the VMIDs), by VMID."""
        found = [
            Guest(
                vmid=int(entry["vmid"]),
                name=entry.get("name") or "",
                node=entry["node"],
                template=bool(int(entry.get("template") or 0)),
                status=entry.get("status") or "unknown",
                lock=entry.get("lock") or "",
                container=entry.get("type") == "lxc",
            )
            for entry in self.get("cluster/resources", type="vm")
        ]
        return sorted(found)

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
        found = self._if_told(f"nodes/{node}/storage")
        return None if found is None else {entry["storage"]: entry for entry in found}

    def bridges(self, node: str) -> set[str] | None:
        """The node's bridges and virtual networks; None when the token may not see them."""
        found = self._if_told(f"nodes/{node}/network", type="any_bridge")
        return None if found is None else {entry["iface"] for entry in found}

    def is_working(self, node: str) -> bool:
        """Whether any task runs on the node; True when the token may not see that."""
        found = self._if_told(f"nodes/{node}/tasks", source="active")
        return found is None or any(not task.get("endtime") for task in found)

    def _if_told(self, path: str, **params: Any) -> list[dict[str, Any]] | None:
        try:
            return self.get(path, **params)
        except Refused as error:
            if error.status in (403, 404, 501):
                return None
            raise


def connect() -> Client:
    """The client that the environment describes. Raises Fault (exit 2) with the variable that is wrong."""
    endpoint = os.environ.get("PROXMOX_VE_ENDPOINT", "")
    token = os.environ.get("PROXMOX_VE_API_TOKEN", "")
    if not endpoint:
        raise Fault(
            "PROXMOX_VE_ENDPOINT is not set; it is the address of Proxmox, as https://pve:8006/", code=2
        )
    if not endpoint.startswith("https://"):
        raise Fault("PROXMOX_VE_ENDPOINT must start with https://, as https://pve:8006/", code=2)
    if not TOKEN.fullmatch(token):
        wrong = "has another form than" if token else "is not set; it is"
        raise Fault(f"PROXMOX_VE_API_TOKEN {wrong} user@realm!tokenid=secret", code=2)
    return Client(endpoint, token, os.environ.get("PROXMOX_VE_INSECURE", "").lower() in ("1", "true", "yes"))


def _accept_own_ca(session) -> None:
    """Proxmox's own CA has no key usage extension, without which Python 3.13 and later refuse a CA."""
    import ssl

    from urllib3.util import ssl_

    context = ssl_.create_urllib3_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    session.adapters["https://"].init_poolmanager(4, 4, ssl_context=context)


def _message(answer) -> str:
    """Proxmox words its errors in the status line, or per parameter in `errors`."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    errors = body.get("errors") or {}
    if isinstance(errors, dict) and errors:
        return "; ".join(f"{name}: {text}".strip() for name, text in errors.items())
    return str(body.get("message") or answer.reason or "no reason given").strip()


def _refusal(url: str, path: str, status: int, message: str) -> str:
    if status == 401:
        return f"Proxmox at {url} does not know the token (401 {message}): renew PROXMOX_VE_API_TOKEN"
    if status == 403:
        return f"Proxmox lacks a right for GET {path} (403 {message}): give the token's user that privilege"
    if status == 595:
        return f"a node does not answer the cluster on GET {path} (595 {message}): start it, or wait for it"
    return f"Proxmox at {url} answered GET {path} with {status}: {message}"


_CERTIFICATES = (
    ("has expired", "it has expired: renew it with `pvenode acme cert order` or `pvecm updatecerts`"),
    ("not yet valid", "it is not valid yet: look at the clocks of this machine and of the node"),
    ("mismatch", "it was made for another name: put a name that it holds in PROXMOX_VE_ENDPOINT"),
    ("doesn't match", "it was made for another name: put a name that it holds in PROXMOX_VE_ENDPOINT"),
    ("not valid for", "it was made for another name: put a name that it holds in PROXMOX_VE_ENDPOINT"),
    ("certificate verify failed", "no CA known here signed it: add the node's /etc/pve/pve-root-ca.pem to the"
     " bundle that SSL_CERT_FILE names"),
)  # fmt: skip


def _certificate(url: str, error: str) -> str:
    for words, problem in _CERTIFICATES:
        if words in error:
            return f"the certificate of {url} is refused: {problem}"
    return f"no TLS connection with {url}: {error}; does PROXMOX_VE_ENDPOINT name Proxmox's own port (8006)?"


def _reason(error: Exception) -> str:
    """The innermost words of a connection error, without the layers that requests wraps around them."""
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([A-Za-z][^'\")]*)|(Remote end closed[^'\")]*)", text)
    return next((group for group in found.groups() if group), text) if found else text
