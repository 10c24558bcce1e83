"""The privileges that Proxmox VE knows, and the roles that it makes of them: create_roles of pve-access-control.

9.0 dropped VM.Monitor for VM.GuestAgent.*, and 9.0.3 added VM.Replicate; each release refuses the other's names.
"""

import functools

from lab.proxmox import faults

# By category: what only root's role has, an administrator's, a user's, an auditor's.
_NEW = {
    "VM": (
        (),
        ("VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType",
         "VM.Config.Options", "VM.Allocate", "VM.Clone", "VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.Replicate",
         "VM.Snapshot", "VM.Snapshot.Rollback"),
        ("VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.Backup", "VM.GuestAgent.FileRead",
         "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite", "VM.PowerMgmt"),
        ("VM.Audit", "VM.GuestAgent.Audit"),
    ),
    "Sys": (
        ("Sys.PowerMgmt", "Sys.Modify", "Sys.Incoming", "Sys.AccessNetwork"),
        ("Sys.Console", "Sys.Syslog"), (), ("Sys.Audit",),
    ),
    "Datastore": (
        (), ("Datastore.Allocate", "Datastore.AllocateTemplate"), ("Datastore.AllocateSpace",), ("Datastore.Audit",),
    ),
    "SDN": ((), ("SDN.Allocate", "SDN.Audit"), ("SDN.Use",), ("SDN.Audit",)),
    "User": (("Realm.Allocate",), ("User.Modify", "Group.Allocate", "Realm.AllocateUser"), (), ()),
    "Pool": ((), ("Pool.Allocate",), ("Pool.Audit",), ("Pool.Audit",)),
    "Mapping": ((), ("Mapping.Modify",), ("Mapping.Use",), ("Mapping.Audit",)),
}  # fmt: skip


def _groups(release: int) -> dict[str, tuple[tuple[str, ...], ...]]:
    if release >= 9:
        return _NEW

    def old(names: tuple[str, ...]) -> tuple[str, ...]:
        kept = tuple(n for n in names if not n.startswith("VM.GuestAgent") and n != "VM.Replicate")
        return (*kept, "VM.Monitor") if "VM.Migrate" in names else kept

    return _NEW | {"VM": tuple(map(old, _NEW["VM"]))}


@functools.cache
def _privileges(release: int) -> frozenset[str]:
    groups = _groups(release).values()
    return frozenset({"Permissions.Modify", *(name for group in groups for part in group for name in part)})


@functools.cache
def _special(release: int) -> dict[str, tuple[str, ...]]:
    roles: dict[str, set[str]] = {
        "NoAccess": set(), "Administrator": set(_privileges(release)), "PVETemplateUser": {"VM.Audit", "VM.Clone"},
        "PVEAdmin": set(), "PVEAuditor": set(),
    }  # fmt: skip
    for category, (_, admin, user, audit) in _groups(release).items():
        roles[f"PVE{category}Admin"] = {*admin, *user, *audit}
        roles["PVEAdmin"] |= {*admin, *user, *audit}
        if user:
            roles[f"PVE{category}User"] = {*user, *audit}
        roles["PVEAuditor"] |= set(audit)
    roles["PVEAdmin"].discard("Mapping.Modify")
    return {name: tuple(sorted(names)) for name, names in roles.items()}


def privileges() -> frozenset[str]:
    """All that this release knows."""
    return _privileges(faults.release())


def special() -> dict[str, tuple[str, ...]]:
    """The roles that nobody can change, with their privileges."""
    return _special(faults.release())
