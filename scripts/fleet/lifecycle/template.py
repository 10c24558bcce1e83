"""The template of a new machine: by VMID, else by name, else by distribution. One of many is the newest healthy one.

`run` is the step `lookup_template` of the role. It changes nothing.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, listed
from fleet.images import catalogue
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import disks
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest
from fleet.templates import notes as templates


class Template(NamedTuple):
    guest: Guest
    config: Mapping[str, Any]
    built: str
    broken: tuple[str, ...]  # disks that are not base images: the conversion was cut off

    @property
    def label(self) -> str:
        built = f", built {self.built}" if self.built else ""
        return f"{self.guest.name} (VMID {self.guest.vmid} on {self.guest.node}{built})"


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    chosen = choose(change, spec, change.api.guests())
    guest = chosen.guest
    facts = {"template_vmid": guest.vmid, "template_name": guest.name, "template_node": guest.node}
    return Result(message=f"the template is {chosen.label}", facts=facts)


def choose(change: Change, spec: Spec, cluster: Iterable[Guest]) -> Template:
    """Raises Fault, which says what there is, when none can be used."""
    cluster = list(cluster)
    if spec.template_vmid is not None:
        found = [guest for guest in cluster if guest.vmid == spec.template_vmid]
        if not found or not found[0].template:
            what = f"{found[0].name or 'a machine'}, which is not a template" if found else "not in Proxmox"
            raise Fault(f"VMID {spec.template_vmid} is {what}; {_there(cluster)}")
        if not found[0].is_offered:
            raise Fault(f"template {found[0].name} (VMID {spec.template_vmid}) is being built or was replaced by"
                        f" another; {_there(cluster)}")  # fmt: skip
    else:
        wanted = list(names(spec))
        if not wanted:
            raise Fault(f"No template specified: give {PREFIX}template_distribution, {PREFIX}template_name or"
                        f" {PREFIX}template_vmid, or {PREFIX}cloud_image_url")  # fmt: skip
        ready = [guest for guest in cluster if guest.is_offered]
        found = next(filter(None, ([g for g in ready if g.name == name] for name in wanted)), [])
        if not found:
            near = difflib.get_close_matches(wanted[0], {guest.name for guest in ready}, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise Fault(f"there is no template {wanted[0]}: {hint}{_there(cluster)}")
    templates = sorted((_examined(change.api, guest) for guest in found), key=lambda one: _rank(one, spec))
    chosen = templates[-1]
    if len(templates) > 1:
        change.say(f"templates of that name: {listed(one.label for one in templates)}")
    if chosen.broken:
        raise Fault(f"template {chosen.label} is broken: {listed(chosen.broken)} is not a base image, since its"
                    " conversion was cut off; build it again with `make template`")  # fmt: skip
    return chosen


def origins(spec: Spec) -> list[str]:
    """What a machine may be made from, as its mark says it; none where nothing is asked."""
    return [spec.image.url] if spec.image.url else list(names(spec))


def names(spec: Spec) -> Iterator[str]:
    """The names to look for. Distributions have aliases, such as debian-12 for debian12."""
    if spec.template_name:
        yield spec.template_name
    elif word := spec.template_distribution:
        yield f"{word}-template"
        try:
            yield f"{catalogue.find(catalogue.read(), word).name}-template"
        except Fault:
            return  # templates may be made of anything


def _examined(api: Client, guest: Guest) -> Template:
    config = api.config(guest.node, guest.vmid)
    notes = templates.parse(config.get("description"))
    broken = disks.unconverted(config, api.storages(guest.node) or {})
    return Template(guest, config, notes.built if notes else "", tuple(broken))


def _rank(one: Template, spec: Spec) -> tuple:
    return one.guest.node == spec.node, not one.broken, one.built, one.guest.vmid


def _there(cluster: Iterable[Guest]) -> str:
    names = sorted({f"{guest.name} ({guest.vmid} on {guest.node})" for guest in cluster if guest.is_offered})
    return (
        f"the templates are {listed(names)}"
        if names
        else "there is no template; make one with `make template`"
    )
