"""OpenSSH's known_hosts as text: the keys of one address looked up, compared and replaced.

Lines of ours end with `NAME instance=ID`: the machine, and its cloud-init instance when the keys were read.
All other lines stay as they are, hashed ones too.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping

Keys = Mapping[str, str]  # key type to base64 key


class Changed(Exception):
    """A machine shows other keys than the stored ones, and nothing shows that it was recreated."""


def place_of(address: str, port: int = 22) -> str:
    """How known_hosts names an address."""
    return address if port == 22 else f"[{address}]:{port}"


def keys_of(text: str, place: str) -> Keys:
    """The keys that known_hosts has for a place."""
    lines = (fields for line in text.splitlines() if (fields := _fields(line)))
    return {fields[1]: fields[2] for fields in lines if _matches(fields[0], place)}


def renewed(text: str, name: str, place: str, keys: Keys, instance: str = "") -> str:
    """known_hosts with the keys that the machine `name` shows at `place`. Raises Changed.

    Stored keys of the same instance, or of a machine without one, must match. Those of another instance are
    replaced: a changed address, user or key makes cloud-init generate host keys anew at the next boot. Until
    that boot the machine shows its old keys; they stay as they are, so that the new ones are accepted then.
    """
    lines = text.splitlines(keepends=True)
    mine = [line for line in lines if (fields := _fields(line)) and _matches(fields[0], place)]
    stored = keys_of("".join(mine), place)
    common = stored.keys() & keys.keys()
    if common and all(stored[kind] == keys[kind] for kind in common):
        return text
    if stored and (not instance or any(_instance(line) == instance for line in mine)):
        was, now = (", ".join(map(fingerprint, known.values())) for known in (stored, keys))
        raise Changed(
            f"host keys of {name} at {place} changed though the machine did not: known {was}, shown {now};"
            f" if you know why, take the lines of {place} out of known_hosts and commit that"
        )
    kept = [left for line in lines if (left := _without(line, name, place, instance))]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    comment = f"{name} instance={instance}" if instance else name
    return "".join([*kept, *(f"{place} {kind} {key} {comment}\n" for kind, key in sorted(keys.items()))])


def without(text: str, names: Collection[str]) -> str:
    """known_hosts without the keys of these machines."""

    def is_gone(line: str) -> bool:
        fields = _fields(line) or []
        return len(fields) > 3 and fields[3].split()[0] in names

    return "".join(line for line in text.splitlines(keepends=True) if not is_gone(line))


def fingerprint(key: str) -> str:
    """As ssh-keygen -l prints it."""
    try:
        digest = hashlib.sha256(base64.b64decode(key)).digest()
    except ValueError:
        return "a broken key"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _fields(line: str) -> list[str] | None:
    """hosts, type, key and comment; None for a remark, a marked line (@revoked, …) or one that is none."""
    fields = line.split(None, 3)
    return fields if len(fields) >= 3 and line.lstrip()[0] not in "#@" else None


def _matches(hosts: str, place: str) -> bool:
    if not hosts.startswith("|1|"):
        return place in hosts.split(",")
    try:
        salt, digest = (base64.b64decode(part) for part in hosts[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, place.encode(), hashlib.sha1).digest(), digest)


def _instance(line: str) -> str:
    match = re.search(r"\binstance=(\S+)", " ".join((_fields(line) or [])[3:]))
    return match[1] if match else ""


def _without(line: str, name: str, place: str, instance: str) -> str:
    """A line without this place; "" when nothing of it is left."""
    fields = _fields(line)
    if not fields:
        return line
    if _matches(fields[0], place):
        hashed = fields[0].startswith("|1|")
        others = [] if hashed else [host for host in fields[0].split(",") if host != place]
        return line.replace(fields[0], ",".join(others), 1) if others else ""
    # The machine's keys at an address that it had before.
    moved = instance and _instance(line) not in ("", instance) and fields[3].split()[0] == name
    return "" if moved else line
