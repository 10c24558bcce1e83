"""The rules for what a machine is made of: a template or an image."""

from collections.abc import Iterator

from fleet.findings import Finding
from fleet.vms.files import VM


def source_is_one(vm: VM) -> Iterator[Finding]:
    if "image" in vm.data and "clone" in vm.data:
        yield vm.finding("image", "the file has clone too, and a machine is made of one of them; remove one")


def only_clones_are_linked(vm: VM) -> Iterator[Finding]:
    if "image" in vm.data and "full_clone" in vm.data:
        yield vm.finding(
            "full_clone", "is for clones, and a machine from an image has its own disk anyway; remove it"
        )


RULES = (source_is_one, only_clones_are_linked)
