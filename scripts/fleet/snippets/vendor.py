"""A machine's vendor data: the file that a person wrote, and the snippet that it becomes."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from fleet.arguments import LABEL
from fleet.findings import Fault, cut, printable
from fleet.paths import shown

_NAME = re.compile(rf"{LABEL}(\.{LABEL})*")  # the second part of a name that Proxmox has may be a domain
MOST_BYTES = 1 << 20  # that Proxmox reads of a snippet


class Snippet(NamedTuple):
    """`file` is the only name pattern that this project ever writes."""

    file: str
    data: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def file_name(machine: str) -> str:
    """Raises Fault for a name that could mean something to a shell, or name another folder."""
    if not _NAME.fullmatch(machine):
        raise Fault(f"{cut(printable(machine))} is not a host name, so no snippet is named after it")
    return f"gitops-{machine}-vendor.yaml"


def read(path: str, machine: str) -> Snippet:
    """Raises Fault for what cloud-init would not take."""
    import yaml

    file = Path(path).expanduser()
    place = shown(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Fault(f"vendor data cannot be read: {error.strerror}", place) from None
    if len(data) > MOST_BYTES:
        raise Fault(f"has {len(data)} bytes, and Proxmox reads {MOST_BYTES} of a snippet", place)
    try:
        text = data.decode()
        found = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise Fault("is not valid UTF-8; save the file as UTF-8", place) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        raise Fault(
            f"is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}", place, line
        ) from None
    if text.partition("\n")[0].rstrip() != "#cloud-config":
        raise Fault(
            "does not begin with the line #cloud-config, without which cloud-init ignores it", place, 1
        )
    if not isinstance(found, dict):
        raise Fault("is not a mapping of cloud-init's modules, as `packages: [qemu-guest-agent]`", place)
    return Snippet(file_name(machine), data)
