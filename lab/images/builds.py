"""The images themselves: disks of the machines' root file system as qcow2, made when they are first asked for.

Each exists as build A and as build B, which differ in one file, /etc/image-build.
"""

import subprocess
import tempfile
from pathlib import Path

from lab import LabError, template
from lab.cache import made, patience

# zstd takes 2 s for what zlib takes 9 s for, and is a third of the size of an image that is not compressed.
CONVERT = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd")


def image(build: str, agent: bool = False) -> Path:
    """Build A or B, with the guest agent or without it."""
    source = template.prepare() if agent else template.plain()
    template.prepare()
    target = source.parent / f"{source.stem}-{build}" / "disk.qcow2"
    if target.exists():
        return target
    with made(target.parent, f"build {build} of an image") as folder:
        if folder:
            with patience(
                f"making build {build} of an image {'with' if agent else 'without'} the agent", "3 s"
            ):
                _make(source, folder, build)
    return target


def prepare() -> None:
    """Make what the site publishes at first, so that nobody waits for it later."""
    for agent in (False, True):
        image("A", agent)


def _make(source: Path, folder: Path, build: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        disk, mark = Path(temporary, "disk"), Path(temporary, "mark")
        mark.write_text(f"{build}\n")
        _run("cp", "--sparse=always", "--reflink=auto", str(source), str(disk))
        _run("debugfs", "-w", "-R", f"write {mark} etc/image-build", str(disk))
        _run(*CONVERT, str(disk), str(folder / "disk.qcow2"))


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv[:3])}…: {done.stderr.strip()[-500:]}")
