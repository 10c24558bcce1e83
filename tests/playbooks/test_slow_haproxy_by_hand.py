"""The role haproxy on a machine where something is there already: no configuration or service of a person is replaced.

The tests build on each other in their order.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.plays import Machine, Play, inventory, running

MACHINE = Machine("haproxy-hand", "192.168.1.31", 131)
CONFIG = "/etc/haproxy/haproxy.cfg"
BY_HAND = "defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
BY_HAND += "frontend by-hand\n  mode tcp\n  bind {}\n"
WANTED = {
    "haproxy_backends": [{"name": "web", "servers": [{"name": "a", "address": "192.0.2.1", "port": 80}]}],
    "haproxy_frontends": [{"name": "www", "port": 80, "backend": "web"}],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("haproxy"), [MACHINE], ["proxmox"]) as made:
        yield made


def play(home: Path, **variables) -> Play:
    return Play(home, "haproxy", MACHINE.name, "-e", json.dumps(WANTED | variables))


def refused(home: Path, **variables) -> str:
    """What the play said; it left every file and the service as they were."""
    seen = (
        "sudo find /etc/haproxy /etc/systemd/system -type f -exec sha256sum {} + | sort; command -v haproxy;"
        " systemctl show haproxy -P MainPID -P UnitFileState; sudo ss -Hltnp"
    )
    before = MACHINE.ssh(seen, check=False)
    said = play(home, **variables).refused()
    assert MACHINE.ssh(seen, check=False) == before
    return said


SERVE = "sudo systemd-run -q --unit=by-hand python3 -m http.server --bind {} {}"

# name: what somebody started, whether the role goes on beside it
LISTENING = {
    "everywhere": (SERVE.format("0.0.0.0", 80), False),
    "on-ipv6-and-ipv4": (SERVE.format("::", 80), False),
    "one-address": (SERVE.format("192.168.1.31", 80), False),
    "statistics": (SERVE.format("127.0.0.1", 8404), False),
    "another-port": (SERVE.format("0.0.0.0", 81), True),
    "statistics-elsewhere": (SERVE.format("192.168.1.31", 8404), True),
}


@pytest.mark.parametrize("case", LISTENING)
def test_a_port_in_use(case: str, home: Path):
    command, goes_on = LISTENING[case]
    MACHINE.ssh(f"{command}; until sudo ss -Hltnp | grep -q python; do sleep 0.1; done")
    try:
        if goes_on:
            check = Play(home, "haproxy", MACHINE.name, "--check", "-e", json.dumps(WANTED))
            assert check.code == 0, check.output
        else:
            said = refused(home)
            assert "of the frontend " in said and 'is in use by users:(("python3",' in said
    finally:
        MACHINE.ssh("sudo systemctl stop by-hand")


def test_a_haproxy_that_is_not_the_packages(home: Path):
    MACHINE.ssh(
        "printf '#!/bin/sh\\n' | sudo tee /usr/local/sbin/haproxy; sudo chmod +x /usr/local/sbin/haproxy"
    )
    assert "not of the package haproxy (/usr/local/sbin/haproxy)" in refused(home)
    MACHINE.ssh("sudo rm /usr/local/sbin/haproxy")


def test_a_machine_without_dpkg(home: Path):
    MACHINE.ssh("sudo mv /usr/bin/dpkg-query /usr/bin/dpkg-query.away")
    try:
        assert "It has no dpkg, and this role is for Debian and Ubuntu." in refused(home)
    finally:
        MACHINE.ssh("sudo mv /usr/bin/dpkg-query.away /usr/bin/dpkg-query")


def test_the_packages_own_configuration_may_go(home: Path):
    MACHINE.ssh("sudo apt-get -q update; sudo apt-get -q install --yes haproxy")
    assert (first := play(home)).changed() > 0
    assert "web a " in first.output  # the server that nobody has, told and no failure
    assert play(home).changed() == 0


MAIN = "systemctl show haproxy -P MainPID"
CONNECTED = "sudo ss -Htn state established sport = :80 | wc -l"


def test_a_reload_keeps_connections_and_what_is_known_of_servers(home: Path):
    """A server that answers beside one that does not, then a third: the connection of before stays, and so does the
    state that the first two had, a drain by hand too."""
    serve = SERVE.format("127.0.0.1", 8001).replace("by-hand", "server")
    MACHINE.ssh(f"{serve}; until sudo ss -Hltnp | grep -q :8001; do sleep 0.1; done")
    servers = [
        {"name": name, "address": "127.0.0.1", "port": port} for name, port in (("a", 8001), ("b", 8002))
    ]
    here = [{"name": "web", "servers": servers}]
    play(home, haproxy_backends=here).changed()
    MACHINE.ssh(
        "sudo systemd-run -q --unit=client bash -c 'exec 3<>/dev/tcp/127.0.0.1/80; sleep 300'; sleep 7"
    )
    ask = "printf '{}\\n' | sudo python3 -c \"import socket, sys; s = socket.socket(socket.AF_UNIX);"
    ask += " s.connect('/run/haproxy/admin.sock'); s.sendall(sys.stdin.buffer.read()); print(s.makefile().read())\""
    MACHINE.ssh(ask.format("set server web/a state drain"))
    before = MACHINE.ssh(MAIN), MACHINE.ssh(CONNECTED)
    assert before[1] == "1"
    here[0]["servers"].append({"name": "c", "address": "127.0.0.1", "port": 8001})
    third = play(home, haproxy_backends=here)
    assert third.changed() == 2  # written and read
    assert (MACHINE.ssh(MAIN), MACHINE.ssh(CONNECTED)) == before
    assert all(line in third.output for line in ("web a DRAIN L4OK", "web b DOWN L4CON", "web c UP L4OK")), (
        third.output
    )
    assert MACHINE.ssh("sudo cat /var/lib/haproxy/server-state") == "1"
    MACHINE.ssh("sudo systemctl stop client server")


def test_a_configuration_that_haproxy_refuses_is_not_put_in_place(home: Path):
    before = MACHINE.ssh(f"sudo sha256sum {CONFIG}; {MAIN}")
    said = play(home, haproxy_frontends=[WANTED["haproxy_frontends"][0] | {"extra": ["nonsense here"]}])
    assert said.code == 2 and "nonsense" in said.output
    assert MACHINE.ssh(f"sudo sha256sum {CONFIG}; {MAIN}") == before


def test_a_run_that_was_killed_before_the_reload(home: Path):
    """Its configuration is in place and valid; only the process does not know it."""
    MACHINE.ssh(f"sudo sed -i 's/maxconn .*/maxconn 4000 #/' {CONFIG}")
    assert play(home).changed() > 0
    MACHINE.ssh(f"sudo touch {CONFIG}")
    assert play(home).changed() == 1
    assert play(home).changed() == 0


def test_a_configuration_that_haproxy_cannot_start_with(home: Path):
    """Valid, but the address is none of the machine's: the old process serves on, and no later run is green."""
    elsewhere = [
        *WANTED["haproxy_frontends"],
        {"name": "far", "port": 81, "address": "192.0.2.9", "backend": "web"},
    ]
    for _ in range(2):
        said = play(home, haproxy_frontends=elsewhere, haproxy_check_timeout=5)
        assert said.code == 2 and "still serves its earlier configuration" in " ".join(said.output.split())
    MACHINE.ssh("curl -s http://127.0.0.1/ -m 2; sudo ss -Hltn | grep -q :80")
    assert play(home).changed() > 0


def test_a_configuration_of_a_person_is_refused(home: Path):
    text = BY_HAND.format(":80")
    MACHINE.ssh(f"printf '{text}' | sudo tee {CONFIG}; sudo systemctl restart haproxy")
    said = refused(home)
    assert f"{CONFIG} was not written by this role." in said and "haproxy_take_over=true" in said
    MACHINE.ssh("sudo rm -f /etc/haproxy/haproxy.cfg.*~")
    (home / "k8s.ini").write_text(inventory([MACHINE], "haproxy_take_over=true"))
    taken = play(home)
    assert taken.changed() > 0
    assert "the earlier configuration is kept as /etc/haproxy/haproxy.cfg." in " ".join(taken.output.split())
    assert MACHINE.ssh(f"sudo cat {CONFIG}.*~") + "\n" == text
    (home / "k8s.ini").write_text(inventory([MACHINE]))
    assert play(home).changed() == 0


def test_a_change_by_hand_is_kept_as_a_copy(home: Path):
    MACHINE.ssh(f"echo '# by hand' | sudo tee -a {CONFIG}; sudo rm -f /etc/haproxy/haproxy.cfg.*~")
    assert "is kept as" in (replaced := play(home)).output and replaced.changed() > 0
    assert MACHINE.ssh(f"sudo tail -n 1 {CONFIG}.*~") == "# by hand"


def test_a_configuration_of_this_roles_earlier_days(home: Path):
    MACHINE.ssh(f"sudo sed -i '1s/.*/# Ansible managed/' {CONFIG}")
    assert play(home).changed() > 0


def test_a_frontend_that_nobody_reaches(home: Path):
    """An address of the machine that is not the one under which it is reached, as behind a firewall."""
    inside = [{"name": "www", "port": 82, "backend": "web", "address": "127.0.0.2"}]
    silent = play(home, haproxy_frontends=inside, haproxy_check_timeout=2)
    assert silent.code == 2
    assert "a firewall in the machine blocks the port" in " ".join(silent.output.split())


def test_a_haproxy_that_listens_already(home: Path):
    """Started by hand beside the service, which could not have its port."""
    text = BY_HAND.format(":80")
    MACHINE.ssh(f"sudo systemctl stop haproxy; printf '{text}' >by-hand.cfg;"
        " sudo systemd-run -q --unit=by-hand haproxy -f $PWD/by-hand.cfg; sleep 1")  # fmt: skip
    assert 'Port 80 of the frontend www is in use by users:(("haproxy",' in refused(home)
    MACHINE.ssh("sudo systemctl stop by-hand")
    assert play(home).changed() > 0
