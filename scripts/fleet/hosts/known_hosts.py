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


def knows(text: str, name: str, place: str, instance: str) -> bool:
    """Whether known_hosts has keys of this instance of a machine at a place."""
    lines = ((line, _fields(line)) for line in text.splitlines())
    return any(
        fields and _matches(fields[0], place) and _machine(fields) == name and _instance(line) == instance
        for line, fields in lines
    )


def renewed(text: str, name: str, place: str, keys: Keys, instance: str = "") -> str:
    """known_hosts with the keys that the machine `name` shows at `place`. Raises Changed.

    Stored keys of the same instance, or of a machine without one, must match. Those of another instance are
    replaced: a changed address, user or key makes cloud-init generate host keys anew at the next boot. Until
    that boot the machine shows its old keys; they stay as they are, so that the new ones are accepted then. At an
    address that a DHCP server gave it later, the same instance must show the keys that it had before.
    """
    lines = text.splitlines(keepends=True)
    mine = [line for line in lines if (fields := _fields(line)) and _matches(fields[0], place)]
    stored = keys_of("".join(mine), place)
    same = [line for line in lines if instance and _instance(line) == instance]
    own = [fields for line in same if (fields := _fields(line)) and _machine(fields) == name]
    if own and not _agree(known := {fields[1]: fields[2] for fields in own}, keys):
        raise Changed(_changed(name, place, known, keys, own[0][0]))
    if _agree(stored, keys):
        return text
    if stored and (not instance or any(_instance(line) == instance for line in mine)):
        raise Changed(_changed(name, place, stored, keys, place))
    kept = [left for line in lines if (left := _without(line, name, place, instance))]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    comment = f"{name} instance={instance}" if instance else name
    return "".join([*kept, *(f"{place} {kind} {key} {comment}\n" for kind, key in sorted(keys.items()))])


def _agree(stored: Keys, shown: Keys) -> bool:
    """Whether keys can be compared, and all that can are equal."""
    common = stored.keys() & shown.keys()
    return bool(common) and all(stored[kind] == shown[kind] for kind in common)


def _changed(name: str, place: str, stored: Keys, shown: Keys, before: str) -> str:
    was, now = (", ".join(map(fingerprint, known.values())) for known in (stored, shown))
    at = "" if before == place else f" at {before}"
    return (
        f"host keys of {name} at {place} changed though the machine did not: known {was}{at}, shown {now};"
        f" if you know why, take the lines of {before} out of known_hosts and commit that"
    )


def without(text: str, names: Collection[str]) -> str:
    """known_hosts without the keys of these machines."""

    def is_gone(line: str) -> bool:
        return _machine(_fields(line) or []) in names

    return "".join(line for line in text.splitlines(keepends=True) if not is_gone(line))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """known_hosts with new names for old ones (`names`: new to old), as keys of an earlier instance.

    A renamed machine shows them until its next start, when cloud-init makes new ones, which are accepted then.
    """
    new = {old: name for name, old in names.items()}
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        fields = _fields(line)
        if fields and (name := new.get(_machine(fields) or "")):
            lines[index] = f"{' '.join(fields[:3])} {name} instance=before-{name}\n"
    return "".join(lines) if new else text


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


def _machine(fields: list[str]) -> str | None:
    """The machine that a line of ours is for, or the first word of another's comment."""
    return fields[3].split()[0] if len(fields) > 3 else None


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
    moved = instance and _instance(line) and _machine(fields) == name
    return "" if moved else line
