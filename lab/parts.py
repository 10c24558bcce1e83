"""The table of the lab's daemons: how each is started, and when it is ready."""

import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from lab import (
    BRIDGE,
    GATEWAY,
    IMAGES_URL,
    LabError,
    dhcp,
    lab_dir,
    network,
    postgres,
    vault,
)
from lab.images import catalogue


def _nothing() -> None:
    pass


class Daemon(NamedTuple):
    name: str
    address: str
    argv: Callable[[], list[str]]
    ready: Callable[[], bool]  # runs outside the lab's network: see network.inside()
    prepare: Callable[[], None] = _nothing  # before each start
    provision: Callable[[], None] = _nothing  # after each start, and to repair
    seconds: float = 60  # it takes one or two; this is for a busy machine
    secrets: bool = False  # whether its environment has them, for what it runs
    on_demand: bool = False  # started by who needs it, with what setup.on_demand builds


def _python(module: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", module, *arguments]


def _forge_answers() -> bool:
    from lab.forge import client

    return client.alive()


def _catalogue() -> None:
    place = lab_dir() / "images"
    place.mkdir(exist_ok=True)
    (place / "images.yml").write_text(catalogue.text(IMAGES_URL))


def _listens(host: str, port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with network.inside(), socket.create_connection((host, port), timeout=2):
            return True

    return ready


# In the order in which they are started.
DAEMONS = (
    Daemon("postgres", "127.0.0.1:5432", postgres.argv, postgres.ready, prepare=postgres.prepare),
    Daemon(
        "vault", "127.0.0.1:8200", vault.argv, vault.ready, prepare=vault.prepare, provision=vault.provision
    ),
    Daemon(dhcp.NAME, f"{BRIDGE}:67", dhcp.argv, dhcp.ready, prepare=dhcp.prepare),
    Daemon("proxmox", f"{GATEWAY}:8006", _python("lab.proxmox"), _listens(GATEWAY, 8006)),
    Daemon("images", f"{GATEWAY}:443", _python("lab.images"), _listens(GATEWAY, 443), prepare=_catalogue),
    Daemon("k3s", f"{GATEWAY}:8080", _python("lab.k3s"), _listens(GATEWAY, 8080)),
    Daemon("charts", f"{GATEWAY}:8081", _python("lab.charts"), _listens(GATEWAY, 8081), on_demand=True),
    Daemon(
        "forge",
        "127.0.0.1:3000",
        _python("lab.forge", "serve"),
        _forge_answers,
        secrets=True,
    ),
)


NAMES = tuple(daemon.name for daemon in DAEMONS if not daemon.on_demand)


def find(name: str) -> Daemon:
    try:
        return next(daemon for daemon in DAEMONS if daemon.name == name)
    except StopIteration:
        raise LabError(f"the lab has no daemon {name!r}; there are {', '.join(NAMES)}") from None
