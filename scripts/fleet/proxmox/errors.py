"""What Proxmox's answers, and missing answers, mean: each with the way out."""

import json
import re

from fleet.findings import Fault, printable
from fleet.proxmox import tls


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


def refused(url: str, question: str, status: int, reason: str, content: bytes) -> Refused:
    """The fault for an answer with an error status. `question` is method and path."""
    message = _message(reason, content)
    if status == 401:
        text = f"Proxmox at {url} does not know the token (401 {message}): renew PROXMOX_VE_API_TOKEN"
    elif status == 403:
        text = f"Proxmox lacks a right for {question} (403 {message}): give the token's user that privilege"
    elif status == 595:
        text = f"a node does not answer the cluster on {question} (595 {message}): start it, or wait for it"
    else:
        text = f"Proxmox at {url} answered {question} with {status}: {message}"
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

    if isinstance(error, exceptions.SSLError):
        return Fault(tls.problem(url, error), code=2)
    if isinstance(error, exceptions.Timeout):
        return Unanswered(
            f"Proxmox at {url} is slow: no answer to {question} within {seconds} s; check the node's load"
            " and `systemctl status pveproxy`, then run this again"
        )
    if isinstance(error, exceptions.RequestException):
        return Unanswered(f"Proxmox at {url} is down or out of reach: {_reason(error)}", broken=True)
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
        return "; ".join(f"{name}: {text}".strip() for name, text in errors.items())
    return str(body.get("message") or reason or "no reason given").strip()


def _reason(error: Exception) -> str:
    """The innermost words of a connection error, without the layers that requests wraps around them."""
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([A-Za-z][^'\")]*)|(Remote end closed[^'\")]*)", text)
    return next((group for group in found.groups() if group), text) if found else text
