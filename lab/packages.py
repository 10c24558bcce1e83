"""What the lab takes from Debian: packages that are installed, and etcd, which is only fetched."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab import LabError, cache_dir, postgres
from lab.cache import made, patience, run

# (package, a program that shows that it is installed, its use)
PACKAGES = (
    ("systemd-container", "systemd-nspawn", "runs the machines"),
    ("mmdebstrap", "mmdebstrap", "makes the machines' root file system"),
    ("iproute2", "ip", "the lab's network"),
    ("dnsmasq-base", "dnsmasq", "the lab's DHCP server"),
    ("openssh-client", "ssh-keyscan", "host keys, Ansible"),
    ("e2fsprogs", "mkfs.ext4", "the machines' disks"),
    ("qemu-utils", "qemu-img", "disk images"),
    ("wget", "wget", "downloads of the simulated Proxmox nodes"),
    ("shellcheck", "shellcheck", "make lint"),
    ("haproxy", "haproxy", "checks HAProxy's configuration in the tests"),
)


TOOLS = {
    "git": "apt",
    "make": "apt",
    "go": "https://go.dev/dl",
}


# Packages of which only one program is taken: the folder in the cache, its package.
PROGRAMS = {"etcd": "etcd-server", "etcdctl": "etcd-client"}


def fetched(program: str) -> Path:
    """Debian's etcd or etcdctl: only the program, not installed. Where it will be, if it has not been fetched."""
    return max(
        cache_dir().glob(f"{program}-*/{program}"), default=cache_dir() / f"{program}-VERSION" / program
    )


def check_tools() -> None:
    if os.geteuid():
        raise LabError("the lab needs root: it makes namespaces, mounts and machines")
    missing = [f"{name} ({source})" for name, source in TOOLS.items() if not shutil.which(name)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}")


def _present(program: str) -> bool:
    return bool(shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"))


def install(wanted: Iterable[tuple[str, str, str]] = PACKAGES) -> None:
    """Install the Debian packages that are missing; no service of theirs is started."""
    missing = {package: why for package, program, why in wanted if not _present(program)}
    if wanted is PACKAGES and not postgres.binaries():
        missing["postgresql"] = "keeps Terraform's state"
    if not missing:
        return
    reasons = ", ".join(f"{name} ({why})" for name, why in missing.items())
    with patience(f"installing Debian packages: {reasons}", "20 to 60 s"), _no_services():
        _apt("install", "--yes", "--no-install-recommends", *missing)


def _apt(*arguments: str, **options) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    options |= {"env": env, "contained": False}  # an interrupted installation would need repair
    try:
        run(command, "apt", **options)
    except LabError:
        # Most often the package lists are old or missing.
        run(["apt-get", "-q", "update"], "apt-update", env=env)
        run(command, "apt", **options)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep Debian's packages from starting services, and PostgreSQL's from making a cluster."""
    files = {
        Path("/usr/sbin/policy-rc.d"): "#!/bin/sh\nexit 101\n",
        Path("/etc/postgresql-common/createcluster.d/lab.conf"): "create_main_cluster = false\n",
    }
    placed = [path for path in files if not path.exists()]
    folders = [path.parent for path in placed if not path.parent.exists()]
    try:
        for path in placed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path])
            path.chmod(0o755 if path.name == "policy-rc.d" else 0o644)
        yield
    finally:
        for path in placed:
            path.unlink(missing_ok=True)
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _fetch(folder: Path, *names: str) -> list[Path]:
    # As apt's own user could not write here, it would warn.
    _apt("-o", "APT::Sandbox::User=root", "download", *names, cwd=folder)
    return list(folder.glob("*.deb"))


def unpack(folder: Path, *names: str) -> None:
    """Put the files of packages into a folder, without installing them."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        for package in _fetch(Path(temporary), *names):
            run(["dpkg-deb", "--extract", str(package), str(folder)], "unpack")


def fetch_etcd() -> None:
    for program, package in PROGRAMS.items():
        if not fetched(program).exists():
            with patience(f"fetching Debian's {program}, for the clusters' state", "5 s"):
                _fetch_program(program, package)


def _fetch_program(program: str, package: str) -> None:
    cache_dir().mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{program}.new-", dir=cache_dir()))
    try:
        (file,) = _fetch(temporary, package)
        run(["dpkg-deb", "--extract", str(file), str(temporary / "files")], program)
        target = cache_dir() / f"{program}-{file.name.split('_')[1].replace('%3a', '.')}"
        with made(target, program) as folder:
            if folder:
                shutil.copy2(temporary / "files/usr/bin" / program, folder / program)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
