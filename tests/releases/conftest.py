"""Where helm's Terraform provider comes from."""

import os
import shutil
from pathlib import Path

import pytest

from lab import builds, terraform


@pytest.fixture(scope="session")
def helm_mirror(tmp_path_factory) -> Path:
    """A file system mirror: of the lab's stand-in, or that of MIRROR, as `make clusters-check` has it."""
    if given := os.environ.get("MIRROR"):
        return Path(given)
    builds.build(builds.find("helm"))
    made = tmp_path_factory.mktemp("mirror")
    source = terraform.REGISTRIES[0]
    for registry in terraform.REGISTRIES:
        shutil.copytree(builds.entry("helm") / source, made / registry)
    return made
