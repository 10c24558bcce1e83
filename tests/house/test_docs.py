"""What README.md tells is so: help texts, privileges, policy, targets, files."""

import importlib.util
import re

import pytest

from fleet.paths import ROOT
from lab import vault
from lab.proxmox import access

README = (ROOT / "README.md").read_text()


def test_the_help_of_the_scripts_is_up_to_date():
    spec = importlib.util.spec_from_file_location("readme_help", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.render() == README, "run docs/generate.py"


def test_the_role_in_proxmox_is_the_one_that_the_lab_grants():
    text = re.search(r'pveum role add GitOps -privs "(.*?)"', README, re.S)[1]
    assert sorted(re.findall(r"[\w.]+", text)) == sorted(access.GITOPS)


def test_the_policy_in_vault_is_the_one_that_the_lab_grants():
    def lines(text):
        return re.sub(r"[ \t]+", " ", text).split("\n")

    policy = re.search(r"```hcl\n(path .*?)```", README, re.S)[1]
    assert [line for line in lines(policy) if line] == [line for line in lines(vault.POLICY) if line]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)", README))))
def test_a_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"[`\s]((?:proxmox|scripts|schemas|docs)/[\w./-]+\w)", README)))
)
def test_a_file_is_there_or_is_the_users_to_make(path):
    users = {"proxmox/authorized_keys", "proxmox/backend_override.tf", "proxmox/.terraform.lock.hcl"}
    users |= {"proxmox/vms/k8s-dev.yaml", "proxmox/playbooks/myapp.yml", "proxmox/k8s.ini.bak"}
    users |= {"proxmox/vms.auto.tfvars.json"}
    assert path in users or (ROOT / path).exists()


@pytest.mark.parametrize("secret", sorted(set(re.findall(r"secrets\.(\w+)", "".join(
    file.read_text() for file in (ROOT / ".github/workflows").glob("*.yml")
)))))  # fmt: skip
def test_a_secret_that_a_workflow_uses_is_told(secret):
    assert f"`{secret}`" in README or secret == "GITHUB_TOKEN"


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"vars\.(\w+)", "".join(
    file.read_text() for file in (ROOT / ".github/workflows").glob("*.yml")
)))))  # fmt: skip
def test_a_variable_that_a_workflow_uses_is_told(variable):
    assert f"| `{variable}` |" in README


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_every_option_is_explained(script):
    """In the README's form of its help: an option stands alone only when its text begins on the next line."""
    section = README.partition(f"<summary><code>{script.name}</code>")[2].partition("</details>")[0]
    lines = section.partition("\noptions:\n")[2].splitlines()
    assert lines
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"  -", line) and not re.search(r"\S  +\S", line[2:]):
            assert following.startswith(" " * 20), line
