"""A kernel for the lab's images, which have none, and an initramfs that mounts their disk.

Both come from Debian's packages, which are only unpacked, into the lab's cache.
"""

import re
import shutil
import subprocess
from pathlib import Path

from lab import cache_dir, packages
from lab.cache import made, patience

NEEDED = (
    ("qemu-system-x86", "qemu-system-x86_64", "boots a machine"),
    ("genisoimage", "genisoimage", "its seed"),
    ("kmod", "depmod", "its modules"),
)
# Of what the machine's devices need, what Debian's cloud kernel does not have built in.
MODULES = (
    "virtio_pci",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "ata_piix",
    "isofs",
    "virtio_net",
    "virtio_console",
)
INIT = f"""\
#!/bin/busybox sh
mkdir -p /proc /sys /dev /root
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in {" ".join(MODULES)}; do modprobe $module; done
until [ -b /dev/sda ]; do sleep 0.1; done
mount -t ext4 /dev/sda /root
for place in proc sys dev; do mount --move /$place /root/$place; done
exec switch_root /root /sbin/init
"""


def prepare() -> Path:
    """Install QEMU and make `vmlinuz` and `initrd` unless they are there; their folder."""
    packages.install(NEEDED)
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True
    )
    name = re.search(r"linux-image-\d\S+", shown.stdout)[0]
    target = cache_dir() / f"qemu-{name}"
    with made(target, "a kernel for QEMU") as folder:
        if folder:
            with patience("unpacking a kernel for QEMU", "10 s"):
                _unpack(folder, name)
    return target


def _unpack(folder: Path, package: str) -> None:
    packages.unpack(folder / "files", package, "busybox-static")
    version, files = package.removeprefix("linux-image-"), folder / "files"
    (files / f"boot/vmlinuz-{version}").rename(folder / "vmlinuz")
    subprocess.run(["depmod", "-b", files, version], check=True)
    root, modules = folder / "root", Path("lib/modules") / version
    for place in ("bin", modules):
        (root / place).mkdir(parents=True)
    shutil.copy2(files / "bin/busybox", root / "bin/busybox")
    for name in ("sh", "mkdir", "mount", "modprobe", "sleep", "switch_root"):
        (root / "bin" / name).symlink_to("busybox")
    for path in _with_dependencies(files / modules / "modules.dep"):
        (root / modules / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(files / modules / path, root / modules / path)
    shutil.copy2(files / modules / "modules.dep", root / modules)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with (folder / "initrd").open("wb") as output:
        subprocess.run(
            [root / "bin/busybox", "cpio", "-o", "-H", "newc"],
            cwd=root, input=names.encode(), stdout=output, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    shutil.rmtree(root)
    shutil.rmtree(files)


def _with_dependencies(listed: Path) -> set[str]:
    known = dict(line.split(":") for line in listed.read_text().splitlines())
    names = {Path(path).stem: path for path in known}
    wanted = {names[module] for module in MODULES}
    return wanted.union(*(known[path].split() for path in wanted))
