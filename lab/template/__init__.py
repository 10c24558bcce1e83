"""The machines' root file system: raw ext4 images in the cache, under a hash of all that makes them.

mmdebstrap makes a minimal Debian 12 with cloud-init and OpenSSH; `files/` is laid over it, `finish.sh`
runs in it. There are two: the template's has the guest agent, `plain` is as bare as most cloud images.
The packages that playbooks install are in neither, but their files are, in a package archive
inside the image: so `apt install` is real, though no machine of the lab reaches a mirror.
"""

import hashlib
import inspect
import shutil
import subprocess
from pathlib import Path

from lab import cache_dir
from lab.cache import made, patience, run

SIZE = 3 << 30
DESCRIPTION = """\
A template of the lab: named as the production template, but it is a minimal Debian 12 with cloud-init and
OpenSSH in a raw ext4 image without partitions, run by systemd-nspawn on the host's kernel.
It has the QEMU guest agent, which Ubuntu's own image lacks, but no bootloader and no kernel.
apt knows only an archive inside the image; it offers haproxy, keepalived and the agent."""

HERE = Path(__file__).parent
SUITE = "bookworm"
PACKAGES = (
    "systemd-sysv", "dbus", "udev", "openssh-server", "python3", "python3-apt", "cloud-init", "sudo",
    "iproute2", "iputils-ping", "netbase", "procps", "ca-certificates", "curl", "e2fsprogs",
    "xfsprogs", "kmod", "cloud-guest-utils",
)  # fmt: skip
AGENT = "qemu-guest-agent"
OFFERED = ("haproxy", "keepalived", AGENT)
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def image() -> Path:
    """The place in the cache of the image with the guest agent, whether it exists yet or not."""
    functions = (_build, _archive, _file_system)
    recipe = [PACKAGES, OFFERED, EXCLUDED, SUITE, SIZE, *map(inspect.getsource, functions)]
    digest = hashlib.sha256(repr(recipe).encode())
    for path in [*sorted(p for p in (HERE / "files").rglob("*") if p.is_file()), HERE / "finish.sh"]:
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    return cache_dir() / f"rootfs-{digest.hexdigest()[:8]}" / "root.ext4"


def plain() -> Path:
    """The place of the one without it."""
    return image().with_name("plain.ext4")


def prepare() -> Path:
    """Build both images unless they are there; the one with the agent."""
    target = image()
    if target.exists():
        return target
    with made(target.parent, "the machines' root file system") as folder:
        if folder:
            with patience("making the machines' root file system with mmdebstrap", "1 to 3 min"):
                _build(folder)
    return target


def _build(folder: Path) -> None:
    root = folder / "root"
    # Fetched after everything else is there, so that only what is missing is fetched.
    fetch = f"apt-get install --yes --no-install-recommends --download-only {' '.join(OFFERED)}"
    run(
        [
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
            '--aptopt=Acquire::Languages "none"', "--skip=cleanup/apt",
            '--customize-hook=chroot "$1" apt-get clean', f'--customize-hook=chroot "$1" {fetch}',
            SUITE, str(root),
        ],
        "rootfs",
    )  # fmt: skip
    _archive(root)
    shutil.copytree(HERE / "files", root, dirs_exist_ok=True)
    finish = ["chroot", str(root), "sh", "-c", (HERE / "finish.sh").read_text()]
    run(finish, "rootfs-finish")
    _file_system(root, folder / "plain.ext4")
    run(["chroot", str(root), "apt-get", "--quiet", "--yes", "install", AGENT], "rootfs-agent")
    run(finish, "rootfs-finish")
    _file_system(root, folder / "root.ext4")
    shutil.rmtree(root)


def _file_system(root: Path, file: Path) -> None:
    # lazy_itable_init=0 with an empty file costs nothing and leaves the kernel nothing to do later.
    run(
        ["mkfs.ext4", "-q", "-F", "-m", "0", "-L", "root", "-O", "^has_journal", "-E",
         "lazy_itable_init=0,nodiscard", "-d", str(root), str(file), str(SIZE >> 10) + "k"],
        "rootfs-image",
    )  # fmt: skip


def _archive(root: Path) -> None:
    """A package archive of one folder from what apt downloaded, and apt's only source."""
    place = root / "usr/local/share/packages"
    place.mkdir(parents=True)
    entries = []
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        kept = place / package.name.replace("%3a", "_")
        shutil.move(package, kept)
        fields = subprocess.run(["dpkg-deb", "--field", kept], capture_output=True, text=True, check=True)
        content = kept.read_bytes()
        entries.append(
            f"{fields.stdout.strip()}\nFilename: ./{kept.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    (place / "Packages").write_text("\n".join(entries))
    index = (place / "Packages").read_bytes()
    (place / "Release").write_text(
        f"Suite: local\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )
    (root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/usr/local/share/packages ./\n")
