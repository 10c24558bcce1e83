"""The releases of K3s that the lab hands out: one program with another end for each.

At its end are lines that tell it which release it is, where it was handed out, and the checksums of the programs that
the real k3s has inside itself and this one fetches. An executable file may have such an end.
"""

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

from lab import builds, packages

# Old ones, the one whose parts these are, and newer ones, as far as tests and demos install them.
VERSIONS = (
    "v1.33.7+k3s1", "v1.34.3+k3s1", "v1.34.4+k3s1", "v1.34.5+k3s1", "v1.35.0+k3s2", "v1.35.0+k3s3",
)  # fmt: skip
PARTS = ("etcd", "etcdctl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


class Release(NamedTuple):
    program: Path
    end: bytes

    def size(self) -> int:
        return self.program.stat().st_size + len(self.end)

    def sha256(self) -> str:
        digest = _digest(self.program, self.program.stat().st_mtime_ns).copy()
        digest.update(self.end)
        return digest.hexdigest()


def stable() -> str:
    """The release whose parts the lab builds, as v1.34.4+k3s1."""
    return f"v{builds.version(builds.find('kubernetes'))}+k3s1"


def program() -> Path:
    return builds.entry("k3s") / "k3s"


def parts() -> dict[str, Path]:
    """Where the programs are that the stand-in fetches; not all need to be there."""
    built = builds.entry("kubernetes")
    return {name: packages.fetched(name) if name.startswith("etcd") else built / name for name in PARTS}


def release(k3s: Path, files: dict[str, Path], version: str, address: str) -> Release:
    lines = [f"VERSION='{version}'", f"FROM='{address}'"]
    lines += [f"PART_{name}='{checksum(path)}'" for name, path in files.items()]
    return Release(k3s, "\n".join(["", *lines, ""]).encode())


def checksum(path: Path) -> str:
    return _digest(path, path.stat().st_mtime_ns).hexdigest()


@functools.cache
def _digest(path: Path, _changed: int) -> "hashlib._Hash":
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
