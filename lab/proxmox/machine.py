"""One running machine, as kvm is one process: disks, cloud-init, network, systemd-nspawn.

Run by machines.start in a mount namespace of its own. Prints "ready" or why it cannot start. A restart
from inside the machine keeps this process, as QEMU's reset does: nothing pending takes effect.

The machine and the loop that serves it are one process with one life, so they share this longer file.
"""

import argparse
import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from lab import cgroup
from lab.proxmox import cloudinit, config, guests, machines, nspawn, state
from lab.proxmox.disks import Disks
from lab.proxmox.errors import ApiError

POWER_OFF = signal.SIGRTMIN + 3  # what systemd takes for the power button
REBOOTED = 133  # systemd-nspawn --keep-unit: the machine asked for a restart
GRACE = 15  # seconds that a machine gets when its host goes down


class Machine:
    def __init__(self, vmid: int, hollow: bool):
        self.vmid, self.hollow, self.since = vmid, hollow, time.time()
        self.directory = state.root() / "run" / str(vmid)
        self.disks = Disks(vmid, self.directory)
        self.process: subprocess.Popen | None = None
        self.killed = False

    def guest(self) -> guests.Guest:
        found = guests.find(self.vmid)
        if found is None:
            raise ApiError(f"VM {self.vmid} does not exist")
        return found

    def prepare(self) -> None:
        """What happens once per start and not at a restart from inside."""
        cgroup.join(machines.group(self.vmid))
        state.write_json(self.directory / "pid.json", os.getpid())
        if self.hollow:
            return
        for place in ("/run/netns", "/run/systemd/nspawn"):  # where ip and systemd-nspawn would leave names
            Path(place).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        guest = self.guest()
        nspawn.limit_memory(guest)
        self.disks.sync(guest, None)
        root = self.disks.mount_root(guest)
        seed = root / "var/lib/cloud/seed/nocloud"
        shutil.rmtree(seed, ignore_errors=True)  # of a drive that is no longer there
        if any(config.is_cloudinit(d["file"]) for d in config.drives(guest.config).values()):
            seed.mkdir(parents=True, exist_ok=True)
            for name, text in cloudinit.seed(guest.config, self.vmid, guest.node).items():
                (seed / name).write_text(text)
                (seed / name).chmod(0o600)

    def boot(self) -> None:
        if self.hollow:
            self.process = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL)
            return
        self.process = nspawn.boot(self.guest(), self.disks, self.directory / "console.log")

    def leader(self) -> int | None:
        """The pid of the machine's init."""
        if self.hollow or not self.process or self.process.poll() is not None:
            return None
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def answer(self, command: str) -> dict:
        if command == "status":
            return {"pid": os.getpid(), "leader": self.leader(), "since": self.since}
        if command == "sync" and not self.hollow:
            try:
                self.disks.sync(self.guest(), self.leader())
            except (ApiError, OSError, subprocess.SubprocessError) as error:
                return {"error": str(error)}
        elif command == "shutdown":
            self.power_off()
        elif command == "kill":
            self.killed = True
            self.kill()
        return {}

    def power_off(self) -> None:
        leader = self.leader()
        if self.hollow and not os.environ.get("LAB_PROXMOX_HOLLOW"):
            return  # a machine that does not answer
        if leader:
            os.kill(leader, POWER_OFF)
        elif self.process:
            self.kill()

    def kill(self) -> None:
        if leader := self.leader():
            os.kill(leader, signal.SIGKILL)
        if self.process and self.process.poll() is None:
            self.process.kill()


def serve(machine: Machine, listener: socket.socket) -> None:
    """Answer until the machine is off; boot it again when it requests a restart."""
    waker, wake = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    deadline = []

    def host_down(*_):
        machine.power_off()
        deadline.append(time.monotonic() + GRACE)

    signal.signal(signal.SIGTERM, host_down)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(wake, selectors.EVENT_READ)
    while True:
        code = machine.process.poll()
        if code is not None:
            if code != REBOOTED or machine.killed or deadline:
                return
            machine.boot()
        if deadline and time.monotonic() > deadline[0]:
            machine.kill()
        for key, _ in selector.select(timeout=1):
            if key.fileobj is wake:
                wake.recv(64)
                continue
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):  # whoever asked may have been killed
                connection.settimeout(5)
                command = connection.recv(64).decode().strip()
                connection.sendall(json.dumps(machine.answer(command)).encode() + b"\n")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.proxmox.machine", description=__doc__)
    parser.add_argument("vmid", type=int)
    parser.add_argument("--hollow", action="store_true", help="a process without an operating system")
    args = parser.parse_args(argv)
    machine = Machine(args.vmid, args.hollow)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            with contextlib.suppress(OSError):
                listener.bind(machines.address(args.vmid))
            if not listener.getsockname():
                raise ApiError(f"VM {args.vmid} already running")
            machine.prepare()
            machine.boot()
        except (ApiError, OSError, subprocess.CalledProcessError) as error:
            print(re.sub(r"\s+", " ", f"start failed: {error}"), flush=True)
            return 1
        listener.listen(64)
        print("ready", flush=True)
        sys.stdout = sys.stderr
        os.dup2(2, 1)
        try:
            serve(machine, listener)
        finally:
            machine.kill()
    print(f"VM {args.vmid} is off", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
