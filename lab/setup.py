"""What the lab needs before it can start: Debian packages, built programs, the machines' root file system.

Built things go into the cache (lab.cache_dir()) under a name with version and a hash of their sources, made
in a temporary folder that is then renamed; a lock makes a second checkout wait instead of building too.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from lab import ROOT, LabError, cache_dir, lab_dir, postgres, template
from lab.cache import made, patience, run

BUILD_DIR = ROOT / "lab" / "build"

# (package, a program by which one sees that it is there, what for)
PACKAGES = (
    ("systemd-container", "systemd-nspawn", "runs the machines"),
    ("mmdebstrap", "mmdebstrap", "makes the machines' root file system"),
    ("iproute2", "ip", "the lab's network"),
    ("openssh-client", "ssh-keyscan", "host keys, Ansible"),
    ("e2fsprogs", "mkfs.ext4", "the machines' disks"),
    ("shellcheck", "shellcheck", "make lint"),
    ("haproxy", "haproxy", "checks HAProxy's configuration in the tests"),
)
TOOLS = {
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "git": "apt",
    "go": "https://go.dev/dl",
}


class Build(NamedTuple):
    name: str
    module: str  # whose version names the entry
    packages: dict[str, str]  # program: Go package
    what: str
    usual: str


BUILDS = (
    Build("provider", "github.com/bpg/terraform-provider-proxmox",
          {"terraform-provider-proxmox": "github.com/bpg/terraform-provider-proxmox"},
          "Terraform's Proxmox provider, since no registry is asked", "15 s, the first time 3 min"),
    Build("actionlint", "github.com/rhysd/actionlint",
          {"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
          "the linter of workflows", "5 s, the first time 20 s"),
    Build("kubernetes", "k8s.io/kubernetes",
          {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kubectl")},
          "the Kubernetes API server that runs in the machines, and kubectl", "30 s, the first time 4 min"),
    Build("vault", "github.com/hashicorp/vault", {"vault": "."},
          "HashiCorp Vault's core", "20 s, the first time 6 min"),
)  # fmt: skip


def version(build: Build) -> str:
    text = (BUILD_DIR / build.name / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(build.module)} v(\S+)", text, re.MULTILINE)
    return found[1]


@functools.cache
def entry(name: str) -> Path:
    """The folder in the cache that holds a built thing, whether it is there yet or not."""
    build = next(build for build in BUILDS if build.name == name)
    sources = sorted((BUILD_DIR / name).glob("*.go")) + sorted((BUILD_DIR / name).glob("go.*"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    return cache_dir() / f"{name}-{version(build)}-{digest}"


def etcd() -> Path | None:
    """Debian's etcd, if it has been fetched: the program alone, never installed."""
    return max(cache_dir().glob("etcd-*/etcd"), default=None)


def tools() -> None:
    if os.geteuid():
        raise LabError("the lab needs root: it makes namespaces, mounts and machines")
    missing = [f"{name} ({source})" for name, source in TOOLS.items() if not shutil.which(name)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}")


def _present(program: str) -> bool:
    return bool(shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"))


def packages() -> None:
    """Install the Debian packages that are missing; no service of theirs is started."""
    missing = {package: why for package, program, why in PACKAGES if not _present(program)}
    if not postgres.binaries():
        missing["postgresql"] = "keeps Terraform's state"
    if not missing:
        return
    reasons = ", ".join(f"{name} ({why})" for name, why in missing.items())
    with patience(f"installing Debian packages: {reasons}", "20 to 60 s"), _no_services():
        _apt("install", "--yes", "--no-install-recommends", *missing)


def _apt(*arguments: str, **options) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    options |= {"env": env, "contained": False}  # a package is better installed to the end
    try:
        run(command, "apt", **options)
    except LabError:
        # Most often the lists are old or were never fetched.
        run(["apt-get", "-q", "update"], "apt-update", env=env)
        run(command, "apt", **options)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """While in here, Debian's packages start no service, and PostgreSQL's makes no cluster."""
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


def fetch_etcd() -> None:
    if etcd():
        return
    with patience("fetching Debian's etcd, which stores the clusters' state", "5 s"):
        temporary = Path(tempfile.mkdtemp(prefix=".etcd.new-", dir=_made_dir(cache_dir())))
        try:
            # As apt's own user could not write here, it would warn.
            _apt("-o", "APT::Sandbox::User=root", "download", "etcd-server", cwd=temporary)
            package = next(temporary.glob("etcd-server_*.deb"))
            run(["dpkg-deb", "--extract", str(package), str(temporary / "files")], "etcd")
            target = cache_dir() / f"etcd-{package.name.split('_')[1].replace('%3a', '.')}"
            with made(target, "etcd") as folder:
                if folder:
                    shutil.copy2(temporary / "files/usr/bin/etcd", folder / "etcd")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _made_dir(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def build(item: Build) -> None:
    """Build one of the Go programs into the cache."""
    target = entry(item.name)
    if target.exists():
        return
    with made(target, item.what) as folder:
        if not folder:
            return
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
        flags = "-s -w"
        if item.name == "kubernetes":  # its own build script would set these
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                flags += f" -X {package}.gitVersion=v{version(item)}"
        with patience(f"building {item.name} {version(item)}: {item.what}", item.usual):
            for program, package in item.packages.items():
                run(
                    ["go", "build", "-trimpath", f"-ldflags={flags}", "-o", str(folder / program), package],
                    f"{item.name}-{program}", cwd=BUILD_DIR / item.name, env=env,
                )  # fmt: skip
        if item.name == "provider":
            _as_mirror(folder, version(item))


def _as_mirror(folder: Path, number: str) -> None:
    """Lay the provider out as Terraform expects it of a filesystem mirror."""
    arch = subprocess.run(["go", "env", "GOARCH"], capture_output=True, text=True, check=True).stdout.strip()
    place = folder / "registry.terraform.io/bpg/proxmox" / number / f"linux_{arch}"
    place.mkdir(parents=True)
    (folder / "terraform-provider-proxmox").rename(place / f"terraform-provider-proxmox_v{number}")


def terraform_config() -> None:
    """LAB_DIR/terraform.tfrc: take providers from the mirror alone, and ask nobody for new versions."""
    mirror = entry("provider")
    (lab_dir() / "terraform.tfrc").write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )


def links() -> None:
    """Programs by name in LAB_DIR/bin, which is first in the lab's PATH, and linters beside Python."""
    places = {"kubectl": entry("kubernetes"), "actionlint": entry("actionlint")}
    for program, folder in places.items():
        for place in (lab_dir() / "bin", Path(sys.executable).parent):
            if place != lab_dir() / "bin" and (program == "kubectl" or sys.prefix == sys.base_prefix):
                continue  # never into a Python that is not this checkout's own
            link = _made_dir(place) / program
            if not link.is_symlink() or link.readlink() != folder / program:
                link.unlink(missing_ok=True)
                link.symlink_to(folder / program)


def everything() -> None:
    """Make sure that all the lab needs is there; says nothing when it is."""
    lab_dir().mkdir(parents=True, exist_ok=True)
    tools()
    packages()
    with ThreadPoolExecutor(1) as aside:  # it waits for packages while the compiler works
        system = aside.submit(template.prepare)
        fetch_etcd()
        for item in BUILDS:
            build(item)
        system.result()
    links()
    terraform_config()
