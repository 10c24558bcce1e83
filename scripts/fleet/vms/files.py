"""Read VM files: each once, through YAML's C parser, strictly, with the line of every field.

Values that YAML readers interpret differently (`0755`, `yes`, `1e3`, a MAC address of digits) are refused rather
than guessed, so that the author, the checks and Terraform all mean the same thing.

More than 150 lines because every entry of the folder is either read here or named with the reason.
"""

import errno
import os
import stat
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from fleet import names, paths
from fleet.findings import Fault, Finding, cut, printable
from fleet.vms import addresses, strict_yaml

MAX_BYTES = 1 << 20
SUFFIXES = (".yaml", ".yml")  # what a VM file may be called by mistake, in lower case; the first one is right


class VM(NamedTuple):
    """One VM file as written: no defaults filled in, nothing but its YAML checked."""

    name: str  # the field, or the file's stem when the field is no text
    path: str  # as a person would type it
    data: dict[str, Any]
    managed: bool  # False: validated and its addresses reserved, but never created
    lines: strict_yaml.Lines  # "disks.scsi0.size" -> (line, column) of the field, from 1

    def address(self) -> str:
        """The machine's IPv4 address; "" where an unchecked file has none that can be used.

        With ip=dhcp it is the reserved one; without one, the guest agent alone knows the address.
        """
        text, given = self.data.get("ipconfig0"), self.data.get("address")
        config = addresses.parse(text)[0] if isinstance(text, str) else addresses.IPConfig()
        if config.automatic4 and isinstance(given, str):
            return str(addresses.reserved(given)[0] or "")
        return str(config.ip.ip) if config.ip else ""

    @property
    def vmid(self) -> int | None:
        """The VMID that the file names; None where it names none, or no number."""
        value = self.data.get("vmid")
        return value if type(value) is int else None

    @property
    def image(self) -> str:
        """The image of the catalogue that the file names; "" where it names none."""
        value = self.data.get("image")
        return value if isinstance(value, str) else ""

    @property
    def formerly(self) -> str:
        """The machine's earlier name; "" where the file says none."""
        value = self.data.get("formerly")
        return value if isinstance(value, str) else ""

    @property
    def playbook_vars(self) -> dict[str, Any]:
        """The machine's variables for plays, unchecked; {} where there are none."""
        value = self.data.get("playbook_vars")
        return value if isinstance(value, dict) else {}

    @property
    def is_leased(self) -> bool:
        """Whether the guest agent alone knows the machine's IPv4 address."""
        text = self.data.get("ipconfig0")
        dhcp = isinstance(text, str) and addresses.parse(text)[0].automatic4
        return bool(dhcp) and "address" not in self.data

    @property
    def unplayed(self) -> str:
        """What of the file says that no play runs on the machine; "" where plays may."""
        ostype = self.data.get("ostype")
        if isinstance(ostype, str) and ostype not in ("l24", "l26"):
            return f"ostype: {cut(ostype)}"
        return "cloudinit: none" if self.data.get("cloudinit") == "none" else ""

    def finding(self, field: str, message: str, level: str = "error") -> Finding:
        """A finding at a field."""
        return finding(self.path, self.lines, field, message, level)


def finding(path: str, lines: strict_yaml.Lines, field: str, message: str, level: str = "error") -> Finding:
    """A finding at a field, or at the nearest group around it that the file has; the message begins with the field.

    The message may quote the file, which must not pass for a line of its own.
    """
    place = field
    while place and place not in lines:
        place = place.rpartition(".")[0]
    text = f"{cut(field)}: {message}" if field else message
    return Finding(printable(text), path, *lines.get(place, (1, 1)), level, field)


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
    if not vms and not any(finding.level == "error" for finding in findings):
        message = (
            "contains no VM file; an empty folder looks like a lost checkout and would remove every machine"
        )
        findings.append(Finding(message, paths.shown(folder)))
    return vms, findings


def renamed(vms_dir: Path) -> dict[str, VM]:
    """The managed machines of a folder whose files name an earlier name: few, so that only these are read as YAML."""
    found = {}
    for path in sorted(vms_dir.glob("*.yaml")):
        if path.is_file() and not path.is_symlink() and b"formerly" in path.read_bytes():
            vm, _ = load_file(path)
            if vm and vm.formerly and vm.managed:
                found[path.stem] = vm
    return found


def formerly(vms_dir: Path) -> dict[str, str]:
    """The machines of `renamed` with their earlier names."""
    return {name: vm.formerly for name, vm in renamed(vms_dir).items()}


def load_file(path: Path) -> tuple[VM | None, list[Finding]]:
    """Read one VM file; the VM is None when there is no mapping to look at."""
    label = label_of(path)
    try:
        # Do not wait for a pipe without a writer, and do not follow a link out of the repository.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None, [Finding("is not a regular file; a VM file must be one", label)]
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "is a symbolic link, so Git would not show a change of its target; commit a file instead"
        elif error.errno == errno.EISDIR:
            reason = "is a folder, where a VM file is expected"
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
        return None, [Finding(f"is larger than {MAX_BYTES >> 20} MiB, the limit for a VM file", label)]
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"is not valid UTF-8 (byte 0x{raw[error.start]:02X}); save the file as UTF-8"
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
    """An entry of the folder that is not a VM file, though its author may think so."""
    label = label_of(path)
    if path.is_dir():
        if path.is_symlink():
            return [
                Finding("is a symbolic link to a folder, which is not read; commit its files here", label)
            ]
        return _below(path) or [
            Finding("is a folder, and subfolders are not read; move its files up", label, level="warning")
        ]
    if path.suffix.lower() in SUFFIXES:
        return [Finding(f"is ignored, because VM files end in .yaml; rename it to {path.stem}.yaml", label)]
    return []


def _below(folder: Path) -> list[Finding]:
    """The VM files below a folder of the folder: a machine whose file was moved there would look removed."""
    return [
        Finding(
            f"is in a folder below {label_of(folder.parent)}, which is not read; move it to"
            f" {label_of(folder.parent / path.stem)}.yaml",
            label_of(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    ]
