"""`init` by the real Terraform and the real OpenTofu, with a provider that is nothing but a file in a mirror."""

import contextlib
import platform
import shutil
import zipfile
from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.terraform import plugins, program

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIGURATION = """terraform {
  required_providers {
    some = {
      source  = "example.com/test/some"
      version = "1.0.0"
    }
  }
}
"""


@pytest.fixture(params=program.NAMES)
def home(request, tmp_path, monkeypatch):
    """A user whose Terraform takes providers from an archive in a mirror, as it does from a registry."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setenv(program.VARIABLE, request.param)
    archive = (
        tmp_path / f"mirror/example.com/test/some/terraform-provider-some_1.0.0_linux_{ARCHITECTURE}.zip"
    )
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("terraform-provider-some_v1.0.0", "#!/bin/sh\n")
    settings = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path}/mirror"\n  }}\n}}\n'
    (tmp_path / ".terraformrc").write_text(settings)
    for name in (*plugins.OWN, "XDG_CACHE_HOME", "PROXMOX_GITOPS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")
    monkeypatch.setenv("TF_CLI_ARGS_init", "-no-color")
    return tmp_path


def checkout(home: Path, name: str) -> Path:
    folder = home / name
    folder.mkdir()
    (folder / "main.tf").write_text(CONFIGURATION)
    return folder


def installed(folder: Path) -> Path:
    return (folder / f".terraform/providers/example.com/test/some/1.0.0/linux_{ARCHITECTURE}").resolve()


def test_another_checkout_fetches_nothing(home):
    first, second = checkout(home, "first"), checkout(home, "second")
    plugins.init(first)
    next(home.glob("mirror/**/*.zip")).write_bytes(b"no archive")  # whoever fetches it now fails
    plugins.init(second)
    assert installed(first) == installed(second)
    assert home / ".cache/proxmox-gitops/terraform-plugins" in installed(second).parents


def test_recorded_checksums_are_held_against_the_cache(home):
    first, second = checkout(home, "first"), checkout(home, "second")
    plugins.init(first)
    lock = (first / ".terraform.lock.hcl").read_text()
    (second / ".terraform.lock.hcl").write_text(lock)
    (installed(first) / "terraform-provider-some_v1.0.0").write_text("changed in the cache")
    next(home.glob("mirror/**/*.zip")).write_bytes(b"no archive")
    with pytest.raises(Fault, match=f"^{program.name()} init failed"):
        plugins.init(second)


@pytest.mark.parametrize("own", plugins.OWN)
def test_an_own_configuration_decides_alone(home, monkeypatch, own):
    (home / "cache").mkdir()
    monkeypatch.setenv(own, str(home / {"TF_CLI_CONFIG_FILE": ".terraformrc"}.get(own, "cache")))
    plugins.init(checkout(home, "first"))
    assert not (home / ".cache").exists()


def test_without_a_cache_folder_it_downloads(home):
    (home / ".cache").write_text("a file")
    plugins.init(checkout(home, "first"))
    assert home / "first" in installed(home / "first").parents


@pytest.mark.parametrize(
    ("last", "noticed"),
    [
        (None, True),  # initialised by hand, or by an older version of the scripts
        ("the same", True),
        ("the other", False),  # whose record of the backend cannot be compared
        ("neither", False),  # killed while it changed from one to the other
    ],
)
def test_a_backend_that_somebody_changed_is_noticed_unless_the_program_changed(home, last, noticed):
    folder = checkout(home, "first")
    (folder / "backend.tf").write_text('terraform {\n  backend "local" {\n    path = "old"\n  }\n}\n')
    plugins.init(folder)
    mark, product = folder / ".terraform/program", program.check()
    assert mark.read_text() == product
    marks = {"the same": product, "the other": "OpenTofu" if product == "Terraform" else "Terraform"}
    mark.write_text(marks.get(last, last)) if last else mark.unlink()
    plugins.init(folder)
    assert mark.read_text() == product
    mark.write_text(marks.get(last, last)) if last else mark.unlink()
    (folder / "backend.tf").write_text('terraform {\n  backend "local" {\n    path = "new"\n  }\n}\n')
    with pytest.raises(Fault, match="init failed") if noticed else contextlib.nullcontext():
        plugins.init(folder)
