"""Two load balancers that share an address: who is refused it, and that it moves when a machine or its HAProxy stops.

The tests build on each other in their order.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import GATEWAY, network
from tests.helpers.plays import Machine, Play, api, running

MACHINES = (Machine("haproxy-prod-1", "192.168.1.31", 131), Machine("haproxy-prod-2", "192.168.1.32", 132))
NAMES = ",".join(one.name for one in MACHINES)
VIP = "192.168.1.35"
CONFIG = "/etc/keepalived/keepalived.conf"
WANTED = {
    "haproxy_backends": [{"name": "web", "servers": [{"name": "a", "address": "127.0.0.1", "port": 8001}]}],
    "haproxy_frontends": [{"name": "www", "port": 80, "backend": "web"}],
    "haproxy_vip": f"{VIP}/24",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("keepalived"), MACHINES, ["proxmox"]) as made:
        yield made


def play(home: Path, hosts: str = NAMES, **variables) -> Play:
    return Play(home, "haproxy", hosts, "-e", json.dumps(WANTED | variables))


def holders() -> list[Machine]:
    return [one for one in MACHINES if VIP in one.ssh("ip -4 -o address show", check=False)]


def holder() -> Machine:
    (one,) = holders()
    return one


def other(machine: Machine) -> Machine:
    return next(one for one in MACHINES if one != machine)


def outage(limit: float = 15) -> float:
    """Seconds until the shared address answers again; asked every tenth of a second by new connections."""
    start, good = time.monotonic(), 0
    with network.inside():
        while good < 5:
            assert time.monotonic() - start < limit, "nobody took the address over"
            try:
                socket.create_connection((VIP, 80), timeout=0.3).close()
                good += 1
            except OSError:
                good = 0
            time.sleep(0.1)
    return time.monotonic() - start


def test_an_address_that_somebody_has(home: Path):
    said = play(home, haproxy_vip=f"{GATEWAY}/24").refused()
    assert f"{GATEWAY} is in use by a machine with the hardware address " in said
    MACHINES[0].ssh(f"sudo ip address add {VIP}/24 dev eth0")
    said = play(home).refused()
    assert f"It has {VIP} already, and not by keepalived." in said
    assert f"{VIP} is in use by" not in said, "the other's peer has it"
    MACHINES[0].ssh(f"sudo ip address delete {VIP}/24 dev eth0")


def test_a_configuration_of_a_person_is_refused(home: Path):
    MACHINES[1].ssh(f"sudo mkdir -p /etc/keepalived; echo '# mine' | sudo tee {CONFIG}")
    assert f"{CONFIG} was not written by this role." in play(home, MACHINES[1].name).refused()
    MACHINES[1].ssh(f"sudo rm {CONFIG}")


def test_the_first_run_and_the_second(home: Path):
    assert play(home).changed() > 0
    assert holder()  # one of them: whichever was ready first
    assert play(home).changed() == 0


def test_the_address_moves_when_its_machine_stops_and_stays_when_it_is_back(home: Path):
    first = holder()
    api("POST", f"nodes/node01/qemu/{first.vmid}/status/stop")
    seconds = outage()
    assert holder() == other(first)
    print(f"machine stopped: the address answered again after {seconds:.1f} s")
    api("POST", f"nodes/node01/qemu/{first.vmid}/status/start")
    while first.ssh("systemctl is-active keepalived", check=False) != "active":
        time.sleep(0.5)
    time.sleep(6)  # longer than it takes to take an address over
    assert holder() == other(first)
    assert play(home).changed() == 0


def test_the_address_moves_when_haproxy_stops(home: Path):
    first = holder()
    first.ssh("sudo systemctl stop haproxy")
    seconds = outage()
    assert holder() == other(first)
    print(f"HAProxy stopped: the address answered again after {seconds:.1f} s")
    assert play(home).changed() == 1, "HAProxy is started"
    assert holder() == other(first)


def test_a_changed_configuration_moves_nothing(home: Path):
    """Without a peer in the middle of it, as when a third machine comes: keepalived reads it and keeps what it has."""
    before = holder(), [one.ssh("systemctl show keepalived -P MainPID") for one in MACHINES]
    for one in MACHINES:
        one.ssh(f"sudo sed -i 's/advert_int 1/advert_int 1.5/' {CONFIG}")
    changed = play(home)
    assert changed.changed() == 4, changed.output  # written and read, on two machines
    assert (holder(), [one.ssh("systemctl show keepalived -P MainPID") for one in MACHINES]) == before
    for one in MACHINES:
        one.ssh(f"sudo touch {CONFIG}")  # a run that was killed before the reload
    assert play(home).changed() == 2
    assert play(home).changed() == 0


def test_an_address_that_nobody_asks_for_any_more_is_named(home: Path):
    kept = play(home, haproxy_vip="")
    assert kept.code == 0 and "systemctl disable --now keepalived" in kept.output
    assert holders()
