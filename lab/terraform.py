"""The lab's Terraform: which program that is, and where it takes its providers from."""

import os
import shutil
from pathlib import Path

from lab import LabError, builds, cache_dir, lab_dir

NAMES = ("terraform", "tofu")
# Each of the two programs looks for a provider at a registry of its own.
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")


def program() -> str:
    """The program that TERRAFORM names, else terraform or tofu of PATH, else the tofu that the lab builds."""
    given = os.environ.get("TERRAFORM", "").strip()
    for name in [given] if given else NAMES:
        if found := _installed(name):
            return found
    if given not in ("", "tofu"):
        raise LabError(f"TERRAFORM is {given}, which is not a program on PATH; unset it, or set it to tofu")
    return str(builds.entry("opentofu") / "tofu")


def _installed(name: str) -> str | None:
    if os.sep in name:
        return shutil.which(name)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder)
        # A link to an earlier build, made by lab.setup, is none that a person installed.
        if found and not Path(found).resolve().is_relative_to(cache_dir().resolve()):
            return found
    return None


def is_built() -> bool:
    """Whether the lab runs the OpenTofu that it builds."""
    return Path(program()).parent == builds.entry("opentofu")


def configure() -> None:
    """LAB_DIR/terraform.tfrc: take providers only from the mirror, and do not check for new versions."""
    offer(lab_dir(), builds.entry("provider"), builds.entry("helm"))  # helm's is built on demand


def offer(folder: Path, *built: Path) -> Path:
    """Make FOLDER/mirror of what was built, and the configuration of Terraform that names it, which is returned."""
    mirror, configuration = folder / "mirror", folder / "terraform.tfrc"
    for one in built:
        for package in one.glob(f"{REGISTRIES[0]}/*/*/*/*"):  # owner/provider/version/platform
            for registry in REGISTRIES:
                link = mirror / registry / package.relative_to(one / REGISTRIES[0])
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(package)
    configuration.write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    return configuration
