"""A machine of Talos is ready when its API's port answers; nobody asks it for SSH."""

import socket
import threading
import time
from pathlib import Path

import pytest

from fleet.hosts import readiness, talos
from fleet.hosts.targets import targets

INVENTORY = """\
[talos_control_plane]
talos-prod-cp01
[all]
talos-prod-cp01 ansible_host=127.0.0.1  # terraform
k8s-dev ansible_host=127.0.0.1 ansible_user=suporte  # terraform
"""


@pytest.fixture
def listener(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(talos, "PORT", server.getsockname()[1])
        yield server


def test_the_machines_of_talos_are_told_from_the_others(tmp_path: Path):
    (tmp_path / "k8s.ini").write_text(INVENTORY)
    found, problems = targets(["talos-prod-cp01", "k8s-dev"], tmp_path / "k8s.ini")
    assert problems == []
    assert [target.connection for target in found] == ["talos", "ssh"]


def test_ready(tmp_path: Path, listener):
    (tmp_path / "k8s.ini").write_text(INVENTORY)
    found, _ = targets(["talos-prod-cp01"], tmp_path / "k8s.ini")
    met = readiness.scan(found, "", ssh_timeout=5)
    assert met == {found[0]: readiness.Outcome("talos-prod-cp01", True, "ready (Talos' API answers)")}
    assert readiness.learned("known", met)[0] == "known"


def test_waits_for_a_machine_that_still_starts(listener):
    port = listener.getsockname()[1]
    listener.close()
    later = []

    def start() -> None:
        later.append(socket.create_server(("127.0.0.1", port)))

    timer = threading.Timer(0.5, start)
    timer.start()
    ready, _ = talos.wait("127.0.0.1", time.monotonic(), 10, threading.Event())
    timer.join()
    later[0].close()
    assert ready


def test_not_in_time(listener):
    listener.close()
    ready, said = talos.wait("127.0.0.1", time.monotonic(), 0, threading.Event())
    assert not ready
    assert said == f"Talos' API at 127.0.0.1 port {talos.PORT}: Connection refused within 0 s"
