"""What update_kubeconfig.py is given: a token, a machine's kubeconfig, the machine's address."""

import sys
from pathlib import Path
from typing import Any

from fleet.ansible import inventory
from fleet.clusters import contents, yaml_parse
from fleet.findings import Fault
from fleet.paths import shown


def read_token(source: str) -> str:
    """Vault's token: the file's text, or with `-` the next line of standard input. Raises Fault."""
    what = "standard input" if source == "-" else shown(source)
    try:
        raw = sys.stdin.buffer.readline() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Fault(error.strerror or "cannot be read", what, code=2) from None
    token = raw.decode(errors="replace").strip()
    if not token:  # and not the token of the environment, which the caller did not mean
        raise Fault(f"{what} is empty where Vault's token is expected", code=2)
    return token


def address_of(name: str, path: Path) -> str | None:
    """Where the inventory says that a machine is; None when it has no such host. Raises Fault."""
    try:
        hosts = inventory.parse(path.read_text("utf-8", "replace")).variables()
    except OSError as error:
        raise Fault(f"{error.strerror}; name the inventory with --inventory", shown(path), code=2) from error
    return hosts[name].get("ansible_host", name) if name in hosts else None


def read_kubeconfig(source: str) -> dict[str, Any]:
    """A machine's kubeconfig as data. Raises Fault that does not quote it."""
    what = "standard input" if source == "-" else shown(source)
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = raw.decode()
    except OSError as error:
        raise Fault(error.strerror or "cannot be read", what, code=2) from None
    except UnicodeDecodeError:
        raise Fault(f"{what} is not valid UTF-8") from None
    data = yaml_parse.parse(text, what).data
    if not data:
        raise Fault(f"{what} is empty: no kubeconfig came from the machine")
    contents.check(data, what)
    return data
