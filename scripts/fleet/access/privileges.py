"""The privileges of the project's two roles in Proxmox, and which of them each operation needs.

The role GitOps makes and changes machines, GitOpsRead only looks. Proxmox VE 9 renamed VM.Monitor to
VM.GuestAgent.Audit; each version refuses the other's name.
"""

from fleet.proxmox.rights import RENAMED, Right, right

ROLE, READ_ROLE = "GitOps", "GitOpsRead"
# SDN.Audit is what bridges are seen with.
READ = ("Datastore.Audit", "Pool.Audit", "SDN.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit")
FULL = tuple(sorted({
    *READ, "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Pool.Allocate", "SDN.Use", "Sys.AccessNetwork",
    "VM.Allocate", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk",
    "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Migrate", "VM.PowerMgmt",
}))  # fmt: skip
# What some fields of a VM file need besides, and what each lets the token do.
OPTIONAL = {
    "Mapping.Use": "devices: hostpciN, usbN, virtiofsN, rng0",
    "Sys.Modify": "startup; it also lets the token change settings of the nodes",
    "Sys.Console": "ha; it also opens the nodes' console",
    "Datastore.Allocate": "removing old images",
}

# What people do with the project, each with what it needs, on paths where a cluster's own names are filled in later.
OPERATIONS: dict[str, tuple[Right, ...]] = {
    "look": (
        right("/vms", "VM.Audit"), right("/storage", "Datastore.Audit"), right("/nodes", "Sys.Audit"),
        right("/", "Sys.Audit"), right("/sdn", "SDN.Audit", "SDN.Use"),
    ),
    "ask guest agents": (right("/vms", "VM.GuestAgent.Audit", "VM.Monitor"),),
    "start and stop": (right("/vms", "VM.PowerMgmt"),),
    "make machines": (
        right("/vms", "VM.Allocate"), right("/vms", "VM.Clone"), right("/storage", "Datastore.AllocateSpace"),
        right("/sdn", "SDN.Use"),
        *(right("/vms", f"VM.Config.{name}") for name in
          ("CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options")),
    ),
    "bring images": (right("/storage", "Datastore.AllocateTemplate"), right("/nodes", "Sys.AccessNetwork")),
    "move machines": (right("/vms", "VM.Migrate"),),
}  # fmt: skip

# The calls of each operation; `…` is nodes/NODE/qemu/VMID.
CALLS = {
    "look": "GET cluster/resources, nodes/NODE/storage, …/config, …/pending",
    "ask guest agents": "GET …/agent/network-get-interfaces",
    "start and stop": "POST …/status/start, stop, shutdown, reboot",
    "make machines": "POST nodes/NODE/qemu, …/clone, …/template; PUT …/config, …/resize; DELETE …",
    "bring images": "POST nodes/NODE/storage/STORAGE/download-url, upload",
    "move machines": "POST …/migrate",
}


def of_version(privileges: tuple[str, ...], version: int) -> tuple[str, ...]:
    """The privileges under the names that this major version of Proxmox VE knows."""
    old = RENAMED if version < 9 else {}
    return tuple(sorted(old.get(name, name) for name in privileges))
