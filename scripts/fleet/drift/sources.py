"""What each place says of the machines, read once; a place that cannot be read is `None`, and the reason is kept."""

import functools
import json
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from fleet.ansible import inventory, queue
from fleet.files import read_text
from fleet.findings import Fault, printable
from fleet.names import is_talos
from fleet.paths import PROXMOX_DIR, VMS_DIR, shown
from fleet.proxmox import client
from fleet.proxmox.guest import Guest
from fleet.terraform import lock, outputs, plugins, state
from fleet.terraform.command import pull_state
from fleet.vms import files

AT_ONCE = 16
SECONDS = 3  # for a machine to answer
APPLY = "an apply is running: look again when it has ended"


class Sources(NamedTuple):
    """`files`: each machine's VM file; `addresses`: Terraform's outputs; `answers`: who was asked, and answered."""

    files: Mapping[str, str] | None
    state: Mapping[str, state.Resource] | None
    addresses: Mapping[str, str]
    guests: tuple[Guest, ...] | None
    configs: Mapping[int, Mapping[str, Any]]
    inventory: Mapping[str, str] | None
    queue: tuple[queue.Entry, ...] | None
    answers: Mapping[str, bool] = {}
    unknown: tuple[str, ...] = ()


def read(inventory_file: Path, queue_file: Path) -> Sources:
    """Everything, as it is now. Raises nothing for a place that cannot be read."""
    unknown: list[str] = []
    attempt = functools.partial(seen, unknown)
    busy = attempt("the state's lock", is_applying)
    vms = attempt("VM files", _files)
    have, addresses = attempt("Terraform's state", _state) or (None, {})
    api = attempt("Proxmox", client.reader)
    guests = attempt("Proxmox", lambda: tuple(api.guests())) if api else None
    ours = [guest for guest in guests or () if guest.name in (have or {}) and not guest.container]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        configs = pool.map(lambda one: attempt(one.name, lambda: api.config(one.node, one.vmid)), ours)
        found = {guest.vmid: config for guest, config in zip(ours, configs, strict=True) if config}
    hosts = attempt(shown(inventory_file), lambda: _inventory(inventory_file))
    waits = attempt(shown(queue_file), lambda: _queue(queue_file))
    running = {guest.name for guest in ours if guest.status == "running"}
    asked = {name: address for name, address in addresses.items() if address and name in running}
    if busy or attempt("the state's lock", is_applying):  # also one that began meanwhile
        unknown.append(APPLY)
    said = _answers(asked)
    return Sources(vms, have, addresses, guests, found, hosts, waits, said, tuple(dict.fromkeys(unknown)))


def seen(unknown: list[str], what: str, look: Callable[[], Any]) -> Any:
    """What a place says; None where it cannot be read, and `unknown` gets the reason."""
    try:
        return look()
    except (Fault, OSError, ValueError, KeyError, TypeError) as error:
        said = error.finding.message if isinstance(error, Fault) else str(error)
        unknown.append(printable(f"{what}: {said}"))
        return None


def is_applying() -> bool:
    """Whether somebody holds the lock of an apply. It is looked at and never taken."""
    connection = os.environ.get("PG_CONN_STR")
    if not connection:
        return False
    import psycopg

    try:
        with psycopg.connect(connection, autocommit=True, connect_timeout=5) as session:
            return lock.owner(session, lock.KEY) is not None
    except psycopg.Error as error:  # its words may quote the password
        raise Fault(f"the database of PG_CONN_STR did not tell ({type(error).__name__})") from None


def _files() -> dict[str, str]:
    """None of them where one cannot be read: its machine would look as if its file were gone."""
    found, problems = files.load_dir(VMS_DIR)
    if wrong := [one.text() for one in problems if one.level == "error"]:
        raise Fault("; ".join(wrong))
    return {name: vm.path for name, vm in found.items() if vm.managed}


def _state() -> tuple[dict[str, state.Resource], dict[str, str]]:
    if not (PROXMOX_DIR / ".terraform").is_dir():  # a fresh checkout, as a runner's
        plugins.init(PROXMOX_DIR)
    text = pull_state(PROXMOX_DIR, quiet=True)
    if text is None:  # TF_DATA_DIR names another folder
        raise Fault(f"`terraform init` was not run in {shown(PROXMOX_DIR)}")
    have = state.parse(text)
    told = outputs.machines((json.loads(text) if text.strip() else {}).get("outputs") or {})
    return have, {name: machine.address for name, machine in told.items()}


def _inventory(path: Path) -> dict[str, str]:
    hosts = inventory.parse(read_text(path), shown(path)).managed()
    return {name: host.address or "" for name, host in hosts.items()}


def _queue(path: Path) -> tuple[queue.Entry, ...]:
    return tuple(entry for _, entry in queue.parse(read_text(path), shown(path))[0])


def _answers(asked: Mapping[str, str]) -> dict[str, bool]:
    ports = [50000 if is_talos(name) else 22 for name in asked]
    with ThreadPoolExecutor(4 * AT_ONCE) as pool:
        return dict(zip(asked, pool.map(answers_at, asked.values(), ports), strict=True))


def answers_at(address: str, port: int) -> bool:
    """Whether a connection is accepted there."""
    try:
        with socket.create_connection((address, port), SECONDS):
            return True
    except OSError:
        return False
