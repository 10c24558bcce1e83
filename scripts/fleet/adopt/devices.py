"""A guest's devices under the names of the VM file: cards, disks, drives, displays and what a mapping passes through.

Each function takes the text that Proxmox has for one option, and raises Unsayable or Impossible for what no VM file
says. Proxmox's own defaults, which it does not write, are filled in where the VM file's are others.
"""

import re
from collections.abc import Mapping
from typing import Any

from fleet.adopt.reading import Impossible, Unsayable
from fleet.proxmox.properties import parse

_MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "vmxnet3")


def flag(text: object) -> bool:
    return str(text).lower() in ("1", "on", "yes", "true")


def number(text: object) -> int | float:
    value = float(str(text))
    return int(value) if value.is_integer() else value


def card(text: str) -> dict[str, Any]:
    """`virtio=BC:24:11:2E:01:AA,bridge=vmbr0,tag=20` as the fields of `network`."""
    has = parse(text, "model")
    model = next((name for name in has if re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", has[name], re.I)), "")
    if model == "macaddr":
        model, has[model] = has.get("model", ""), has["macaddr"]
    if model not in _MODELS:
        raise Impossible(f"is a card of the type {model or 'unknown'}; use one of {', '.join(_MODELS)}")
    if "bridge" not in has:
        raise Impossible("is connected to no bridge; connect it to one")
    if "trunks" in has:
        raise Impossible("has trunks, which Terraform's provider cannot keep; use one card for each VLAN")
    found: dict[str, Any] = {
        "bridge": has["bridge"],
        "model": model,
        "macaddr": has.get(model) or has["macaddr"],
    }
    for key in ("tag", "mtu", "rate", "queues"):
        if key in has:
            found[key] = number(has[key])
    for key in ("firewall", "link_down"):
        if flag(has.get(key)):
            found[key] = True
    return found


def efidisk(text: str) -> dict[str, Any]:
    has = parse(text)
    return {
        "storage": has["file"].partition(":")[0],
        "efitype": has.get("efitype", "2m"),
        "pre_enrolled_keys": flag(has.get("pre-enrolled-keys")),
    }


def tpmstate(text: str) -> dict[str, Any]:
    has = parse(text)
    if "version" not in has:
        raise Unsayable("has no version")
    return {"storage": has["file"].partition(":")[0], "version": has["version"]}


def cpu(text: str) -> tuple[dict[str, Any], list[str]]:
    """The type and the flags, and the options that no file says."""
    has = parse(text, "cputype")
    found = {"cpu_type": has.pop("cputype", "kvm64")}
    if flags := has.pop("flags", ""):
        found["cpu_flags"] = flags
    return found, sorted(has)


def vga(text: str) -> Any:
    has = parse(text, "type")
    found = _typed(has, memory=number)
    return has["type"] if list(found) == ["type"] else {"type": "std"} | found


def startup(text: str) -> dict[str, Any]:
    return _typed(parse(text, "order"), order=number, up=number, down=number)


def rng(text: str) -> Any:
    found = _typed(parse(text, "source"), max_bytes=number, period=number)
    return found["source"] if list(found) == ["source"] else found


def watchdog(text: str) -> dict[str, Any]:
    return {"model": "i6300esb"} | parse(text, "model")


def cicustom(text: str) -> dict[str, Any]:
    return parse(text)


def ha(service: Mapping[str, Any]) -> dict[str, Any]:
    """What the HA manager has of a machine, which no option of its own tells."""
    if more := sorted(service.keys() & {"comment", "failback"}):
        raise Unsayable(f"has {', '.join(more)}, which no VM file says")
    numbers = {key: number(service[key]) for key in ("max_restart", "max_relocate") if key in service}
    group = {"group": service["group"]} if service.get("group") else {}
    return {"state": service.get("state", "started")} | group | numbers


def hostpci(text: str) -> dict[str, Any]:
    return _mapped(parse(text, "host"), {"pcie": flag, "rombar": flag, "x-vga": flag, "mdev": str})


def usb(text: str) -> dict[str, Any]:
    return _mapped(parse(text, "host"), {"usb3": flag})


def virtiofs(text: str) -> dict[str, Any]:
    has = parse(text, "dirid")
    if flag(has.get("expose-acl")):
        has["expose-xattr"] = "1"  # which it implies
    has["mapping"] = has.pop("dirid")
    switches = {"direct-io": flag, "expose-acl": flag, "expose-xattr": flag}
    return _mapped(has, switches | {"cache": str})


def _mapped(has: dict[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """A device that a mapping of the datacenter names; the rest as `options` read it."""
    mapping = has.pop("mapping", "")
    if not mapping:
        raise Unsayable("is a device of the node, which no API token can give to a machine; use a mapping")
    if unknown := sorted(has.keys() - options.keys()):
        raise Unsayable(f"has {', '.join(unknown)}")
    return {"mapping": mapping} | {key.replace("-", "_"): options[key](value) for key, value in has.items()}


def _typed(has: dict[str, str], **kinds: Any) -> dict[str, Any]:
    return {key: kinds.get(key, str)(value) for key, value in has.items()}
