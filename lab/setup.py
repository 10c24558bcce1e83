"""What the lab needs before it can start: Debian packages, built programs, the machines' disks."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import builds, lab_dir, packages, terraform
from lab.images import builds as images


def _made_dir(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def links() -> None:
    """Programs by name in LAB_DIR/bin, which is first in the lab's PATH, and linters beside Python."""
    places = {"kubectl": builds.entry("kubernetes"), "actionlint": builds.entry("actionlint")}
    if terraform.is_built():
        places["tofu"] = builds.entry("opentofu")
    for program in ("talosctl", "helm"):
        if builds.entry(program).exists():
            places[program] = builds.entry(program)
    for program, folder in places.items():
        for place in (lab_dir() / "bin", Path(sys.executable).parent):
            if place != lab_dir() / "bin" and (
                program in ("kubectl", "talosctl", "helm") or sys.prefix == sys.base_prefix
            ):
                continue  # never into a Python that is not this checkout's own
            link = _made_dir(place) / program
            if not link.is_symlink() or link.readlink() != folder / program:
                link.unlink(missing_ok=True)
                link.symlink_to(folder / program)


def everything() -> None:
    """Install or build whatever the lab lacks; silent when nothing is missing."""
    lab_dir().mkdir(parents=True, exist_ok=True)
    packages.check_tools()
    packages.install()
    with ThreadPoolExecutor(1) as aside:  # it waits for packages while the compiler works
        system = aside.submit(images.prepare)
        packages.fetch_etcd()
        for item in builds.BUILDS:
            if not item.on_demand and (item.name != "opentofu" or terraform.is_built()):
                builds.build(item)
        system.result()
    links()
    terraform.configure()


def on_demand(*names: str) -> None:
    """Build what the setup leaves to those who need it."""
    for name in names:
        builds.build(builds.find(name))
    links()
    if "helm" in names:
        terraform.configure()
