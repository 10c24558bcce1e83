"""Waiting for a machine of Talos: the port of its API answers, in maintenance and as a member of a cluster alike."""

import socket
import threading
import time

CONNECTION = "talos"  # of a Target, in place of Ansible's ssh
PORT = 50000


def wait(address: str, start: float, seconds: float, over: threading.Event) -> tuple[bool, str]:
    """Whether the port answers within `seconds` of `start`, and how to say it. `over`: when to end early."""
    while True:
        try:
            socket.create_connection((address, PORT), 5).close()
            return True, "ready (Talos' API answers)"
        except OSError as error:
            problem = error.strerror or str(error)
        if time.monotonic() > start + seconds or over.is_set():
            return False, f"Talos' API at {address} port {PORT}: {problem} within {seconds:.0f} s"
        over.wait(1)
