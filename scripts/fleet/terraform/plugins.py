"""`terraform init` with a plugin cache: actions/checkout empties the checkout, so each job would download the provider.

The cache is proxmox-gitops/terraform-plugins in the user's cache folder. A person's or the lab's own Terraform
configuration (TF_CLI_CONFIG_FILE, TF_PLUGIN_CACHE_DIR) decides alone where providers come from.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleet.files import read_text, write_atomic
from fleet.terraform import command, program

OWN = ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR")


def init(directory: Path, more: Mapping[str, str] | None = None, data: Path | None = None) -> None:
    """Run `terraform init`, quietly unless it fails. Raises Fault, also for a program that cannot do the work.

    `more` is added to Terraform's environment, where TF_DATA_DIR may name `data` in place of .terraform.
    """
    product = program.check()
    mark = (data or directory / ".terraform") / "program"
    last = read_text(mark)
    options = []
    if last and last != product:
        # Terraform rejects OpenTofu's record of the backend. Only now: a backend that somebody changed is noticed
        # otherwise.
        options = ["-reconfigure"]
        write_atomic(mark, "neither")  # until this has ended
    with _cached(directory) as settings:
        command.checked(directory, "init", *options, capture=True, settings=settings | dict(more or {}))
    if mark.parent.is_dir():  # TF_DATA_DIR may name another
        write_atomic(mark, product)


@contextlib.contextmanager
def _cached(directory: Path) -> Iterator[dict[str, str]]:
    """The variables that name the cache; locked, since two `init` at once would write over each other."""
    if any(os.environ.get(name) for name in OWN):
        yield {}
        return
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = (
        Path(os.environ.get("PROXMOX_GITOPS_CACHE") or Path(base, "proxmox-gitops")) / "terraform-plugins"
    )
    settings = {"TF_PLUGIN_CACHE_DIR": str(folder.resolve())}
    if not (directory / ".terraform.lock.hcl").exists():
        # Without recorded checksums Terraform would download again. The version is exact in versions.tf.
        settings["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fcntl.flock(held.enter_context((folder / ".lock").open("wb")), fcntl.LOCK_EX)
        except OSError:  # such as a read-only home: a download each time, as before
            settings = {}
        yield settings
