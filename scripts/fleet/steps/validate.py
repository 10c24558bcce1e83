"""Check a folder of VM files: each file by itself, and all of them against each other."""

import contextlib
import ipaddress
import os
from collections.abc import Collection, Hashable, Iterator
from pathlib import Path

from fleet import names
from fleet.ansible.host import Host
from fleet.ansible.inventory import parse
from fleet.files import read_text
from fleet.findings import Fault, Finding
from fleet.paths import IMAGES, INVENTORY, shown
from fleet.rules import between
from fleet.rules import file as rules
from fleet.vms import files
from fleet.vms.files import VM


def check_folder(
    vms_dir: Path, playbooks_dir: Path | None = None, only: set[str] | None = None
) -> tuple[dict[str, VM], list[Finding]]:
    """Read and check a folder of VM files: ({name: VM}, findings in the order of files and lines).

    `only`: names of the files to report on. The hosts that a person wrote into the inventory beside the folder
    count too. Raises Fault (exit 2) for a folder that cannot be listed.
    """
    found, findings = files.load_dir(vms_dir)
    reported = None if only is None else {files.label_of(vms_dir / name) for name in only}
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.path, []).append(finding)
    for vm in found.values():
        if reported is None or vm.path in reported:
            findings += rules.check(vm, by_file.get(vm.path, ()))
    playbooks = names.playbook_names(playbooks_dir or vms_dir.parent / "playbooks")
    findings += between.check(found.values(), playbooks, reported)
    findings += taken_by_hand(found.values(), vms_dir.parent / INVENTORY.name, reported)
    findings += images_exist(found.values(), vms_dir, reported)
    if reported is not None:
        findings = [finding for finding in findings if finding.path in reported]
    return found, sorted(dict.fromkeys(findings), key=lambda found: (found.path, found.line, found.col))


def images_exist(vms: Collection[VM], vms_dir: Path, only: Collection[str] | None) -> Iterator[Finding]:
    """Images that the catalogue or its lock does not have."""
    named = [vm for vm in vms if vm.image and (only is None or vm.path in only)]
    if not named:
        return
    from fleet.images import lock  # most fleets have templates alone

    problems: dict[str, str] = {}
    for word in {vm.image for vm in named}:
        try:
            lock.locked(word, catalogue_of(vms_dir))
        except Fault as fault:
            problems[word] = fault.finding.text()
    for vm in named:
        if vm.image in problems:
            yield vm.finding("image", problems[vm.image])


def catalogue_of(vms_dir: Path) -> Path:
    """The catalogue of images for a folder of VM files: the one beside it, unless PROXMOX_IMAGES names another."""
    return Path(os.environ.get("PROXMOX_IMAGES") or vms_dir.parent / IMAGES.name)


def taken_by_hand(vms: Collection[VM], inventory: Path, only: Collection[str] | None) -> Iterator[Finding]:
    """Addresses of machines that a host of the inventory has, other than one that is the machine itself."""
    names_of_vms = {vm.name for vm in vms}
    owners: dict[Hashable, Host] = {}
    for host in parse(read_text(inventory)).hosts:
        if host.address and not host.managed and not names_of_vms.intersection(host.names):
            with contextlib.suppress(ValueError):  # a name
                owners.setdefault(ipaddress.ip_address(host.address), host)
    for vm in vms if owners else ():
        for address, field in between.addresses_of(vm):
            if (host := owners.get(address)) and (only is None or vm.path in only):
                place = f"{host.pattern} ({shown(inventory)}:{host.line + 1})"
                yield vm.finding(field, f"{address} is already used by {place}; change one of them")
