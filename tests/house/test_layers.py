"""The plan of the house: which room may import which, as data, held against the imports."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from fleet.paths import ROOT

# A new arrow between rooms is written down here, or the test fails. "ground" is the files beside the rooms.
ROOMS = {
    "ground": set(),
    "vms": {"ground"},
    "git": {"ground"},
    "forge": {"ground"},
    "tags": {"ground", "git"},
    "proxmox": {"ground", "vms"},
    "access": {"ground", "vms", "proxmox", "config"},
    "addresses": {"ground", "vms", "proxmox"},
    "config": {"ground", "vms"},
    "images": {"ground", "vms", "proxmox"},
    "templates": {"ground", "vms", "proxmox", "images"},
    "lifecycle": {"ground", "vms", "proxmox", "addresses", "images", "templates"},
    "builds": {"ground", "vms", "proxmox", "addresses", "images", "templates", "lifecycle"},
    "preflight": {"ground", "vms", "proxmox", "images"},
    "rules": {"ground", "vms"},
    "adopt": {"ground", "vms", "proxmox", "rules"},
    "terraform": {"ground", "vms", "rules", "git"},
    "plans": {"ground", "vms", "terraform", "proxmox"},
    "ansible": {"ground", "vms", "terraform"},
    "hosts": {"ground", "vms", "ansible", "terraform", "proxmox", "addresses"},
    "snippets": {"ground", "vms", "proxmox", "config", "hosts"},
    "deploy": {
        "ground",
        "vms",
        "proxmox",
        "addresses",
        "config",
        "images",
        "templates",
        "lifecycle",
        "rules",
        "terraform",
        "snippets",
    },
    "vault": {"ground"},
    "clusters": {"ground", "terraform", "vault"},
    "contexts": {"ground", "clusters", "vault"},
    "releases": {"ground", "terraform", "clusters"},
    "workspaces": {"ground", "vms", "git", "forge", "terraform", "clusters", "contexts", "vault", "releases"},
    "workloads": {"ground"},
    "members": {"ground", "ansible", "clusters", "vault"},
    "talos": {"ground", "ansible", "clusters", "contexts", "members", "vault"},
    "playbooks": {"ground", "vms", "rules", "ansible", "vault"},
    "secrets": {"ground", "ansible", "vault", "proxmox"},
}
ROOMS["upgrades"] = {"ground", "git", "forge"}
ROOMS["drift"] = set(ROOMS)
ROOMS["status"] = set(ROOMS)
ROOMS["doctor"] = set(ROOMS)
ROOMS["steps"] = set(ROOMS)
MOST_LINES, MOST_FILES = 150, 13
REASON = re.compile(r"\blines because\b")  # in the docstring of a module that is longer

SCRIPTS = ROOT / "scripts"
FILES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [*SCRIPTS.glob("*.py"), *(SCRIPTS / "fleet").rglob("*.py")]
}
LAB = sorted((ROOT / "lab").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The full names that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


IMPORTS = {name: imported(path) & FILES.keys() - {"fleet"} for name, path in FILES.items()}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (SCRIPTS / "fleet" / parts[1]).is_dir() else "ground"


def is_script(module: str) -> bool:
    return not module.startswith("fleet")


@pytest.mark.parametrize("module", sorted(name for name in FILES if not is_script(name)))
def test_a_room_imports_only_the_rooms_below_it(module):
    allowed = ROOMS[room(module)] | {room(module)}
    assert [name for name in sorted(IMPORTS[module]) if room(name) not in allowed or is_script(name)] == []


@pytest.mark.parametrize("module", sorted(filter(is_script, FILES)))
def test_a_script_imports_no_script(module):
    assert list(filter(is_script, IMPORTS[module])) == []


def test_no_modules_import_each_other():
    TopologicalSorter(IMPORTS).prepare()


def test_scripts_and_lab_do_not_import_each_other():
    names = {str(path): imported(path) for path in [*FILES.values(), *LAB]}
    scripts = {path.split(".")[0] for path in FILES}
    for path, found in names.items():
        foreign = scripts if Path(path) in LAB else {"lab"}
        assert not {name.split(".")[0] for name in found} & foreign, path


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_long_module_says_why(module):
    text = FILES[module].read_text()
    assert len(text.splitlines()) <= MOST_LINES or REASON.search(ast.get_docstring(ast.parse(text)))


def test_no_room_is_overfull():
    for folder in ROOMS.keys() - {"ground"}:
        assert len(list((SCRIPTS / "fleet" / folder).glob("[a-z]*.py"))) <= MOST_FILES, folder
    assert len(list((SCRIPTS / "fleet").glob("[a-z]*.py"))) <= MOST_FILES, "ground"


def test_every_room_is_packaged():
    """The hook of pre-commit installs the package as it is listed, and nothing else."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted({"fleet", *(f"fleet.{folder}" for folder in ROOMS.keys() - {"ground"})})
