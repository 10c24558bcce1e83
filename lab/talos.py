"""The disk of a machine with the stand-in for Talos, as qcow2: what its nocloud image is in production.

The root file system has the stand-in as process 1, etcd, etcdctl, kube-apiserver and nothing else: no shell, no SSH, no
cloud-init, no guest agent. It is made when a demo or a test first asks for it.
"""

import functools
import hashlib
import inspect
import shutil
import subprocess
from pathlib import Path

from lab import LabError, builds, cache_dir, packages
from lab.cache import made, patience, run
from lab.images.builds import CONVERT

FILE = "talos-nocloud-amd64.qcow2"  # its name in production, once it is unpacked and converted
SIZE = 1 << 30
FOLDERS = (
    "dev",
    "etc",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "talos",
    "tmp",
    "usr/lib",
    "usr/local/bin",
    "var/lib",
)


@functools.cache
def entry() -> Path:
    parts = [
        builds.entry("talosnode").name,
        builds.entry("kubernetes").name,
        [packages.fetched(name).parent.name for name in packages.PROGRAMS],
        SIZE,
        FOLDERS,
        inspect.getsource(_fill),
    ]
    return cache_dir() / f"talosimage-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def disk() -> Path:
    """The image; it is built unless it is there."""
    from lab import setup

    packages.fetch_etcd()
    setup.on_demand("kubernetes", "talosnode")
    target = entry()
    with made(target, "the disk of Talos' stand-in") as folder:
        if folder:
            with patience("making the disk of Talos' stand-in", "10 s"):
                _build(folder)
    return target / FILE


def _build(folder: Path) -> None:
    root, raw = folder / "root", folder / "disk"
    _fill(root)
    run(
        ["mkfs.ext4", "-q", "-F", "-m", "0", "-L", "talos", "-O", "^has_journal", "-E",
         "lazy_itable_init=0,nodiscard", "-d", str(root), str(raw), f"{SIZE >> 10}k"],
        "talos-disk",
    )  # fmt: skip
    run([*CONVERT, str(raw), str(folder / FILE)], "talos-convert")
    raw.unlink()
    shutil.rmtree(root)


def _fill(root: Path) -> None:
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    programs = {
        "sbin/init": builds.entry("talosnode") / "talosnode",
        "usr/local/bin/kube-apiserver": builds.entry("kubernetes") / "kube-apiserver",
    }
    for name in packages.PROGRAMS:
        programs[f"usr/local/bin/{name}"] = packages.fetched(name)
        # Of all these programs, only Debian's need libraries: the host's.
        for library in _libraries(packages.fetched(name)):
            programs[str(library).lstrip("/")] = library
    for place, source in programs.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / place)
    # systemd-nspawn starts nothing without this file.
    (root / "usr/lib/os-release").write_text(
        'NAME="Talos"\nID=talos\nPRETTY_NAME="Talos (a stand-in of the lab)"\n'
    )
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def _libraries(program: Path) -> list[Path]:
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"ldd {program}: {done.stderr.strip()}")
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/")]
