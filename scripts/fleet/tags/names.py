"""The names in tags: of a playbook or machine, or WORKSPACE/RELEASE of clusters/, which only `destroy` takes.

`drop-disk` takes a machine and the slot of one of its disks.
"""

import re

from fleet.names import RESERVED
from fleet.tags.lookalikes import named

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
RELEASE = re.compile(rf"{NAME.pattern}/{NAME.pattern}")
DISK = re.compile(rf"({NAME.pattern})[ \t]+((?:scsi|virtio|sata)\d{{1,2}})")


def problem_of(action: str, name: str) -> str:
    if action == "drop-disk" and not is_name(action, name):
        return "names no disk; write a machine and the slot of one disk, as [drop-disk NAME scsi2]"
    if RESERVED.intersection(re.split(r"[/\s]", name.lower())):
        return f"is never allowed: name one playbook or machine, not {name}"
    if is_name(action, name):
        return ""
    if re.fullmatch(r"[A-Za-z0-9_-]+([\s,;]+[A-Za-z0-9_-]+)+", name) and len(name) < 300:
        parts = " ".join(f"[{action} {part}]" for part in re.split(r"[\s,;]+", name))
        return f"names several; write {parts}"
    odd = set(re.findall(r"[^A-Za-z0-9_-]", name))
    if odd:
        return f"holds {named(odd)}; a name is made of letters, digits, - and _"
    if name.startswith("-"):
        return "starts with -"
    return f"is {len(name)} characters long; at most 63 are allowed"


def is_name(action: str, name: str) -> bool:
    if action == "drop-disk":
        return bool(DISK.fullmatch(name))
    return bool(NAME.fullmatch(name) or (action == "destroy" and RELEASE.fullmatch(name)))
