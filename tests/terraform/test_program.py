"""Which program is Terraform: programs here do nothing but say a version, as the two say theirs."""

import re
from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.paths import PROXMOX_DIR, ROOT
from fleet.terraform import command, outputs, plugins, program


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install programs into folders; the first two are on PATH, and nothing else is."""
    monkeypatch.delenv(program.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second")

    def install(*places: str, says: str = "Terraform v1.11.4", status: int = 0) -> None:
        for place in places:
            path = tmp_path / place
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{says}\nEND\nexit {status}\n")
            path.chmod(0o755)

    return install


@pytest.mark.parametrize(
    ("places", "given", "chosen"),
    [
        (["first/terraform"], None, "first/terraform"),
        (["first/tofu"], None, "first/tofu"),
        (["first/tofu", "second/terraform"], None, "second/terraform"),
        (["first/tofu", "second/terraform"], "tofu", "first/tofu"),
        (["first/tofu", "second/terraform"], " tofu\n", "first/tofu"),
        (["first/tofu", "second/terraform"], "", "second/terraform"),
        (["first/terraform", "second/tofu-1.11"], "tofu-1.11", "second/tofu-1.11"),
        (["first/terraform", "elsewhere/tofu"], "{}/elsewhere/tofu", "elsewhere/tofu"),
    ],
)
def test_the_choice(installed, monkeypatch, tmp_path, places, given, chosen):
    installed(*places)
    if given is not None:
        monkeypatch.setenv(program.VARIABLE, given.format(tmp_path))
    assert program.path() == str(tmp_path / chosen)
    assert program.name() == Path(chosen).name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            None,
            "neither terraform nor tofu is on PATH; install Terraform or OpenTofu, 1.9 or newer, or name the",
        ),
        ("opentofu", "TERRAFORM is opentofu, which is not a program on PATH; install"),
        ("/nowhere/tofu", "TERRAFORM is /nowhere/tofu, which is not a program on PATH"),
        ("terraform; true", "TERRAFORM is terraform; true, which is not a program on PATH"),
    ],
)
def test_no_program(installed, monkeypatch, tmp_path, given, message):
    if given is not None:
        installed("first/terraform")  # what was asked for is never replaced in silence
        monkeypatch.setenv(program.VARIABLE, given)
    for call in (program.path, program.check, lambda: command.run(tmp_path, "version")):
        with pytest.raises(Fault, match=re.escape(message)) as raised:
            call()
        assert raised.value.code == 2
    with pytest.raises(Fault, match="or give a saved output with --outputs"):
        outputs.load(None, tmp_path)
    assert program.name() == "terraform"


@pytest.mark.parametrize(
    "says",
    [
        "Terraform v1.9.0\non linux_amd64",
        "Terraform v1.14.2\non linux_amd64\n\nYour version of Terraform is out of date!",
        "OpenTofu v1.9.0\non linux_amd64",
        "OpenTofu v1.12.0-beta1\non linux_amd64",
        "There are some problems with the CLI configuration:\n\nTerraform v1.11.4\non linux_amd64",
    ],
)
def test_a_version_that_can_do_the_work(installed, says):
    installed("first/terraform", says=says)
    assert f"{program.check()} v" in says


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (
            "Terraform v1.8.5\non linux_amd64",
            "is Terraform 1.8.5; this project needs 1.9 or newer, and not 2.0",
        ),
        ("Terraform v0.12.31", "is Terraform 0.12.31; this project needs"),
        ("OpenTofu v1.8.11\non linux_amd64", "is OpenTofu 1.8.11; this project needs 1.9 or newer"),
        ("OpenTofu v2.0.0", "is OpenTofu 2.0.0; this project needs"),
        (
            "tofu: a bean curd",
            "is neither Terraform nor OpenTofu: `version` printed tofu: a bean curd; install",
        ),
        ("", "is neither Terraform nor OpenTofu: `version` printed nothing"),
    ],
)
def test_a_version_that_cannot(installed, tmp_path, says, message):
    installed("first/terraform", says=says)
    with pytest.raises(Fault, match=re.escape(f"{tmp_path}/first/terraform {message}")) as raised:
        plugins.init(tmp_path)
    assert raised.value.code == 2


def test_a_program_that_does_not_start(installed, tmp_path):
    installed("first/terraform")
    (tmp_path / "first/terraform").write_bytes(b"\x7fELF\0")
    with pytest.raises(Fault, match="cannot be run: Exec format error; install Terraform or OpenTofu"):
        program.check()


@pytest.mark.parametrize("name", program.NAMES)
def test_messages_name_the_program_that_ran(installed, tmp_path, name):
    installed(f"first/{name}", status=1)
    with pytest.raises(Fault, match=f"^{name} plan failed \\(exit 1\\)"):
        command.checked(tmp_path, "plan", capture=True)
    with pytest.raises(Fault, match=f"^{name} output: "):
        outputs.load(None, tmp_path)


def test_the_versions_are_those_of_the_configuration():
    wanted = f">= {'.'.join(map(str, program.OLDEST))}.0, < {'.'.join(map(str, program.BEFORE))}.0"
    for file in ("versions.tf", "modules/vm/versions.tf"):
        assert f'required_version = "{wanted}"' in (PROXMOX_DIR / file).read_text()
    assert f"{'.'.join(map(str, program.OLDEST))} or newer" in program.INSTALL


def test_no_other_module_names_the_programs():
    named = re.compile(r"""(\(|(?<!\w)\[)\s*["'](terraform|tofu)["']""")
    files = [path for folder in ("scripts", "lab", "bench") for path in (ROOT / folder).rglob("*.py")]
    own = {Path(program.__file__), ROOT / "lab/terraform.py"}
    assert {path for path in files if named.search(path.read_text())} == own
