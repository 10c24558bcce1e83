"""The rights that a build needs."""

from collections.abc import Iterator

from fleet.builds.spec import Spec
from fleet.proxmox.rights import Right, right

_CONFIG = ("CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options")


def rights(spec: Spec, node: str, images: str, ready: bool) -> Iterator[Right]:
    """What a build does with Proxmox; a template that is ready needs only to be read."""
    yield right("/vms", "VM.Audit")
    if ready:
        return
    for privilege in ("VM.Allocate", *(f"VM.Config.{option}" for option in _CONFIG)):
        yield right("/vms", privilege)
    if spec.seals or spec.boot_test:
        yield right("/vms", "VM.PowerMgmt")
    yield right(f"/storage/{spec.storage}", "Datastore.AllocateSpace")
    yield right(f"/storage/{images}", "Datastore.AllocateTemplate")
    yield right(f"/storage/{images}", "Datastore.Audit", "Datastore.AllocateSpace")
    # With Sys.Audit and Sys.Modify on / Proxmox downloads too.
    yield right(f"/nodes/{node}", "Sys.AccessNetwork", "Sys.Modify")
    yield right(f"/sdn/zones/localnetwork/{spec.bridge}", "SDN.Use")
    if spec.gpu:
        yield right(f"/mapping/pci/{spec.gpu}", "Mapping.Use")
