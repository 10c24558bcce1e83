"""The form of each of the repository's secrets and variables. No value is ever told."""

import contextlib
import functools
import re
import subprocess
from urllib.parse import parse_qsl, unquote, urlsplit

from fleet.files import temporary
from fleet.findings import Fault
from fleet.proxmox import tls
from fleet.proxmox.client import TOKEN
from fleet.vault import access

DSN = re.compile(r"\s*(\w+\s*=\s*('(\\.|[^'\\])*'|[^\s']+)(\s+|$))+")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check(name: str, value: str) -> None:
    """Raise Fault for a value that does not have the form of this setting; it tells no part of the value."""
    if name not in PATTERNS:
        FUNCTIONS[name](value)
    elif not re.fullmatch(PATTERNS[name][0], value):
        raise Fault(f"{name} {PATTERNS[name][1]}")


def _database(value: str) -> None:
    """Accept what Terraform's pg backend and libpq understand in the same way."""
    form = "postgres://user:password@host/database"
    if "://" not in value:
        if not DSN.fullmatch(value):
            raise Fault(f"PG_CONN_STR is neither a URL, {form}, nor a list of key=value")
        return
    if not value.startswith(("postgres://", "postgresql://")):
        raise Fault(f"PG_CONN_STR must begin with postgres://, as {form}")
    with contextlib.suppress(ValueError):
        url = urlsplit(value)
        port = url.port  # raises ValueError
        host = url.hostname or dict(parse_qsl(url.query)).get("host")
        stray = url.netloc.count("@") > 1 or "@" in unquote(url.path) + url.query or re.search(r"\s", value)
        if host and port != 0 and not url.fragment and not stray and not BAD_ESCAPE.search(url.netloc):
            return
    escapes = "in the password write # as %23, % as %25, / as %2F, ? as %3F, @ as %40"
    raise Fault(f"PG_CONN_STR is not a URL of the form {form}; {escapes}")


def _private_key(name: str, text: str) -> None:
    if text.startswith(("ssh-", "ecdsa-", "sk-")):
        raise Fault(f"{name} is a public key; set the private key, the file without .pub")
    with temporary("key-") as folder:
        file = folder / "key"
        file.touch(mode=0o600)
        file.write_text("\n".join(text.split("\r\n")) + "\n", encoding="utf-8")
        command = ["ssh-keygen", "-y", "-P", "", "-f", str(file)]
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if b"passphrase" in done.stderr:
        raise Fault(f"{name} has a passphrase, which nobody can type in a run; remove it with ssh-keygen -p")
    if done.returncode:
        raise Fault(f"{name} is not a private key; set the whole file, with its first and last line")


PATTERNS = {
    "PROXMOX_VE_API_TOKEN": (TOKEN, "must be USER@REALM!ID=SECRET, from `pveum user token add`"),
    "PROXMOX_READ_API_TOKEN": (TOKEN, "must be USER@REALM!ID=SECRET, as `make fix-token` writes it"),
    "PROXMOX_VE_INSECURE": ("true|false|[01]", "must be true or false"),
    "MAX_CHANGES": ("[0-9]+", "must be a number of machines"),
    "NIGHTLY": ("on|off", "must be on or off"),
    "PARALLELISM": ("[1-9][0-9]*", "must be a number of machines, at least 1"),
    "CHART_MIRROR": (
        r"(https?|oci)://[^\s/@]+(/\S*)?",
        "must be an address without a password, as https://charts.example.org or oci://mirror.example.org/charts",
    ),
    "K3S_GITHUB_URL": (
        r"https?://[^\s/]+(/\S*)?",
        "must be an address, as https://github.com/k3s-io/k3s/releases",
    ),
    "K3S_INSTALL_URL": (r"https?://[^\s/]+(/\S*)?", "must be an address, as https://get.k3s.io"),
    "K3S_INSTALL_SHA256": ("[0-9a-fA-F]{64}", "must be a SHA-256 checksum, 64 hexadecimal digits"),
    "K3S_VERSION": (r"v\d+\.\d+\.\d+(-rc\d+)?\+\w+", "must be a release of K3s, as v1.34.4+k3s1"),
    "SSH_TIMEOUT": (r"\d+(\.\d+)?", "must be a number of seconds"),
}
FUNCTIONS = {
    "PROXMOX_VE_ENDPOINT": tls.checked,
    "PG_CONN_STR": _database,
    "SSH_PRIVATE_KEY": functools.partial(_private_key, "SSH_PRIVATE_KEY"),
    "VAULT_ADDR": access.checked_addr,
    "VAULT_TOKEN": access.checked_token,
    "DEPLOY_KEY": functools.partial(_private_key, "DEPLOY_KEY"),
}
