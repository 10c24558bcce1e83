"""The rules for a machine's name and user."""

import re
from collections.abc import Iterator
from pathlib import PurePath

from fleet import names
from fleet.findings import Finding, cut
from fleet.vms import strict_yaml
from fleet.vms.files import VM

LABEL = re.compile(r"(?=.{1,63}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?")

# The end of a name that is usual for a machine of a larger cluster.
_MEMBER = re.compile(r"-(?:cp|control-?plane|controller|master|server|etcd|w|worker|node|minion|agent)-?\d+$")


def name_is_the_files(vm: VM) -> Iterator[Finding]:
    name, stem = vm.data.get("name"), PurePath(vm.path).stem
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        return  # the schema reports it
    if name != stem:
        way_out = f"call the file {name}.yaml" + (f" or set name: {stem}" if LABEL.fullmatch(stem) else "")
        message = (
            f"is {name}, but the file is called {cut(stem)}.yaml; renaming a file must not destroy a machine"
        )
        yield vm.finding("name", f"{message}: {way_out}")
    if name in names.RESERVED:
        yield vm.finding("name", f"{name} has a meaning of its own in Ansible; choose another name")
    elif name in names.GROUPS:
        message = f"{name} is also the name of an inventory group; a name such as {name}-1 is clearer"
        yield vm.finding("name", message, "warning")


def name_is_no_members(vm: VM) -> Iterator[Finding]:
    """A warning for a name that elsewhere means a member of a cluster, but is none by the table of names."""
    name, kind = str(vm.data.get("name")), names.kind_of(str(vm.data.get("name")))
    first = name.split("-")[0]
    numbered = [pattern for one in names.KINDS for pattern in one.patterns if "<n>" in pattern]
    meant = [pattern for pattern in numbered if pattern.split("-")[0] == first]
    if not _MEMBER.search(name) or not meant or (kind and kind.patterns[0] in numbered):
        return
    message = (
        f"{name} is {kind.description if kind else 'in no group'}; members of a larger cluster are called"
    )
    yield vm.finding("name", f"{message} {' and '.join(meant)}, where * is the cluster's name", "warning")


def cloud_init_reads_text(vm: VM) -> Iterator[Finding]:
    """Proxmox writes host name and user into cloud-init's YAML without quotes."""
    for field in ("name", "ciuser"):
        value = vm.data.get(field)
        if isinstance(value, str) and re.search("[a-z]", value) and not strict_yaml.is_text(value):
            message = (
                f"{cut(value)} is not text to cloud-init, which gets it without quotes; choose another name"
            )
            yield vm.finding(field, message)


def may_be_renamed(vm: VM) -> Iterator[Finding]:
    old, new = vm.data.get("formerly"), vm.data.get("name")
    if not (isinstance(old, str) and isinstance(new, str) and LABEL.fullmatch(old)):
        return
    why = "this is its present name" if old == new else names.not_renamed(old, new)
    if why:
        yield vm.finding("formerly", f"{old} cannot be renamed to {cut(new)}: {why}; remove this line")


def protection_is_one(vm: VM) -> Iterator[Finding]:
    one, other = vm.data.get("protected"), vm.data.get("protection")
    if type(one) is type(other) is bool and one != other:
        yield vm.finding("protected", "contradicts `protection`, which means the same; remove one of the two")


RULES = (name_is_the_files, may_be_renamed, protection_is_one, name_is_no_members, cloud_init_reads_text)
