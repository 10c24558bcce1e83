"""Files that are brought onto a storage: what they may be called, and whether they are what they are called."""

import re
import subprocess
from pathlib import Path

from lab.proxmox import qemu_img
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.schema import Format, Prop

KINDS = ("iso", "vztmpl", "import")
ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
PARAMETERS: Format = {
    "content": Prop(enum=KINDS, required=True),
    "filename": Prop(required=True, maximum=255),
    "checksum": Prop(needs="checksum-algorithm"),
    "checksum-algorithm": Prop(enum=ALGORITHMS, needs="checksum"),
}
_NAMES = {
    "iso": (r"[^/]+\.(?i:iso|img)", "wrong file extension"),
    "vztmpl": (r"[^/]+\.(?i:tar|tar\.(?:gz|xz|zst|bz2))", "wrong file extension"),
    "import": (r"[A-Za-z0-9.+=_-]+\.(?:ova|qcow2|raw|vmdk)", "invalid filename or wrong extension"),
}


def file_name(kind: str, given: str) -> str:
    """The name on the storage, normalized as Proxmox does it; ApiError 400 if a file of that kind has no such name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", re.sub(r"^.*[/\\]", "", given.removesuffix("\n")))
    pattern, words = _NAMES[kind]
    if not re.fullmatch(pattern, name):
        raise invalid(filename=words)
    return name


def check(file: Path, kind: str, name: str) -> None:
    """ApiError unless the file can be trusted: an image that refers to others could show a node's own files."""
    extension = name.rpartition(".")[2]
    if kind == "iso":
        qemu_img.info(file, None, trusted=False)
    elif kind == "import" and extension == "ova":
        listed = subprocess.run(["tar", "-t", "-f", file], capture_output=True, text=True)
        if listed.returncode:
            raise ApiError(f"command 'tar -t -f {file}' failed: exit code {listed.returncode}")
        if not any(line.endswith(".ovf") for line in listed.stdout.splitlines()):
            raise ApiError("ova archive has no .ovf file inside")
    elif kind == "import":
        qemu_img.info(file, extension, trusted=False)
