"""A new machine, as a clone of a template or from an image. The creation is one call, which Proxmox does or undoes.

The stages of `run` are the role's task files prepare_cloud_image, import_cloud_image and clone, and `undo`, by which a
create that fails later leaves nothing. What follows is in finish.py. A machine that is there already is left as it is.

More than 150 lines because a new machine's name, VMID and node are chosen in one place for both ways.
"""

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet import paths
from fleet.findings import Fault, listed
from fleet.lifecycle import image, machine, options, owner, template
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import disks, ids
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.guest import Guest
from fleet.proxmox.rights import right

CONFIG = tuple(f"VM.Config.{name}" for name in ("Disk", "Options", "CPU", "Memory", "Network", "Cloudinit"))
TRIES = 10  # of a look at a machine that another run makes
FROM_IMAGE = ("VM.Config.HWType", "VM.Config.CDROM")


class Occupied(Fault):
    """A free VMID has the volumes of a former machine."""


class _Appeared(Exception):
    """The machine is there after all: Proxmox went on with the creation of a play that was killed."""

    def __init__(self, found: Found):
        super().__init__(found.label)
        self.found = found


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    if arguments["stage"] == "undo":
        return undo(change, spec)
    cluster = change.api.guests()
    found = present(change, spec, cluster)
    if found is None:
        stage = {"prepare": prepare, "import": from_image, "clone": clone}[arguments["stage"]]
        try:
            return stage(change, spec, cluster, arguments)
        except _Appeared as appeared:
            found = appeared.found
            change.say(
                f"another run made {found.label} at the same moment: this one goes on with what is there"
            )
    growth = image_size(change, spec, found) if arguments["stage"] == "prepare" else {}
    state = "" if found.owner.finished else ", whose creation was cut off and goes on"
    facts = {**found.facts, "finished": found.owner.finished, **growth}
    return Result(message=f"{found.label} is there already{state}", facts=facts)


def present(change: Change, spec: Spec, cluster: Sequence[Guest]) -> Found | None:
    """The machine, if this role made it, once nothing works on it. Raises Fault where somebody else has its place."""
    found = ours(change, spec, cluster)
    return machine.idle(change, found) if found else None


def ours(change: Change, spec: Spec, cluster: Sequence[Guest]) -> Found | None:
    """The machine, if this role made it. Raises Fault where somebody else has its name or VMID."""
    owner.refuse_fleet("create", spec.name, spec.vmid, None, {})
    if not spec.name and spec.vmid is None:
        return _cut_off(change, spec, cluster)
    found = machine.find(change.api, spec, cluster)
    if found is None:
        others = [guest for guest in cluster if spec.name and guest.name == spec.name]
        if others:
            raise Fault(f"{spec.name} exists already, as VMID {others[0].vmid} on {others[0].node}: leave"
                        f" {PREFIX}vmid empty, or choose another name")  # fmt: skip
        return None
    machine.refuse_template(found, "create")
    owner.refuse_fleet("create", found.guest.name, found.guest.vmid, found.guest, found.config)
    if not found.owner.role:
        raise Fault(
            f"{found.label} exists already and was not made by this role; choose another name or VMID"
        )
    return found


def prepare(change: Change, spec: Spec, cluster: Sequence[Guest], arguments: Mapping[str, Any]) -> Result:
    if arguments.get("cloud_image_cache_dir"):
        change.say(
            "proxmox_cloud_image_cache_dir has no effect: images are on a storage, where Proxmox imports from"
        )
    node = _node(change, spec, "")
    brought = image.bring(change, spec, node)
    size = image.size_mib(change.api, spec, node, brought.volid)
    facts = {"image_volume": brought.volid, "image_mib": size, "image_node": node}
    after = {"image": brought.volid} if brought.changed else {}
    return Result(brought.changed, brought.message, {}, after, facts)


def image_size(change: Change, spec: Spec, found: Found) -> dict[str, Any]:
    """For a machine whose creation was cut off before its disk grew."""
    if found.owner.finished:
        return {}
    brought = image.bring(change, spec, found.guest.node)
    return {"image_mib": image.size_mib(change.api, spec, found.guest.node, brought.volid)}


def from_image(change: Change, spec: Spec, cluster: Sequence[Guest], arguments: Mapping[str, Any]) -> Result:
    node = arguments.get("image_node") or _node(change, spec, "")
    volid = arguments.get("image_volume") or image.bring(change, spec, node).volid
    size = float(arguments.get("image_mib") or image.size_mib(change.api, spec, node, volid))
    build, found = image.build(spec), image.storages(change.api, node)
    storage = image.storage_of_disks(found, node, spec)
    for slot, (gib, exact) in options.asked_of_disks(spec, {"scsi0": f"{storage}:0"}).items():
        if slot == "scsi0" and size:
            disks.grows(size / 1024, gib, exact)
    name = spec.name or _new_name(change, spec, build.name, cluster)
    config = image.machine(spec, found, storage, build, volid, name)
    storages = {storage, *(disk.storage for disk in spec.disks if disk.storage)}
    machine.require(
        change,
        right(f"/vms/{spec.vmid}" if spec.vmid else "/vms", "VM.Allocate"),
        *(right("/vms", one) for one in (*CONFIG, *FROM_IMAGE)),
        *(right(f"/storage/{one}", "Datastore.AllocateSpace") for one in sorted(storages)),
        *options.bridges(config),
    )
    vmid = _made(
        change, spec, cluster, name, lambda vmid: image.leftovers(change.api, node, found, storages, vmid),
        lambda vmid: change.api.post(f"nodes/{node}/qemu", vmid=vmid, **config),
    )  # fmt: skip
    sizes = {disk.slot: f"{disk.size}G" for disk in spec.disks} | {"scsi0": f"{int(size)}M"}
    made = {slot: f"{storage}:vm-{vmid}-disk,size={text}" for slot, text in sizes.items()}
    planned = config | made if change.check else {}
    facts = {"vmid": vmid, "name": name, "node": node, "finished": False, "planned": planned}
    after = {"vmid": vmid, "node": node, "image": volid} | {
        k: v for k, v in config.items() if k != "description"
    }
    return Result(True, f"{name} (VMID {vmid} on {node}) is made from {volid}", {}, after, facts)


def clone(change: Change, spec: Spec, cluster: Sequence[Guest], arguments: Mapping[str, Any]) -> Result:
    chosen = template.choose(change, spec, cluster)
    source, node = chosen.guest, _node(change, spec, chosen.guest.node)
    found = image.storages(change.api, source.node)
    full = _full(change, spec, chosen, found)
    _reachable(chosen, found, node)
    there = found if node == source.node else image.storages(change.api, node)
    for disk in spec.disks:
        if disk.storage and disk.slot not in chosen.config:
            image.new_disk(
                there, disk.storage, disk.slot, disk.size, chosen.config
            )  # which refuses what cannot be
    for slot, (gib, exact) in options.asked_of_disks(spec, chosen.config).items():
        if size := options.size_mib(chosen.config, slot):
            disks.grows(size / 1024, gib, exact)
    name = spec.name or _new_name(change, spec, source.name.removesuffix("-template"), cluster)
    fields = {"name": name, "full": int(full), "description": owner.line(name, source.name, finished=False)}
    fields |= {"target": node} if node != source.node else {}
    fields |= {"storage": spec.disk_storage} if full and spec.disk_storage else {}
    volumes = disks.volumes(chosen.config).values()
    storages = {spec.disk_storage} if "storage" in fields else {one.partition(":")[0] for one in volumes}
    storages |= {disk.storage for disk in spec.disks if disk.storage}
    machine.require(
        change,
        right(f"/vms/{source.vmid}", "VM.Clone"),
        right(f"/vms/{spec.vmid}" if spec.vmid else "/vms", "VM.Allocate"),
        *(right("/vms", one) for one in CONFIG),
        *(right(f"/storage/{one}", "Datastore.AllocateSpace") for one in sorted(storages)),
        *options.bridges(chosen.config, options.asked(spec, chosen.config)),
    )
    vmid = _made(
        change, spec, cluster, name, lambda vmid: image.leftovers(change.api, node, there, storages, vmid),
        lambda vmid: change.api.post(f"nodes/{source.node}/qemu/{source.vmid}/clone", newid=vmid, **fields),
    )  # fmt: skip
    kind = "full" if full else "linked"
    planned = {**chosen.config, "name": name, "description": fields["description"]} if change.check else {}
    planned.pop("template", None)
    facts = {"vmid": vmid, "name": name, "node": node, "finished": False, "planned": planned}
    after = {"vmid": vmid, "name": name, "node": node, "template": chosen.label, "clone": kind}
    return Result(
        True, f"{name} (VMID {vmid} on {node}) is a {kind} clone of {chosen.label}", {}, after, facts
    )


def undo(change: Change, spec: Spec) -> Result:
    """Remove a machine whose creation failed. One that runs, or that was finished, is left alone."""
    found = machine.find(change.api, spec)
    if found is None or found.owner.finished or not found.owner.role or found.guest.status != "stopped":
        return Result(message="nothing is left of it")
    if not change.check:
        machine.done(change, lambda: change.api.delete(found.path, purge=1))
    return Result(True, f"{found.label} is removed again, since it could not be finished")


def _made(
    change: Change,
    spec: Spec,
    cluster: Sequence[Guest],
    name: str,
    left: Callable[[int], Mapping[str, int]],
    create: Callable[[int], Any],
) -> int:
    """The VMID under which `create` made the machine. When it fails nothing is left.

    `left`: the volumes that a VMID has. One with the disks of a former machine is not used: they may be somebody's
    data, and those of a machine whose creation is cut off have to be told from them (see finish.new_disks). On all
    storages, and without disks that are asked for too: what is asked for may change before the next run.
    """

    def act(vmid: int) -> None:
        if change.check:
            return
        begun = False
        try:
            upid = create(vmid)
            begun = True
            change.say(f"{name} gets VMID {vmid}")
            machine.wait(change, upid)
        except Fault as fault:
            if ids.is_taken(fault, vmid):
                if found := _made_by_another(change, spec._replace(name=name, vmid=None), vmid):
                    raise _Appeared(found) from fault
            elif begun:
                with contextlib.suppress(Fault):  # Proxmox removes it too, and the reason is the other fault
                    undo(change, spec._replace(name=name, vmid=vmid))
            raise

    if spec.vmid is None:
        used = ids.used(cluster, paths.VMS_DIR)

        def is_free(vmid: int) -> bool:
            return change.api.is_free(vmid) and not left(vmid)

        return ids.claim(ids.AUTOMATIC, used, is_free, act, change.say)[0]
    if volumes := left(spec.vmid):
        raise Occupied(f"VMID {spec.vmid} is free, but has volumes of a former machine, {listed(volumes)}: remove them,"
                       " or choose another VMID")  # fmt: skip
    in_use = Fault(f"VMID {spec.vmid} is in use; choose another, or leave {PREFIX}vmid empty")
    if change.check and not change.api.is_free(spec.vmid):
        raise in_use
    try:
        act(spec.vmid)
    except Fault as fault:
        if ids.is_taken(fault, spec.vmid):
            raise in_use from fault
        raise
    return spec.vmid


def _made_by_another(change: Change, spec: Spec, vmid: int) -> Found | None:
    """The machine, if it is that which has the VMID now. In its first moments it has no name yet."""
    for _ in range(TRIES):
        cluster = change.api.guests()
        if found := present(change, spec, cluster):
            return found
        there = [guest for guest in cluster if guest.vmid == vmid]
        if there and there[0].name not in ("", f"VM {vmid}", f"VM{vmid}"):
            return None
        time.sleep(0.5)
    return None


def _node(change: Change, spec: Spec, otherwise: str) -> str:
    """The node where the machine is to be, which must answer."""
    nodes = change.api.nodes()
    online = sorted(name for name, up in nodes.items() if up)
    node = spec.node or otherwise or next(iter(online), "")
    if not (spec.node or otherwise or len(nodes) == 1):
        change.say(f"{PREFIX}node is empty, so {node} is taken; the cluster has {listed(online)}")
    if node not in nodes:
        raise Fault(
            f"{PREFIX}node is {node}, which the cluster does not have: it has {listed(sorted(nodes))}"
        )
    if not nodes[node]:
        raise Fault(f"node {node} is offline; start it, or choose another: {listed(online)}")
    return node


def _full(change: Change, spec: Spec, chosen: template.Template, found: image.Storages) -> bool:
    """Whether to copy the disks; says why where a linked clone was wanted."""
    if not spec.linked:
        return True
    for volume in disks.volumes(chosen.config).values():
        storage = volume.partition(":")[0]
        kind = found.get(storage, {}).get("type", "")
        if spec.disk_storage not in ("", storage):
            change.say(
                f"full clone: a linked one stays on {storage}, and {PREFIX}disk_storage is {spec.disk_storage}"
            )
            return True
        if kind and not disks.kind(kind).templates:
            change.say(f"full clone: storage {storage} ({kind}) cannot make linked ones")
            return True
    return False


def _reachable(chosen: template.Template, found: image.Storages, node: str) -> None:
    """Raises Fault where another node cannot read the template's disks."""
    if node == chosen.guest.node:
        return
    for volume in disks.volumes(chosen.config).values():
        storage = volume.partition(":")[0]
        if not int(found.get(storage, {}).get("shared") or 0):
            raise Fault(f"template {chosen.label} is on {storage}, which {node} cannot read: build the template on"
                        f" {node} too, or make the machine on {chosen.guest.node}")  # fmt: skip


def _stem(spec: Spec, made_of: str) -> str:
    word = re.sub(r"[^A-Za-z0-9-]+", "-", spec.template_distribution or made_of).strip("-")[:50]
    return f"{word}-{time.strftime('%y%m%d')}"


def _new_name(change: Change, spec: Spec, made_of: str, cluster: Sequence[Guest]) -> str:
    """`debian12-261127`, or the first of `debian12-261127-2` and so on that nobody has."""
    stem, taken, number = _stem(spec, made_of), {guest.name for guest in cluster}, 1
    name = stem
    while name in taken or owner.fleet_file(name, None):
        number += 1
        name = f"{stem}-{number}"
    change.say(f"{PREFIX}name is empty: this machine is called {name}, and another run makes another machine")
    return name


def _cut_off(change: Change, spec: Spec, cluster: Sequence[Guest]) -> Found | None:
    """A machine without a given name that a run of today did not finish."""
    day = time.strftime("%y%m%d")
    for guest in cluster:
        if guest.template or guest.container or not re.fullmatch(rf"(.+-{day}(-\d+)?)?|VM \d+", guest.name):
            continue
        found = machine.read(change.api, guest)
        made_of = image.build(spec).name if spec.image.url else found.owner.origin.removesuffix("-template")
        same = re.fullmatch(re.escape(_stem(spec, made_of)) + r"(-\d+)?", found.guest.name)
        if found.owner.role and not found.owner.finished and same:
            return machine.idle(change, found)
    return None
