"""Terraform's input: the finished machines as JSON, under the names of the VM file's fields."""

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fleet.vms.addresses import IPConfig
from fleet.vms.hardware import NONE, CloudInit, Network
from fleet.vms.machine import Disk, Machine


def as_input(
    machines: Mapping[str, Machine],
    imports: Mapping[str, str],
    folder: Path,
    keys_file: Path,
    target: Path,
    adopted: Collection[str] = (),
    services: Mapping[str, str] = {},
) -> dict[str, Any]:
    """The content of `target`. `imports`: name to "node/vmid"; `folder`: of the VM files.

    `adopted`: machines that somebody else made, whether they are taken over now or were before; `services`: what the
    HA manager has of machines and Terraform's state has not.
    """
    more = {"adopted": sorted(adopted), "services": dict(services)}
    return {key: value for key, value in more.items() if value} | {
        "vms": {name: as_data(machine) for name, machine in sorted(machines.items())},
        "imports": dict(imports),
        "source_hash": source_hash(folder, keys_file),
        "vms_dir": os.path.relpath(folder, target.parent),
    }


def as_data(machine: Machine) -> dict[str, Any]:
    """One machine as JSON data. Every field is there, so that Terraform needs no defaults of its own.

    Left out are `address` and what `hardware` does not say; what it takes away is null.
    """
    fields = {
        field: _plain(value)
        for field, value in machine._asdict().items()
        # The name is the key; the image is told by the disk that is made of it; variables are for plays alone.
        if field not in ("path", "lines", "name", "hardware", "image", "playbook_vars")
    }
    if machine.address is None:
        del fields["address"]
    more = {field: _said(value) for field, value in machine.hardware._asdict().items() if _is_said(value)}
    return fields | ({"hardware": more} if more else {})


def _plain(value: Any) -> Any:
    if isinstance(value, IPConfig):
        parts = {"ip": value.ip or value.automatic4, "gw": value.gw}
        parts |= {"ip6": value.ip6 or value.automatic6, "gw6": value.gw6}
        return {key: part and str(part) for key, part in parts.items()}
    if isinstance(value, Disk | Network):  # of the options with a default only those that are said
        named = {field for field in value._fields if field not in value._field_defaults} | {"mount"}
        return {key: part for key, part in value._asdict().items() if part is not None or key in named}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _is_said(value: Any) -> bool:
    return value is not None and value != {}


def _said(value: Any) -> Any:
    if value is None or value == NONE:
        return None
    if isinstance(value, Mapping):
        return {slot: _said(one) for slot, one in value.items()}
    if isinstance(value, Network | IPConfig):
        return {key: part for key, part in _plain(value).items() if part is not None}
    if isinstance(value, CloudInit):
        return value._asdict()
    if hasattr(value, "_asdict"):
        return {key: part for key, part in value._asdict().items() if part is not None}
    return list(value) if isinstance(value, tuple) else value


def source_hash(vms_dir: Path, keys_file: Path) -> str:
    """Hash of the files. main.tf computes it too, and so notices an input that is older than they are."""
    files = [(path.name, path) for path in sorted(vms_dir.glob("*.yaml"), key=lambda path: path.name)]
    if keys_file.is_file():
        files.append(("authorized_keys", keys_file))
    lines = [f"{name} {hashlib.sha1(path.read_bytes()).hexdigest()}\n" for name, path in files]
    return hashlib.sha1("".join(lines).encode()).hexdigest()
