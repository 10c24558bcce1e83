"""Host devices and directories under a name of the cluster: LAB_DIR/proxmox/mappings.json, by kind and name.

A mapping has an entry for each node, a property string such as `node=node01,path=0000:01:00.0,id=10de:1eb8`. Its
devices do not exist: they are only counted, so that no two running machines have the same one.
"""

from lab.proxmox import guests, machines, options, properties, state
from lab.proxmox.errors import ApiError
from lab.proxmox.schema import boolean

KINDS = ("pci", "usb", "dir")


def _path():
    return state.root() / "mappings.json"


def read(kind: str) -> dict[str, dict]:
    return state.read_json(_path(), {}).get(kind, {})


def write(kind: str, name: str, entries: list[str] | None, description: str = "") -> None:
    """Define a mapping, or with None remove it."""
    with state.locked("mappings"):
        everything = state.read_json(_path(), {})
        known = everything.setdefault(kind, {})
        known.pop(name, None)
        if entries is not None:
            known[name] = {"map": entries} | ({"description": description} if description else {})
        state.write_json(_path(), everything)


def _on_node(kind: str, name: str, node: str) -> list[dict]:
    entries = [properties.parse(text, "path") for text in read(kind).get(name, {}).get("map", [])]
    return [entry for entry in entries if entry.get("node") == node]


def check_start(guest: guests.Guest) -> None:
    """What a start finds out about the machine's devices; ApiError in Proxmox's words."""
    held = _held(guest) if any(options.kind(key) == "hostpci" for key in guest.config) else {}
    q35 = "q35" in str(guest.config.get("machine", ""))
    for key, value in sorted(guest.config.items()):
        name = options.kind(key)
        if name == "hostpci":
            if boolean(properties.parse(value, "host").get("pcie", "0")) and not q35:
                raise ApiError(
                    "q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510."
                )
            wanted = _alternatives(guest.node, value)
            free = [device for device in wanted if device not in held]
            if not free:
                raise ApiError(f"PCI device '{wanted[0]}' already in use by VMID '{held[wanted[0]]}'")
            held[free[0]] = guest.vmid
        elif name == "usb":
            mapping = properties.parse(value, "host").get("mapping")
            if mapping and not _on_node("usb", mapping, guest.node):
                raise ApiError(f"USB device mapping not found for '{mapping}'")
        elif name == "virtiofs":
            _check_directory(guest.node, properties.parse(value, "dirid")["dirid"])


def _held(guest: guests.Guest) -> dict[str, int]:
    """The devices of the node that other running machines have, each with the machine's VMID."""
    found = {}
    for other in guests.all_guests(guest.node):
        if other.vmid != guest.vmid and machines.running(other.vmid):
            found |= dict.fromkeys(_devices(other), other.vmid)
    return found


def _check_directory(node: str, name: str) -> None:
    if name not in read("dir"):
        raise ApiError(f"Directory ID {name} does not exist.")
    if not _on_node("dir", name, node):
        raise ApiError(f"No directory mapping for node {node}.")


def _alternatives(node: str, value: str) -> list[str]:
    """The host's devices that may stand for a hostpciN, in the mapping's order."""
    device = properties.parse(value, "host")
    if "mapping" not in device:
        return [device["host"]]
    entries = _on_node("pci", device["mapping"], node)
    if not entries:
        raise ApiError(f"PCI device mapping not found for '{device['mapping']}'")
    return [entry["path"] for entry in entries]


def _devices(guest: guests.Guest) -> list[str]:
    """The devices that a running machine holds: the first of each alternative that nobody had before it."""
    found = []
    for key, value in sorted(guest.config.items()):
        if options.kind(key) == "hostpci":
            try:
                wanted = _alternatives(guest.node, value)
            except ApiError:  # the mapping went while the machine ran
                continue
            found += [next((device for device in wanted if device not in found), wanted[0])]
    return found
