"""The DHCP server of the lab's network: Debian's dnsmasq, for machines that ask for their address.

A machine gets an address of the pool, the same one at each start, or the one that is reserved for its MAC.
`reserve` changes a reservation while the server runs; the machine gets it when it asks again, at its next start.
"""

import os
import signal
from pathlib import Path

from lab import BRIDGE, GATEWAY, lab_dir, process

NAME = "dhcp"
POOL = ("192.168.1.200", "192.168.1.249")  # above what the demo and the tests give to machines


def _folder() -> Path:
    return lab_dir() / NAME


def _reservations() -> Path:
    return _folder() / "reservations"


def prepare() -> None:
    _folder().mkdir(parents=True, exist_ok=True)
    _reservations().touch()


def argv() -> list[str]:
    return [
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=root",
        "--log-facility=-", "--log-dhcp", "--pid-file=", "--port=0",
        f"--interface={BRIDGE}", "--except-interface=lo", "--bind-interfaces",
        f"--dhcp-range={POOL[0]},{POOL[1]},255.255.255.0,1h", f"--dhcp-option=option:router,{GATEWAY}",
        f"--dhcp-hostsfile={_reservations()}", f"--dhcp-leasefile={_folder() / 'leases'}",
        # Alone in its network: it need not ask whether an address is taken, which costs 3 s a machine.
        "--dhcp-authoritative", "--no-ping",
    ]  # fmt: skip


def ready() -> bool:
    """Whether something listens on the server's port, in the lab's network."""
    pid = process.pid(NAME)
    sockets = Path(f"/proc/{pid}/net/udp").read_text() if pid else ""
    return any(line.split()[1].endswith(f":{67:04X}") for line in sockets.splitlines()[1:])


def reserved() -> dict[str, str]:
    """The reserved addresses by MAC in capitals."""
    if not _reservations().exists():
        return {}
    return dict(line.split(",") for line in _reservations().read_text().split())


def reserve(mac: str, address: str | None) -> None:
    """Reserve an address for a MAC, or with None no longer; valid from its next request."""
    kept = {key: value for key, value in reserved().items() if key != mac.upper()}
    wanted = kept | ({mac.upper(): address} if address else {})
    prepare()
    temporary = _reservations().with_suffix(".new")
    temporary.write_text("".join(f"{key},{value}\n" for key, value in wanted.items()))
    temporary.replace(_reservations())
    if pid := process.pid(NAME):
        os.kill(pid, signal.SIGHUP)


def leases() -> dict[str, str]:
    """The addresses that the server has given away, by MAC in capitals."""
    file = _folder() / "leases"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return {fields[1].upper(): fields[2] for fields in lines if len(fields) == 5}
