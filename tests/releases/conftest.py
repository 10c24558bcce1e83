"""A cluster, a Vault and a folder clusters/ for the tests of a file."""

import os
import re
import shutil
from pathlib import Path

import pytest

from lab import builds, terraform
from tests.helpers import workspace_site


@pytest.fixture(scope="session")
def helm_mirror(tmp_path_factory) -> Path:
    """A file system mirror: of the lab's stand-in, or that of MIRROR, as `make clusters-check` has it."""
    if given := os.environ.get("MIRROR"):
        return Path(given).resolve()
    builds.build(builds.find("helm"))
    made = tmp_path_factory.mktemp("mirror")
    source = terraform.REGISTRIES[0]
    for registry in terraform.REGISTRIES:
        shutil.copytree(builds.entry("helm") / source, made / registry)
    return made


@pytest.fixture(scope="module")
def everything(tmp_path_factory, helm_mirror):
    with workspace_site.site(tmp_path_factory.mktemp("site"), helm_mirror) as made:
        yield made


@pytest.fixture
def site(everything, request, monkeypatch):
    """Each test has a workspace with two releases, a and b, of names that no other has."""
    everything.name = re.sub(r"\W|_", "-", request.node.name.removeprefix("test_"))[:30].strip("-")
    everything.maps(**{everything.name: [f"{everything.name}-a", f"{everything.name}-b"]})
    everything.set(monkeypatch)
    return everything


@pytest.fixture
def applied(site):
    assert site.apply(site.name) == 0
    return site
