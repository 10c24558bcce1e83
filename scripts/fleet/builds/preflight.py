"""Stage 1: what a build needs, checked at once and before anything is changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.builds import clones, needed, plan
from fleet.builds.spec import Spec, read
from fleet.findings import Fault, listed
from fleet.images import volume
from fleet.paths import PROXMOX_DIR, VMS_DIR, shown
from fleet.proxmox import rights
from fleet.proxmox.change import Change, Result
from fleet.proxmox.client import Client, Guest
from fleet.templates import found
from fleet.vms import addresses, files

OLDEST = (8, 4)  # the first release that takes disk images as content `import`


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """Raises Fault with all that is in the way."""
    spec = read(arguments)
    release = change.api.get("version")["version"]
    nodes = change.api.nodes()
    cluster = change.api.guests()
    node = spec.node or _node(nodes, cluster, spec.name)
    if node not in nodes:
        raise Fault(f"{node} is not a node of the cluster, which has {listed(sorted(nodes))}")
    if not nodes[node]:
        raise Fault(f"node {node} is offline; start it, or choose another")
    storages = change.api.storages(node) or {}
    made = found.of_image(change.api, cluster, spec.image.name, spec.name, node)
    ready = [one for one in made if _is_wanted(one, spec, storages)]
    image_storage = spec.image_storage or volume.usual(storages)
    problems = [*_release(release), *needed.storages(spec, storages, image_storage, node, bool(ready))]
    problems += rights.missing(change.api, needed.rights(spec, node, image_storage, bool(ready)))
    problems += _surroundings(change.api, spec, node)
    problems += [*_strangers(spec, node, cluster, made), *clones.problems(arguments.get("clones") or ())]
    if spec.seals and not ready:
        problems += _seal(spec)
    if spec.vmid and not ready:
        owners = {guest.vmid: f"{guest.name} on {guest.node}" for guest in cluster}
        if spec.vmid in owners and spec.vmid not in [one.guest.vmid for one in made]:
            problems.append(f"VMID {spec.vmid} belongs to {owners[spec.vmid]}; choose another")
    building = [one for one in made if "building" in one.guest.tags]
    problems += [
        f"another run builds {one} (on {one.notes.builder}); wait until it is done, or if it was killed there, until"
        " an hour after its last stage, or destroy that VMID"
        for one in building
        if one.notes.is_alive()
    ]
    if problems:
        raise Fault("nothing was changed:\n" + "\n".join(f"- {problem}" for problem in problems))
    mine = [one for one in building if one.notes.fingerprint == spec.fingerprint()]
    planned = plan.Plan(
        spec, node, str(storages[spec.storage]["type"]), image_storage, spec.fingerprint(),
        ready=ready[-1].guest.vmid if ready else None, building=mine[-1].guest.vmid if mine else None,
    )  # fmt: skip
    if ready:
        message = f"{ready[-1]} is as wanted"
    else:
        message = f"{spec.name} on {node} is to be built of {spec.image.file}"
        change.say(f"{message}; after an interruption run the same command again, which goes on from there")
    return Result(message=message, facts={"plan": planned.facts()})


def _node(nodes: Mapping[str, bool], cluster: list[Guest], name: str) -> str:
    """Where nobody says it: the node that has the template, else the first that is online."""
    has = [guest.node for guest in cluster if guest.name == name and guest.template and nodes.get(guest.node)]
    return min(has or [node for node, online in nodes.items() if online] or list(nodes))


def _is_wanted(one: found.Found, spec: Spec, storages: Mapping[str, Any]) -> bool:
    named = one.guest.name == spec.name and one.notes.fingerprint == spec.fingerprint()
    return named and not found.problems(one.config, storages)


def _release(text: str) -> Iterator[str]:
    number = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if number < OLDEST:
        yield f"Proxmox VE {text} takes no disk images by its API; 8.4 is the first that does"


def _surroundings(client: Client, spec: Spec, node: str) -> Iterator[str]:
    bridges = client.bridges(node)
    if bridges is not None and spec.bridge not in bridges:
        yield f"{node} has no bridge {spec.bridge}; it has {listed(sorted(bridges))}"
    if spec.gpu:
        known = client.if_told("cluster/mapping/pci")
        if known is not None and spec.gpu not in (ids := [str(entry["id"]) for entry in known]):
            yield f"the datacenter has no PCI mapping {spec.gpu}; it has {listed(sorted(ids))}"


def _strangers(spec: Spec, node: str, cluster: list[Guest], made: list[found.Found]) -> Iterator[str]:
    """Guests that have the template's name and that no build of ours made."""
    ours = {one.guest.vmid for one in made}
    for guest in cluster:
        if guest.name == spec.name and guest.node == node and guest.vmid not in ours:
            yield (
                f"{guest.name} (VMID {guest.vmid} on {node}) exists and was not built here; rename it, as by"
                f" `qm set {guest.vmid} --name {guest.name}-old`, or set proxmox_template_name"
            )


def _seal(spec: Spec) -> Iterator[str]:
    """An address for the one boot in which the guest agent is installed, that no machine of the fleet has."""
    if not spec.seal:
        yield (
            f"{spec.image.name} has no guest agent, so the build boots once to install it, and needs an address for"
            " that: set proxmox_template_seal_ipconfig (or PROXMOX_SEAL_IPCONFIG in .env) to one that nobody has, as"
            " ip=192.168.1.9/24,gw=192.168.1.1; proxmox_template_agent=false builds without agent"
        )
        return
    address = str(addresses.parse(spec.seal)[0].ip.ip)
    for name, file in files.load_dir(VMS_DIR)[0].items():
        if address == file.address:
            yield f"{address} is the address of {name} ({shown(PROXMOX_DIR / 'vms' / name)}.yaml); choose another"
