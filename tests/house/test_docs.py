"""What README.md and docs/ say is so: commands, options, paths, links, names, privileges, generated pages."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from fleet.paths import ROOT
from fleet.vault import policy
from lab import vault
from lab.proxmox import access

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in
         [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}  # fmt: skip
GENERATED = ("docs/scripts.md", "docs/vm-file.md", "docs/benchmarks.md")
WRITTEN = {name: text for name, text in PAGES.items() if name not in GENERATED}
INSTALL = PAGES["docs/install.md"]
WORKFLOWS = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
DEMOS = {
    demo: ["create", *steps.split("|")]
    for demo, steps in re.findall(r"^(demo[a-z-]*): .*STEP=([\w|]+)", MAKEFILE, re.M)
}
# What a user makes, or a run.
USERS = {
    "proxmox/images.lock.yml", "proxmox/authorized_keys", "proxmox/backend_override.tf",
    "proxmox/.terraform.lock.hcl", "proxmox/vms/NAME.yaml", "proxmox/vms/k8s-dev.yaml",
    "proxmox/playbooks/myapp.yml", "scripts/NAME.py", ".github/CODEOWNERS", "proxmox/inventory-vms.ini",
    "proxmox/inventory-vms.known_hosts", "proxmox/playbooks/roles/myapp", "proxmox/vms/myapp.yaml.example",
    "proxmox/vms/app-1.yaml", "tests/custom/test_myapp.py", "proxmox/group_vars/", "proxmox/host_vars/NAME.yml",
    "clusters/modules/myapp", "clusters/.terraform.lock.hcl",
    "proxmox/vars/vm_config.yml", "proxmox/inventory.ini", "proxmox/playbooks/look.yml",
}  # fmt: skip


def found(pattern, pages=WRITTEN):
    """Each match with its page, as parameters of a test."""
    return [
        pytest.param(page, match, id=f"{page}-{match if isinstance(match, str) else '-'.join(match)}")
        for page, text in pages.items()
        for match in dict.fromkeys(re.findall(pattern, text, re.M))
    ]


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text):
    """The anchors that GitHub gives to a page's headings."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_generated_pages_are_up_to_date():
    assert not generator().stale(), "run docs/generate.py"


def test_a_stale_page_is_found(monkeypatch, capsys):
    module = generator()
    monkeypatch.setattr(module, "PAGES", {"docs/use.md": lambda: "another text"})
    assert module.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/use.md is stale; run docs/generate.py\n"


def test_every_field_of_the_schema_says_when_a_change_takes_effect():
    module = generator()
    schema = json.loads((ROOT / "schemas" / "vm.schema.json").read_text())
    fields = {path: part for path, _, part in module.walk(schema, schema)}
    assert {
        part.get("x-takes-effect") for part in fields.values() if not part.keys() & {"properties", "then"}
    } == set(module.EFFECTS), "none is missing, none is unknown, none is unused"
    assert [path for path in fields if f"\n## {path}\n" not in PAGES["docs/vm-file.md"]] == []


def test_the_readme_is_short():
    assert len(PAGES["README.md"].encode()) <= 8000


@pytest.mark.parametrize("page", [*WRITTEN, "docs/vm-file.md"])
def test_the_english_is_plain(page):
    assert re.findall(r"(?<!ere )\bis no\b|\banew\b|\btold\b|\bstands twice\b", PAGES[page]) == []


@pytest.mark.parametrize(("page", "target"), found(r"\]\((?!https?:)([^)\s]+)\)", PAGES))
def test_a_link_leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    assert file.is_file()
    assert not anchor or anchor in anchors(file.read_text())


@pytest.mark.parametrize("page", [name for name in PAGES if name != "README.md"])
def test_the_readme_leads_to_every_page(page):
    assert f"]({page})" in PAGES["README.md"]


@pytest.mark.parametrize(("page", "target"), found(r"(?:`|^)make ([a-z-]+)"))
def test_a_target_exists(page, target):
    assert re.search(rf"^{target}:", MAKEFILE, re.M)


@pytest.mark.parametrize(("page", "call"), found(r"make (demo[a-z-]* STEP=\w+)"))
def test_a_step_of_a_demo_exists(page, call):
    demo, _, step = call.partition(" STEP=")
    assert step in DEMOS[demo]


@pytest.mark.parametrize("demo", DEMOS)
def test_every_step_of_a_demo_is_described(demo):
    rows = PAGES["docs/lab.md"].partition(f"`make {demo}`")[2]
    assert [step for step in DEMOS[demo] if f"| `{step}` |" not in rows] == []


@pytest.mark.parametrize(("page", "path"), found(
    r"(?<![\w./])((?:proxmox|clusters|scripts|schemas|docs|tests|lab|bench|\.github)/[\w./-]*[\w/])"
))  # fmt: skip
def test_a_path_exists_or_is_the_users_to_make(page, path):
    assert path in USERS or (ROOT / path).exists() or (ROOT / "proxmox" / path).exists()


@pytest.mark.parametrize(("page", "name"), found(r"`([a-z]\w*\.(?:py|yml))`"))
def test_a_script_playbook_or_workflow_exists(page, name):
    users = {"myapp.yml"}
    folders = ("scripts", "proxmox/playbooks", ".github/workflows")
    assert name in users or any((ROOT / folder / name).is_file() for folder in folders)


@pytest.mark.parametrize(
    ("page", "call"), found(r"((?:scripts|docs)/\w+\.py(?:(?: +\\?\n? *)[^`|\s]+)* --[a-z][^`|\n]*)")
)
def test_a_script_knows_its_options(page, call):
    script, *words = call.split()
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, check=True
    )
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", done.stdout), option


@pytest.mark.parametrize(("page", "module"), found(r"python -m ([\w.]+)"))
def test_a_module_runs(page, module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_the_role_in_proxmox_is_the_one_that_the_lab_grants():
    text = re.search(r'pveum role add GitOps -privs "(.*?)"', INSTALL, re.S)[1]
    assert sorted(re.findall(r"[\w.]+", text)) == sorted(access.GITOPS)


def test_the_policies_in_vault_are_those_that_the_lab_grants():
    def lines(text):
        return re.sub(r"[ \t]+", " ", text).split("\n")

    for found, granted in zip(
        re.findall(r"```hcl\n(path .*?)```", INSTALL, re.S), (vault.POLICY, vault.WORKLOADS), strict=True
    ):
        assert [line for line in lines(found) if line] == [line for line in lines(granted) if line]
    assert vault.WORKLOADS.strip() == policy.TEXT.strip()


def test_the_secrets_are_those_that_the_workflows_use():
    table = re.search(r"\| secret \|.*?\n\n", INSTALL, re.S)[0]
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", table))
    assert named == set(re.findall(r"\bsecrets\.(\w+)", WORKFLOWS)) - {"GITHUB_TOKEN"}


def test_the_variables_are_those_that_the_workflows_use():
    table = re.search(r"\| variable \| default .*?\n\n", INSTALL, re.S)[0]
    named = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", table, re.M))
    assert named == set(re.findall(r"vars\.(\w+)", WORKFLOWS))


def test_the_settings_of_the_runner_are_read_by_something():
    table = re.search(r"\| variable \| when .*?\n\n", INSTALL, re.S)[0]
    code = "".join(
        path.read_text() for path in (ROOT / "scripts").rglob("*") if path.suffix in (".py", ".sh")
    )
    for name in re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", table, re.M):
        assert name in code or name == "TF_PLUGIN_CACHE_DIR"  # Terraform's own


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_every_option_is_explained(script):
    """In the page's form of its help: an option stands alone only when its text begins on the next line."""
    section = PAGES["docs/scripts.md"].partition(f"\n## {script.name}\n")[2].partition("\n## ")[0]
    lines = section.partition("\noptions:\n")[2].partition("\n\n")[0].partition("```")[0].splitlines()
    assert lines
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"  -", line) and not re.search(r"\S  +\S", line[2:]):
            assert following.startswith(" " * 20), line
