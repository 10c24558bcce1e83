"""Ansible's own commands: where they are, and what they make of an inventory."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fleet.ansible.inventory import parse
from fleet.files import read_text, temporary
from fleet.findings import Fault, Finding
from fleet.paths import ROOT, shown

# Ansible does not start in a locale that is not UTF-8.
LOCALE = {"LC_ALL": "C.UTF-8"}


def command(name: str) -> str:
    """The path of one of Ansible's commands: next to this Python, in PATH, or in the checkout's .venv."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), str(ROOT / ".venv" / "bin")]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    raise Fault(f"{name} is not installed; run scripts/setup_venv.sh", code=2)


def host_variables(inventory: Path) -> tuple[dict[str, dict], list[Finding]]:
    """Every host to its variables with those of its groups, or {} and why Ansible refuses the inventory."""
    text = read_text(inventory)
    folders = (inventory.resolve().parent / name for name in ("group_vars", "host_vars"))
    if ":vars" not in text and not any(folder.exists() for folder in folders):
        lines = parse(text)
        if not lines.findings:
            return lines.variables(), []  # they say all, and Ansible takes as long to start as all else here
    answer, found = _list(inventory, shown(inventory), {})
    hosts: dict[str, dict] = {}
    for group in answer.values():
        hosts |= {name: {} for name in group.get("hosts", ())}
    return hosts | answer.get("_meta", {}).get("hostvars", {}), found


def check_inventory(text: str, addresses: Mapping[str, str], path: str = "") -> list[Finding]:
    """Whether Ansible reads an inventory's text, and sees each of these hosts at its address."""
    with temporary("inventory-") as folder:
        file, config = folder / "k8s.ini", folder / "ansible.cfg"
        file.write_text(text, "utf-8", newline="")
        config.touch()  # empty, and no group_vars besides: nothing but the text decides
        environment = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_INVENTORY_ENABLED": "ini"}
        answer, found = _list(file, path, environment)
    if found:
        return found
    variables = answer.get("_meta", {}).get("hostvars", {})
    for name, address in addresses.items():
        if (seen := str(variables.get(name, {}).get("ansible_host", "no address"))) != address:
            found.append(Finding(f"Ansible sees {name} at {seen} instead of {address}", path))
    return found


def _list(file: Path, path: str, environment: Mapping[str, str]) -> tuple[dict, list[Finding]]:
    # Without ANY_UNPARSED_IS_FAILED it says yes to a file of which it understood nothing.
    environment = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_NOCOLOR": "1", **environment}
    done = subprocess.run(
        [command("ansible-inventory"), "-i", str(file), "--list"],
        env=os.environ | LOCALE | environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.replace(str(file), path).split())
        return {}, [Finding(f"ansible-inventory rejects it: {said}", path)]
    return json.loads(done.stdout), []
