"""Vault's address and token, as the environment or a command line gives them."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from fleet.findings import Fault

SOON = 7  # days; time enough for a person to set a new token
DAY = 24 * 60 * 60
REPLACE = "create another one with `vault token create -orphan -period=768h -policy=gitops` and set VAULT_TOKEN to it"
LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
IN_CLEAR = (
    "VAULT_ADDR begins with http://, so the token and the kubeconfig cross the network unencrypted; give Vault a"
    " certificate and use https://"
)


def checked_addr(addr: str | None) -> str:
    """Vault's address without white space and final slashes. Raises Fault."""
    if not addr or not addr.strip():
        raise Fault(
            "the address of Vault is missing: set VAULT_ADDR, for example https://vault.example.com", code=2
        )
    addr = addr.strip().rstrip("/")
    try:
        url = urlsplit(addr)
        sound = url.scheme in ("http", "https") and url.hostname and not url.username
        sound = sound and (url.port or 443) and not url.query and not url.fragment
    except ValueError:
        sound = False
    if not sound:
        raise Fault("VAULT_ADDR is not a valid URL; expected https://HOST:PORT", code=2)
    # A path by itself is fine: Vault may be behind a proxy.
    if wrong := next((part for part in url.path.split("/") if part in ("v1", "ui")), None):
        raise Fault(f"VAULT_ADDR is Vault's address alone: remove /{wrong} and what follows it", code=2)
    return addr


def in_clear(addr: str) -> bool:
    """Whether the token would cross the network unencrypted."""
    url = urlsplit(addr)
    return url.scheme == "http" and not LOOPBACK.fullmatch(url.hostname or "")


def checked_token(token: str | None) -> str:
    file = Path("~/.vault-token").expanduser()  # where `vault login` saves it
    if not token and file.is_file():
        token = file.read_text("utf-8", "replace")
    token = (token or "").strip()
    if not token:
        raise Fault("the token for Vault is missing: set VAULT_TOKEN", code=2)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Fault(
            "VAULT_TOKEN contains characters that a token cannot have; set it to the token alone", code=2
        )
    return token
