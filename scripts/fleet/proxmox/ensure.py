"""Setting what differs: a configuration in Proxmox is read, compared with what is wanted, and written in one call."""

from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault
from fleet.proxmox import compare, properties, tasks
from fleet.proxmox.change import Change, Result
from fleet.proxmox.errors import SECRET, Refused


def run(change: Change, path: str, want: Mapping[str, Any]) -> Result:
    """Set what differs, in one call, unless somebody changes the configuration meanwhile. None deletes an option."""
    lists = [name for name, value in want.items() if isinstance(value, list | dict)]
    if lists:
        raise Fault(f"want.{lists[0]} is a list or a mapping; write it as Proxmox does, as one line of text")
    answer: object = None
    for again in (True, False):
        config = change.api.get(path)
        if not isinstance(config, dict):
            raise Fault(
                f"{path} is not a configuration: Proxmox answers with a list; name one entry below it"
            )
        changes = _changes(change, path, config, want)
        if change.check or not changes:
            break
        fields = {name: then for name, (_, then) in changes.items() if want[name] is not None}
        deleted = ",".join(name for name in changes if want[name] is None)
        fields |= {"delete": deleted} if deleted else {}
        fields |= {"digest": config["digest"]} if "digest" in config else {}
        try:
            answer = change.api.put(path, **fields)
            break
        except Refused as refused:
            # What is wanted is wanted of the new configuration too, and is compared with that.
            if not (is_conflict(refused) and again):
                raise
    if tasks.is_upid(answer):
        tasks.wait(change.api, str(answer))
    if not changes:
        return Result(message=f"{path} is as wanted")
    return Result(True, f"{path}: {', '.join(changes)} changed", *compare.both(changes))


def is_conflict(fault: Fault) -> bool:
    """Whether a write was refused because somebody else had changed the configuration since it was read."""
    return "by other user" in str(fault)


def _changes(
    change: Change, path: str, config: Mapping[str, Any], want: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    gone = {
        name: (compare.text(config[name]), "")
        for name, value in want.items()
        if value is None and name in config
    }
    wanted = {name: compare.text(value) for name, value in want.items() if value is not None}
    for name, value in list(wanted.items()):
        now = compare.text(config.get(name, ""))
        if now and SECRET.search(name):  # Proxmox tells asterisks
            change.say(
                f"{path}: {name} is set already, and nobody can compare it; delete it first to set another"
            )
            del wanted[name]
        elif name == "sshkeys":
            wanted[name] = compare.encoded(compare.decoded(value))
        elif name.startswith("net") and now:
            wanted[name] = _with_mac(now, value)
        elif compare.DRIVE.fullmatch(name) and now:
            wanted[name] = _with_volume(name, now, value)
    return gone | compare.differences(config, wanted)


def _with_mac(now: str, value: str) -> str:
    """A card that is wanted without a MAC address keeps the one that it has."""
    has, wanted = properties.parse(now, "model"), properties.parse(value, "model")
    model = wanted.pop("model", "")
    return properties.render(wanted | {model: has[model]}) if model in has else value


def _with_volume(slot: str, now: str, value: str) -> str:
    """A drive that is wanted with a new volume keeps the one that it has, if that is as large and as wanted."""
    has, wanted = properties.parse(now), properties.parse(value)
    storage, _, new = wanted.get("file", "").partition(":")
    if wanted.setdefault("size", has.get("size", "")) != has.get("size", ""):
        raise Fault(
            f"{slot} has the size {has.get('size')}, and a configuration cannot change it: call PUT …/resize"
        )
    if not wanted["size"]:
        del wanted["size"]
    if new == "cloudinit" and "cloudinit" in has["file"]:
        same, wanted["media"] = has["file"].startswith(f"{storage}:"), "cdrom"
    elif new.isdecimal():
        same = has["file"].startswith(f"{storage}:") and properties.disk_mib(now) == int(new) * 1024
    else:
        return properties.render(wanted)
    if not same:
        raise Fault(
            f"{slot} is wanted as a new volume, {wanted['file']}, but has {now}, which would be put aside: resize or"
            " move that, or name it in `want`"
        )
    return properties.render(wanted | {"file": has["file"]})
