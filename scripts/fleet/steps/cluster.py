"""What update_kubeconfig.py is given, a token, a machine's kubeconfig, its address, and which cluster that leads to."""

import contextlib
import sys
from pathlib import Path
from typing import Any

from fleet.ansible import inventory
from fleet.ansible.host import used
from fleet.clusters import contents, from_machine
from fleet.clusters.server import HOST
from fleet.findings import Fault, Finding, report
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
    """Where the inventory says that a machine is; None, and a warning, when it has no such host. Raises Fault."""
    try:
        hosts = inventory.parse(path.read_text("utf-8", "replace")).variables()
    except OSError as error:
        raise Fault(f"{error.strerror}; name the inventory with --inventory", shown(path), code=2) from error
    if name in hosts:
        return used(hosts[name]).get("ansible_host", name)
    missing = f"no host {name} in {shown(path)}; a server of 127.0.0.1 could not be replaced"
    report([Finding(missing, level="warning")])
    return None


def read_kubeconfig(
    source: str, machine: str, address: str | None, context: str | None = None, own: bool = False
) -> dict[str, Any]:
    """A machine's kubeconfig as data, limited to what a machine may give unless it is the caller's `own`.

    With `context` only that context of it is left. Raises Fault that does not quote it.
    """
    if not HOST.fullmatch(machine):
        raise Fault(f"{machine!r} is not the name of a machine", code=2)
    what = "standard input" if source == "-" else shown(source)
    most = -1 if own else from_machine.MAX_BYTES + 1
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            raw = file.read(most)
    except OSError as error:
        raise Fault(error.strerror or "cannot be read", what, code=2) from None
    if len(raw) == most:
        raise Fault(
            f"{what} is larger than {from_machine.MAX_BYTES >> 10} kB, the limit for a machine's kubeconfig; export"
            " one context with `kubectl config view --raw --minify --context NAME`"
        )
    return from_machine.parsed(raw, what, machine, address, context, own)


def uid_of(new: dict[str, Any], machine: str, address: str | None) -> str | None:
    """The identity of the cluster that a machine's kubeconfig leads to; None where it is not told."""
    from fleet.clusters import ready  # with all of TLS and HTTP; most of what this module does needs neither

    _, cluster, user = contents.chosen(new, machine)
    return ready.uid(cluster["cluster"], user["user"], address)
