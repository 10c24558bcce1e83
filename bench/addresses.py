"""proxmox_get_vm_ip.py --all against `ansible-inventory` with community.proxmox's plugin, on the same API.

As a program of its own it is that API: `python -m bench.addresses COUNT FOLDER` serves a cluster of that many machines,
each with an answer of its guest agent, until its standard input ends.
"""

import contextlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bench import ENVIRONMENT, ROOT, SCRIPTS, Command, Row, grown, label, medians, script

NOTE = """
`proxmox_get_vm_ip.py --all --format json` against `ansible-inventory --list` with `community.proxmox.proxmox`,
`want_facts` and the addresses of the agents, both on one HTTPS server of Python that answers at once; before they are
measured, both must find the same addresses. A real agent takes some milliseconds, which the plugin waits for machine
by machine. Calls for N machines: 1 + 2 N, ten at a time, against 4 + 4 N, one after the other.
"""
SIZES = [1, 50, 500]
FIRST = 1000  # VMID
CARD = "eth0"
PLUGIN = f"""\
plugin: community.proxmox.proxmox
url: ENDPOINT
user: bench@pve
token_id: bench
token_secret: 0-1
want_facts: true
exclude_nodes: true
compose:
  ansible_host: (proxmox_agent_interfaces | selectattr('name', 'eq', '{CARD}') | first)['ip-addresses'][0].split('/')[0]
"""


def mac(number: int) -> str:
    return f"BC:24:11:00:{number >> 8:02X}:{number & 255:02X}"


def card(name: str, address: str, *octets: str) -> dict:
    counters = {
        f"{way}-{kind}": 4711 for way in ("rx", "tx") for kind in ("bytes", "dropped", "errs", "packets")
    }
    told = [{"ip-address": address, "prefix": 24, "ip-address-type": "ipv4"}]
    told += [{"ip-address": f"fe80::{len(octets)}", "prefix": 64, "ip-address-type": "ipv6"}]
    return {
        "name": name,
        "hardware-address": ":".join(octets).lower(),
        "ip-addresses": told,
        "statistics": counters,
    }


def answer(path: str, count: int) -> object:
    """What Proxmox says of a cluster of one node with this many machines."""
    machines = range(count)
    if path == "cluster/resources":
        listed = {
            "node": "node01",
            "type": "qemu",
            "status": "running",
            "template": 0,
            "maxmem": 1 << 32,
            "uptime": 99,
        }
        return [listed | {"vmid": FIRST + one, "name": f"vm-{one:05}"} for one in machines]
    if path == "nodes":
        return [{"node": "node01", "type": "node", "status": "online"}]
    if path == "nodes/node01/qemu":
        return [{"vmid": FIRST + one, "name": f"vm-{one:05}", "status": "running"} for one in machines]
    found = re.fullmatch(r"nodes/node01/qemu/(\d+)/(.+)", path)
    if not found:
        return []  # containers, pools
    number = int(found[1]) - FIRST
    match found[2]:
        case "config":
            return {
                "name": f"vm-{number:05}", "agent": "1", "cores": 2, "memory": "4096", "ostype": "l26",
                "net0": f"virtio={mac(number)},bridge=vmbr0", "scsi0": "local-lvm:vm-disk-0,size=32G",
                "ipconfig0": "ip=dhcp", "description": "ansible-vm: x", "tags": "ansible", "ciuser": "ubuntu",
                "boot": "order=scsi0", "digest": "0" * 40,
            }  # fmt: skip
        case "status/current":
            return {"status": "running", "qmpstatus": "running"}
        case "snapshot":
            return [{"name": "current"}]
    address = f"10.{number >> 8}.{number & 255}.2"
    return {"result": [card("lo", "127.0.0.1", *["00"] * 6), card(CARD, address, *mac(number).split(":"))]}


def serve(count: int, folder: Path) -> None:
    """Print the port, and answer until standard input ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay, as pveproxy's do

        def do_GET(self):
            path = self.path.removeprefix("/api2/json/").partition("?")[0]
            body = json.dumps({"data": answer(path, count)}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, *_):
            """Nothing is logged."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64

        def get_request(self):
            connection, address = super().get_request()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection, address

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def serving(count: int, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.addresses", str(count), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as server:
        yield f"https://127.0.0.1:{server.stdout.readline().strip()}"
        server.stdin.close()


def certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def told(command: Command) -> dict:
    done = subprocess.run(
        command.argv, cwd=command.cwd, env=ENVIRONMENT | command.env, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def rows(runs: int) -> list[Row]:
    found = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            certificate(folder)
            with serving(size, folder) as endpoint:
                pem = str(folder / "cert.pem")
                environment = {"PROXMOX_VE_ENDPOINT": endpoint, "PROXMOX_VE_API_TOKEN": "bench@pve!bench=0-1"}
                environment |= {
                    "PROXMOX_GITOPS_ENV": str(folder / "no.env"),
                    "SSL_CERT_FILE": pem,
                    "NO_PROXY": "*",
                }
                source = folder / "bench.proxmox.yml"
                source.write_text(PLUGIN.replace("ENDPOINT", endpoint))
                plugin = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(source), "--list"]
                ours = Command(
                    script("proxmox_get_vm_ip", "--all", "--format", "json"), SCRIPTS, env=environment
                )
                other = Command(plugin, folder, env={"REQUESTS_CA_BUNDLE": pem, "NO_PROXY": "*"})
                variables = told(other)["_meta"]["hostvars"]
                theirs = {name: one["ansible_host"]["__ansible_unsafe"] for name, one in variables.items()}
                if theirs != {one["name"]: one["address"] for one in told(ours)} or len(theirs) != size:
                    raise SystemExit(f"bench: the two find other addresses: {theirs}"[:500])
                taken = medians(runs, ours, other)
        goal = 0.25 if size == 500 else None
        what = "proxmox_get_vm_ip.py --all / ansible-inventory"
        found.append(Row(what, label(size, "machine"), *taken, goal))
    return grown(found, SIZES)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
