"""The machine that Terraform's state records: what is left to go by where no VM file tells."""

from collections.abc import Mapping
from typing import Any

from fleet.terraform.state import Resource, ipconfig
from fleet.vms import addresses
from fleet.vms.hardware import Network
from fleet.vms.machine import Machine
from fleet.vms.strict_yaml import Lines


def machine(name: str, path: str, resource: Resource) -> Machine | None:
    """What the state has of a machine, so that applying it changes nothing; None where the state has too little.

    Mount points are not Terraform's, and an existing machine ignores which template it came from.
    """
    try:
        return _machine(name, path, resource, resource.attributes)
    except (KeyError, IndexError, TypeError):
        return None


def _machine(name: str, path: str, resource: Resource, has: Mapping[str, Any]) -> Machine | None:
    cloud_init, card, cpu = has["initialization"][0], has["network_device"][0], has["cpu"][0]
    config, user = addresses.parse(ipconfig(cloud_init["ip_config"][0]))[0], cloud_init["user_account"][0]
    dns = (cloud_init.get("dns") or [{}])[0]
    if not (config.ip or config.automatic4) or not resource.disks:
        return None
    return Machine(
        path=path,
        lines=Lines(),
        name=name,
        target_node=resource.node,
        clone="unknown",
        image=None,
        cores=cpu["cores"],
        sockets=cpu["sockets"],
        cpu_type=cpu["type"],
        memory=has["memory"][0]["dedicated"],
        ipconfig0=config,
        address=None,  # a reserved one is the file's alone
        nameserver=tuple(dns.get("servers") or ()),
        searchdomain=dns.get("domain") or None,
        ciuser=user["username"],
        sshkeys=tuple(user["keys"] or ()),
        disks=resource.disks,
        # The provider writes 0 where nothing is set.
        network=Network(
            bridge=card["bridge"],
            model=card["model"],
            macaddr=card["mac_address"] or None,
            tag=card["vlan_id"] or None,
            mtu=card["mtu"] or None,
            firewall=card["firewall"],
            rate=card["rate_limit"] or None,
        ),
        scsihw=has["scsi_hardware"],
        boot=tuple(has["boot_order"] or ()),
        vmid=resource.vmid,
        full_clone=True,
        vm_state="running" if has["started"] else "stopped",
        onboot=has["on_boot"],
        agent=has["agent"][0]["enabled"],
        protection=has["protection"],
        pool=has["pool_id"] or None,
        tags=tuple(has["tags"] or ()),
        description=has["description"],
    )
