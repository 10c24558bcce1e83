"""What the makers of images publish, fetched over HTTPS: never more, and never for longer, than a listing takes."""

import datetime
import email.utils
import http.client
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.findings import Fault, printable

TIMEOUT = 20  # seconds to connect, and between two parts of an answer
DEADLINE = 60  # seconds for a whole answer
MOST = 4 << 20  # bytes; the longest listing of those in the catalogue has 150 kB
_NO_HEAD = (403, 405, 501)  # servers that refuse the question rather than the file


class Page(NamedTuple):
    url: str  # where redirects led
    text: str


class Head(NamedTuple):
    size: int  # bytes; 0: unknown
    day: str  # of the last change, as 2026-11-02; "": unknown


class _HttpsAlone(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme != "https":
            raise Fault(
                f"{req.full_url} leads to {printable(newurl)[:200]}, and only https is followed", code=2
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request:
            request.method = req.get_method()
        return request


def page(url: str) -> Page:
    """The text at an address. Raises Fault."""
    end = time.monotonic() + DEADLINE
    body = bytearray()
    with _opened(url, "GET") as answer, _problems(url):
        while part := answer.read1(1 << 16):
            body += part
            if len(body) > MOST:
                raise Fault(
                    f"{url} answers with more than {MOST} bytes, which is no listing or checksum file"
                )
            if time.monotonic() > end:
                raise TimeoutError
        if answer.length:  # what the server announced and did not send
            raise http.client.IncompleteRead(bytes(body), answer.length)
        return Page(answer.url, body.decode(errors="replace"))


def head(url: str) -> Head:
    """Size and day of the file at an address. Raises Fault when there is none."""
    try:
        with _opened(url, "HEAD") as answer:
            length, changed = answer.headers["Content-Length"], answer.headers["Last-Modified"]
    except Refused as refused:
        if refused.status in _NO_HEAD:
            return Head(0, "")
        raise
    day = ""
    if changed:
        try:
            day = email.utils.parsedate_to_datetime(changed).astimezone(datetime.UTC).date().isoformat()
        except (ValueError, OverflowError):
            day = ""
    return Head(int(length) if length and length.isascii() and length.isdigit() else 0, day)


class Refused(Fault):
    """The server answered, and does not give the file."""

    def __init__(self, url: str, status: int, reason: str):
        super().__init__(f"{url} answers {status} {printable(reason)[:100]}", code=2)
        self.status = status


class _problems:
    """Turns what can happen on the way into a Fault."""

    def __init__(self, url: str):
        self.url = url

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            raise Refused(self.url, error.code, str(error.reason)) from None
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise Fault(
                f"the certificate of {self.url} is refused: {reason.verify_message}", code=2
            ) from None
        if isinstance(reason, TimeoutError):
            raise Fault(f"{self.url} is too slow: try again later", code=2) from None
        if isinstance(error, http.client.IncompleteRead):
            raise Fault(
                f"{self.url} is cut off after {len(error.partial)} bytes: try again", code=2
            ) from None
        if isinstance(error, OSError | http.client.HTTPException | ValueError):
            said = printable(str(reason))[:200] or type(reason).__name__
            raise Fault(f"{self.url} cannot be read: {said}", code=2) from None
        return False


def _opened(url: str, method: str) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_trust()), _HttpsAlone)
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "proxmox-gitops"})
    with _problems(url):
        return opener.open(request, timeout=TIMEOUT)


def _trust() -> ssl.SSLContext:
    """The system's authorities, besides those of SSL_CERT_FILE, which often has that of Proxmox alone."""
    context = ssl.create_default_context()
    system = ssl.get_default_verify_paths()
    files = [system.openssl_cafile] if Path(system.openssl_cafile).is_file() else []
    folders = [system.openssl_capath] if Path(system.openssl_capath).is_dir() else []
    for path in files:
        context.load_verify_locations(cafile=path)
    for path in folders:
        context.load_verify_locations(capath=path)
    return context
