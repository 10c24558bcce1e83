"""The simulated Proxmox VE: HTTPS on 192.168.1.1:8006 in the lab's network.

Reads LAB_DIR: secrets/proxmox_token, secrets/proxmox_tls.key, tls/proxmox.pem. Keeps everything else in
LAB_DIR/proxmox, so it may be killed at any time: machines and tasks are processes of their own.
To run it alone: `python -m lab up proxmox`, or with `python -m lab.proxmox --address 127.0.0.1:8006` in any
network namespace. With LAB_PROXMOX_HOLLOW=1 machines are empty processes, with no disk mounted and no
network; faults that tests can inject are described in faults.py.
"""

import argparse

from lab import GATEWAY, lab_dir, secrets_dir
from lab.proxmox import access, api, boot, state  # noqa: F401 (the requests register themselves)
from lab.proxmox.server import Server


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.proxmox", description="The simulated Proxmox VE.")
    parser.add_argument("--address", default=f"{GATEWAY}:8006", help="default: %(default)s")
    host, _, port = parser.parse_args(argv).address.partition(":")
    state.root().mkdir(parents=True, exist_ok=True)
    access.prepare()
    boot.register_template()
    with Server(
        (host, int(port)), str(lab_dir() / "tls/proxmox.pem"), str(secrets_dir() / "proxmox_tls.key")
    ) as server:
        boot.start_machines()
        print(f"listening on {host}:{port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
