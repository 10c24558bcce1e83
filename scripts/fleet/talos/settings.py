"""The settings of a Talos cluster, read from the object that the role talos writes to the script's standard input.

Nothing here asks a machine or Vault.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

from fleet import names
from fleet.clusters.server import HOST
from fleet.findings import Fault, cut, listed
from fleet.talos.cluster import VERSION, Cluster, Node, Version, version

OLDEST = (1, 12)  # the first with HostnameConfig and LinkAliasConfig
FACTORY = "factory.talos.dev/nocloud-installer"
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?")


def parse(text: str, member: str) -> Cluster:
    """The cluster of a machine from the role's object. Raises Fault."""
    try:
        given = json.loads(text)
        machines = {str(name): str(address) for name, address in given["machines"].items()}
        # A shared address may have the length of its network's prefix.
        balancers = {
            str(name): str(address).partition("/")[0] for name, address in given.get("balancers", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        message = "standard input is not the JSON object that the role talos writes: it has no machines"
        raise Fault(message, code=2) from None
    name = names.cluster_of(member)
    if name is None or not machines.get(member):
        message = f"{member} is not among the machines of the Talos clusters that have an address"
        raise Fault(f"{message}: {listed(machines)}", code=2)
    nodes = tuple(
        Node(machine, address(machine, at), names.is_control_plane(machine))
        for machine, at in sorted(machines.items(), key=lambda one: _order(one[0]))
        if at and names.cluster_of(machine) == name  # none: its lease is not known yet
    )
    _check_nodes(name, nodes)
    wanted = version(given.get("version"), "talos_version")
    if wanted[:2] < OLDEST:
        raise Fault(f"talos_version is {wanted}; the role needs v1.12.0 or newer", code=2)
    vip = _literal(given.get("vip"), "talos_vip")
    if taken := next((node for node in nodes if vip == node.address), None):
        raise Fault(f"talos_vip is {vip}, the address of {taken.name}; give one that no machine has", code=2)
    return Cluster(
        name,
        nodes,
        _endpoint(given.get("endpoint"), vip, names.load_balancers_of(name, balancers), balancers, nodes),
        vip,
        str(given.get("vip_link") or ""),
        wanted,
        version(given.get("kubernetes_version"), "talos_kubernetes_version"),
        _image(given, wanted),
        str(given.get("install_disk") or ""),
        *(_patches(given, kind) for kind in ("patches", "control_plane_patches", "worker_patches")),
        given.get("force_bootstrap") is True,
    )


def _order(name: str) -> tuple[bool, int, str]:
    """Control planes first, and cp2 before cp10."""
    number = re.search(r"\d+$", name)
    return not names.is_control_plane(name), int(number[0]) if number else 0, name


def _check_nodes(name: str, nodes: tuple[Node, ...]) -> None:
    if not any(node.control_plane for node in nodes):
        message = f"{name} has no control plane in the inventory; add a machine {name}-cp01"
        raise Fault(message, code=2)
    seen: dict[str, str] = {}
    for node in nodes:
        if other := seen.get(node.address):
            message = f"{other} and {node.name} have the same address in the inventory, {node.address}"
            raise Fault(message, code=2)
        seen[node.address] = node.name


def address(name: str, text: str) -> str:
    """The machine API is asked by address: a name could be answered by another machine's."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Fault(
            f"{name} is at {cut(text)} in the inventory, which is not an IP address", code=2
        ) from None


def _literal(text: Any, what: str) -> str:
    if text and not _is_address(text):
        raise Fault(f"{what} is {cut(str(text))}, which is not an IP address", code=2)
    return str(ipaddress.ip_address(text)) if text else ""


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _endpoint(given: Any, vip: str, serving: list[str], balancers: Mapping[str, str], nodes: tuple) -> str:
    """The given one, else the shared address, else the load balancers', else the first control plane."""
    if given:
        if not HOST.fullmatch(str(given)) and not _is_address(given):
            message = (
                f"talos_endpoint is {cut(str(given))}; give an address or a name, without https:// and port"
            )
            raise Fault(message, code=2)
        return str(given)
    addresses = {balancers[name] for name in serving}
    if not vip and len(addresses) > 1:
        message = f"{listed(serving)} have no shared address (haproxy_vip); give it, or set talos_endpoint"
        raise Fault(message, code=2)
    return vip or next(iter(addresses), nodes[0].address)


def _image(given: Mapping[str, Any], wanted: Version) -> str:
    image, schematic = str(given.get("install_image") or ""), str(given.get("schematic") or "")
    if bool(image) == bool(schematic):
        message = "give either talos_schematic, of factory.talos.dev, or talos_install_image"
        raise Fault(message, code=2)
    if schematic and not re.fullmatch("[0-9a-f]{64}", schematic):
        raise Fault(
            f"talos_schematic is {cut(schematic)}; a schematic's ID has 64 hexadecimal digits", code=2
        )
    image = image or f"{FACTORY}/{schematic}:{wanted}"
    if not _IMAGE.fullmatch(image):
        raise Fault(f"talos_install_image is {cut(image)}, which is not the reference of an image", code=2)
    tag = image.partition("@")[0].rpartition(":")[2]
    if VERSION.fullmatch(tag) and version(tag, "the tag") != wanted:
        message = (
            f"talos_install_image has the tag {tag}, and talos_version is {wanted}; set both to one version"
        )
        raise Fault(message, code=2)
    return image


def _patches(given: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    patches = given.get(kind) or []
    if not isinstance(patches, list) or not all(isinstance(one, (dict, str)) and one for one in patches):
        raise Fault(f"talos_{kind} is not a list of patches, each a map or YAML text", code=2)
    return tuple(one if isinstance(one, str) else json.dumps(one) for one in patches)
