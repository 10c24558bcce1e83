"""Which endpoints and certificates of Proxmox are trusted, and what to do about one that is refused.

SSL_CERT_FILE names a CA bundle that replaces the usual authorities. Without it, those of requests and of the
system count, as the system's do for Terraform's provider.
"""

import os
import re
from urllib.parse import urlsplit

from fleet.findings import Fault

CONNECTIONS = 10  # at once, to one endpoint; as many as requests keeps by itself

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
_ELSEWHERE = "it was issued for another name: put a name that it covers in PROXMOX_VE_ENDPOINT"

_PROBLEMS = (
    ("has expired", "it has expired: renew it with `pvenode acme cert order` or `pvecm updatecerts`"),
    ("not yet valid", "it is not valid yet: check the clocks of this machine and of the node"),
    ("mismatch", _ELSEWHERE),
    ("doesn't match", _ELSEWHERE),
    ("not valid for", _ELSEWHERE),
    ("certificate verify failed", "no CA known here signed it: add the node's /etc/pve/pve-root-ca.pem to the"
     " authorities of this computer, or to the bundle that SSL_CERT_FILE names (docs/install.md, step 2)"),
)  # fmt: skip


def checked(endpoint: str) -> str:
    """The endpoint without its path; https, since over http everybody on the way could read the token."""
    example = "as https://pve:8006/"
    if not endpoint:
        raise Fault(f"PROXMOX_VE_ENDPOINT is not set; it is the address of Proxmox, {example}", code=2)
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.username is not None:
        raise Fault(f"PROXMOX_VE_ENDPOINT is not a URL of the form https://HOST:PORT, {example}", code=2)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise Fault(f"PROXMOX_VE_ENDPOINT must start with https://, {example}", code=2)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this computer."""
    return bool(_LOOPBACK.fullmatch(host))


def prepare(session, insecure: bool) -> bool | str:
    """Make a session of requests apply the rule; the `verify` that each of its requests must carry.

    It goes with each request because requests prefers REQUESTS_CA_BUNDLE to a session's setting.
    """
    import ssl

    import urllib3

    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return False
    bundle = os.environ.get("SSL_CERT_FILE") or True
    context = urllib3.util.ssl_.create_urllib3_context()
    # Proxmox's own CA has no key usage extension; Python 3.13 and later refuse such a CA by default.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if bundle is True:
        context.load_default_certs()
    session.adapters["https://"].init_poolmanager(4, CONNECTIONS, ssl_context=context)
    return bundle


def problem(url: str, error: Exception) -> str:
    """What a failed handshake means, and the way out."""
    text = str(error)
    for words, meaning in _PROBLEMS:
        if words in text:
            return f"the certificate of {url} was refused: {meaning}"
    reason = re.search(r"\[SSL[^\]]*\] [^'\")]+", text)
    return (
        f"no TLS connection with {url}: {reason[0] if reason else text};"
        " check that PROXMOX_VE_ENDPOINT names Proxmox's own port (8006)"
    )
