"""Where the builds of an image stand: paths as on cloud.debian.org, cloud-images.ubuntu.com and dl.rockylinux.org."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from lab.images.shelf import Build

DEBIAN, UBUNTU, ROCKY = "/images/cloud/bookworm", "/releases/24.04", "/pub/rocky/9/images/x86_64"
Files = dict[str, Path | bytes]


@functools.lru_cache
def _sum(file: Path, algorithm: str, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def checksum(file: Path, algorithm: str) -> str:
    return _sum(file, algorithm, file.stat().st_mtime_ns)


def _debian(builds: list[Build]) -> Files:
    """Dated folders beside `latest`; only in the dated ones are the names dated."""
    found: Files = {f"{DEBIAN}/daily/README.txt": b"Built each day, and hardly tested.\n"}
    for folder, build in (*((f"{build.date}-2267", build) for build in builds), ("latest", builds[-1])):
        suffix = "" if folder == "latest" else f"-{folder}"
        name = f"debian-12-generic-amd64{suffix}.qcow2"
        # Others in the same file, as there: the one without cloud-init, and one for other processors.
        others = [f"debian-12-{kind}{suffix}.qcow2" for kind in ("generic-arm64", "nocloud-amd64")]
        lines = [f"{checksum(build.file, 'sha512')}  {name}", *(f"{'0' * 128}  {other}" for other in others)]
        found |= {
            f"{DEBIAN}/{folder}/{name}": build.file,
            f"{DEBIAN}/{folder}/SHA512SUMS": "".join(f"{line}\n" for line in sorted(lines)).encode(),
        }
    return found


def _ubuntu(builds: list[Build]) -> Files:
    """Dated folders beside `release`; the names in them are the same."""
    found: Files = {}
    name = "ubuntu-24.04-server-cloudimg-amd64.img"
    for folder, build in (*((f"release-{build.date}", build) for build in builds), ("release", builds[-1])):
        found |= {
            f"{UBUNTU}/{folder}/{name}": build.file,
            f"{UBUNTU}/{folder}/SHA256SUMS": f"{checksum(build.file, 'sha256')} *{name}\n".encode(),
        }
    return found


def _rocky(builds: list[Build]) -> Files:
    """Dated names beside one with `latest`, all in one folder; a CHECKSUM of each and of all, as BSD writes it."""
    stem = f"{ROCKY}/Rocky-9-GenericCloud-Base"
    names: Files = {f"{stem}-9.6-{build.date}.0.x86_64.qcow2": build.file for build in builds}
    names[f"{stem}.latest.x86_64.qcow2"] = builds[-1].file
    sums = {}
    for path, file in names.items():
        name = path.rpartition("/")[2]
        text = f"# {name}: {file.stat().st_size} bytes\nSHA256 ({name}) = {checksum(file, 'sha256')}\n"
        sums[f"{path}.CHECKSUM"] = text.encode()
    return names | sums | {f"{ROCKY}/CHECKSUM": b"".join(sums.values())}


LAYOUTS: dict[str, Callable[[list[Build]], Files]] = {
    "debian12": _debian,
    "ubuntu24": _ubuntu,
    "rocky9": _rocky,
}


def files(builds: dict[str, list[Build]]) -> Files:
    """All that the site has, by path."""
    found: Files = {}
    for image, published in builds.items():
        found |= LAYOUTS[image](published)
    return found
