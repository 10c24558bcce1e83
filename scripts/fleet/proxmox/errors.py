"""What Proxmox's answers, and missing answers, mean: each with the way out."""

import json
import re
from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault, cut, listed, printable
from fleet.proxmox import tls

# Parameters that are told to nobody, and what is told instead of them.
SECRET = re.compile(
    r"password|passwd|secret|token(?!id)|ticket|^(value|key|otp|encryption-key|privkey)$", re.I
)
MASK = "***"

# Words of Proxmox's, and what to do about them. The first that fits counts.
_WAYS_OUT = (
    (r"can't lock file .* got timeout", "another task holds the lock: wait for it to end, then run this again"),
    (r"is locked \((.+?)\)", r"its \1 goes on, or was cut off: wait for it; where no task runs, `qm unlock VMID`"),
    (r"no quorum", "too few nodes of the cluster see each other: start the others, see `pvecm status`"),
    (r"by other user", "somebody else changed it at the same moment: run this again"),
    (r"not defined in schema", "this version of Proxmox has no such parameter: check its name, and `pveversion`"),
    (r"[Oo]nly root", "no token may do that: use a mapping of the datacenter for a device, or do it as root@pam"),
    (r"protection mode enabled", "set its option protection to 0 first"),
    (r"still in use by linked clone", "remove the linked clones first"),
    (r"storage '?([\w.-]+)'? does not exist", "see `pvesm status` for what there is"),
    (r"[Cc]onfiguration file .* does not exist", "it was removed, or moved to another node: run this again"),
    (r"already exists", "choose another VMID or name, or remove what is there"),
    (r"[Nn]o space left|out of space|not enough free space|insufficient free space|free space in thin pool",
     "free some space on that storage, or choose another"),
    (r"Method '.*' not implemented", "this version of Proxmox has no such call: check the path, and `pveversion`"),
    (r"got timeout", "the node or its storage is busy: see its load, then run this again"),
    (r"does not exist", "check the name"),
)  # fmt: skip


class Refused(Fault):
    """Proxmox answered, and the answer is an error; `status` is its HTTP status."""

    def __init__(self, message: str, status: int):
        super().__init__(message, code=2)
        self.status = status


class Unanswered(Fault):
    """No answer came: Proxmox is down, out of reach or slow. `broken`: asking again at once may help."""

    def __init__(self, message: str, broken: bool = False):
        super().__init__(message, code=2)
        self.broken = broken


def question(method: str, path: str, sent: Mapping[str, Any]) -> str:
    """A call for messages: of a write also what was sent, without secrets."""
    told = [f"{name}={MASK if SECRET.search(name) else _short(value)}" for name, value in sent.items()]
    return f"{method} {path} ({listed(told, 12)})" if told and method != "GET" else f"{method} {path}"


def refused(url: str, question: str, status: int, reason: str, content: bytes) -> Refused:
    """The fault for an answer with an error status."""
    message = _message(reason, content)
    if status == 401 and "expired" in message:
        text = f"the token for Proxmox at {url} has expired (401 {message}): `make fix-token` mends it"
    elif status == 401:
        text = (
            f"Proxmox at {url} does not know the token (401 {message}): renew PROXMOX_VE_API_TOKEN, as with"
        )
        text += " `make fix-token`"
    elif status == 403:
        text = f"Proxmox lacks a right for {question} (403 {message}): give the token and its user that privilege;"
        text += " `make fix-token` does, where it is one that this project needs"
    elif status == 595:
        text = f"a node does not answer the cluster on {question} (595 {message}): start it, or wait for it"
    elif status in (596, 597, 599):
        text = f"the node that {question} was for broke the connection ({status} {message}): see its load and"
        text += " `systemctl status pveproxy pvedaemon`"
    else:
        way_out = _way_out(message)
        text = f"Proxmox at {url} answered {question} with {status}: {message}{f'; {way_out}' if way_out else ''}"
    return Refused(text, status)


def redirected(url: str, answer) -> Fault:
    target = printable(answer.headers.get("Location", "")).partition("?")[0][:200] or "nowhere"
    return Fault(
        f"Proxmox at {url} redirects to {target} ({answer.status_code}), which is not followed: the API token"
        " is sent to PROXMOX_VE_ENDPOINT only; set it to the address of Proxmox itself",
        code=2,
    )


def no_answer(url: str, question: str, seconds: float, error: OSError) -> Fault:
    """The fault for what `requests` raised instead of an answer."""
    from requests import exceptions

    done = (
        ""
        if question.startswith("GET ")
        else f"; {question} may have been done all the same: see Proxmox's tasks"
    )
    if isinstance(error, exceptions.SSLError):
        return Fault(tls.problem(url, error), code=2)
    if isinstance(error, exceptions.Timeout):
        return Unanswered(
            f"Proxmox at {url} is slow: no answer to {question} within {seconds} s; check the node's load"
            f" and `systemctl status pveproxy`, then run this again{done}"
        )
    if isinstance(error, exceptions.RequestException):
        return Unanswered(f"Proxmox at {url} is down or out of reach: {_reason(error)}{done}", broken=True)
    return Fault(f"SSL_CERT_FILE cannot be used: {error}", code=2)  # requests, when there is no such file


def _message(reason: str, content: bytes) -> str:
    """Proxmox words its errors in the status line, or per parameter in `errors`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = {}
    body = body if isinstance(body, dict) else {}
    errors = body.get("errors") or {}
    if isinstance(errors, dict) and errors:
        message = "; ".join(f"{name}: {text}".strip() for name, text in errors.items())
    else:
        message = str(body.get("message") or reason or "no reason given")
    return " ".join(message.split())


def _way_out(message: str) -> str:
    for words, way_out in _WAYS_OUT:
        if found := re.search(words, message):
            return found.expand(way_out)
    return ""


def _short(value: object) -> str:
    """A value in a few words, without a password in an address."""
    return cut(re.sub(r"//[^/@\s]+@", f"//{MASK}@", printable(str(value))))


def _reason(error: Exception) -> str:
    """The innermost words of a connection error, without the layers that requests wraps around them."""
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([A-Za-z][^'\")]*)|(Remote end closed[^'\")]*)", text)
    return next((group for group in found.groups() if group), text) if found else text
