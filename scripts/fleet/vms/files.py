"""Reading VM files: each once, through YAML's C parser, strictly, with the line of every field.

What YAML readers take differently (`0755`, `yes`, `1e3`, a MAC address of digits) is refused here instead of
guessed, so that what the author meant, what is checked and what Terraform is given are the same thing.
"""

import errno
import os
import stat
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from fleet import names, paths
from fleet.findings import Fault, Finding, printable
from fleet.vms import strict_yaml

MAX_BYTES = 1 << 20


class VM(NamedTuple):
    """One VM file as it was written; no default is filled in and nothing but its YAML is checked."""

    name: str  # the field, or the file's stem when the field is no text
    path: str  # as a person would type it
    data: dict[str, Any]
    managed: bool  # False: validated, its addresses are taken, never created
    lines: strict_yaml.Lines  # "disks.scsi0.size" -> (line, column) of the field, from 1

    def finding(self, field: str, message: str, level: str = "error") -> Finding:
        """A finding at a field, or at the nearest group around it that the file has.

        The message may hold what the file says, which must not pass for a line of its own.
        """
        while field and field not in self.lines:
            field = field.rpartition(".")[0]
        return Finding(printable(message), self.path, *self.lines.get(field, (1, 1)), level)


def load_dir(vms_dir: str | os.PathLike[str]) -> tuple[dict[str, VM], list[Finding]]:
    """Read every VM file of a folder, managed and excluded ones: ({file stem: VM}, what is wrong).

    The stem is the machine's name in every folder that passes `validate_vms.py`. A file that cannot be read
    as a mapping has findings and no VM. Raises Fault (exit 2) when the folder cannot be listed.
    """
    folder = Path(vms_dir)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise Fault(
            f"{paths.shown(folder)}: {error.strerror}; name the folder of VM files", code=2
        ) from error
    vms: dict[str, VM] = {}
    findings: list[Finding] = []
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.suffix != ".yaml":
            findings += _stray(path)
            continue
        vm, found = load_file(path)
        findings += found
        if vm:
            vms[path.stem] = vm
    if not vms and not findings:
        message = "no VM file here: that looks like a lost checkout, and would remove every machine"
        findings.append(Finding(message, paths.shown(folder)))
    return vms, findings


def load_file(path: Path) -> tuple[VM | None, list[Finding]]:
    """Read one VM file; the VM is None when there is no mapping to look at."""
    label = label_of(path)
    try:
        # Neither a pipe that nobody writes to nor a link out of the repository is followed.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None, [Finding("is no regular file; a VM file is", label)]
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "is a symbolic link, and a change of its target is no change of this file; commit a file"
        elif error.errno == errno.EISDIR:
            reason = "is a folder; a VM file is meant to have this name"
        else:
            reason = f"cannot be read: {error.strerror}"
        return None, [Finding(reason, label)]
    return load_bytes(label, raw)


def label_of(path: Path) -> str:
    """The path as messages show it; one with control characters could pass for a line of its own."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in paths.shown(path))


def load_bytes(label: str, raw: bytes) -> tuple[VM | None, list[Finding]]:
    """Read the bytes of one VM file; `label` is its path, for messages and for the machine's default name."""
    if len(raw) > MAX_BYTES:
        return None, [Finding(f"is larger than {MAX_BYTES >> 20} MiB, which no VM file is", label)]
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"is not UTF-8 (byte 0x{raw[error.start]:02X}); save it as UTF-8"
        return None, [Finding(message, label, line, col)]
    return load_text(label, text)


def load_text(label: str, text: str) -> tuple[VM | None, list[Finding]]:
    """Read the text of one VM file, for instance of one that is no longer there."""
    data, lines, findings = strict_yaml.parse(label, text)
    if data is None:
        return None, findings
    file = PurePath(label)
    name = data.get("name")
    name = name if isinstance(name, str) else file.stem
    return VM(name, label, data, names.managed(file.stem), lines), findings


def _stray(path: Path) -> list[Finding]:
    """What stands in the folder and is no VM file, though its author may think that it is one."""
    label = label_of(path)
    if path.suffix.lower() in (".yml", ".yaml"):
        return [Finding(f"is not read, since VM files end in .yaml; rename it to {path.stem}.yaml", label)]
    if path.is_dir():
        message = "is a folder, and only the files directly beside it are read; move its files up"
        return [Finding(message, label, level="warning")]
    return []
