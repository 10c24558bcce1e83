#!/usr/bin/env python3
"""Remove the machines of .env with their disks, all at once: stopped, not shut down. `make remove` does it slowly.

Reads proxmox/vars/vm_config.yml, which `make generate-config` writes from .env; PROXMOX_VE_ENDPOINT and
PROXMOX_VE_API_TOKEN come from .env or the environment. Lists first what goes and what stays, and removes nothing
without --confirm-delete. Only a machine goes that the role proxmox_vm made and that the configuration names: never a
template, a container, a machine of Terraform or of somebody else, nor one that is protected, locked or managed by HA.
Run again, it goes on with what is left.
Exit codes: 0 all are gone, 1 something is left or nothing was confirmed, 2 wrong usage or Proxmox is out of reach.
"""

import os
from pathlib import Path

from fleet import cli
from fleet.console import note
from fleet.deploy import cleanup, lock, removal, wanted
from fleet.findings import Fault, Finding, guarded, report
from fleet.paths import shown
from fleet.proxmox import client


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    config = f"the machines (default: {shown(wanted.CONFIG)})"
    parser.add_argument("--config", type=Path, default=wanted.CONFIG, metavar="FILE", help=config)
    parser.add_argument("--confirm-delete", action="store_true", help="remove them; nothing brings them back")
    options = parser.parse_args(argv)
    machines = wanted.load(options.config)
    api = client.connect()
    found = removal.look(api, machines)
    print(found.text)
    goes = [one for one in found.verdicts if one.goes]
    left = [one for one in found.verdicts if one.stays]
    if goes and not options.confirm_delete:
        raise Fault(f"nothing was removed: {removal.refusal(goes, 'make cleanup-vms')}")
    lock.take(options.config, os.getpid(), "make cleanup-vms")
    left += cleanup.remove(api, machines, goes, note)
    findings = [Finding(removal.sentence(one)) for one in left]
    if not findings:
        print("all machines of this configuration are gone")
    return report(findings)


if __name__ == "__main__":
    raise SystemExit(main())
