"""Ansible's own commands: where they are, and what they make of an inventory."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fleet.findings import Fault, Finding
from fleet.paths import ROOT


def command(name: str) -> str:
    """The path of one of Ansible's commands: next to this Python, in PATH, or in the checkout's .venv."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), str(ROOT / ".venv" / "bin")]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    raise Fault(f"{name} is not installed; `pip install .` in the checkout brings it", code=2)


def read_inventory(text: str, path: str = "") -> tuple[dict, list[Finding]]:
    """What `ansible-inventory --list` says of an inventory's text, or {} and why Ansible refuses it."""
    with tempfile.TemporaryDirectory(prefix="inventory-") as folder:
        file = Path(folder) / "k8s.ini"  # alone in a folder: no group_vars besides
        file.write_text(text, newline="")
        config = Path(folder) / "ansible.cfg"  # empty: what Ansible itself makes of the file
        config.touch()
        # Without ANY_UNPARSED_IS_FAILED it says yes to a file of which it understood nothing.
        env = os.environ | {
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
            "ANSIBLE_INVENTORY_ENABLED": "ini",
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_NOCOLOR": "1",
        }
        done = subprocess.run(
            [command("ansible-inventory"), "-i", str(file), "--list"],
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.replace(str(file), path or "inventory").strip()
    if done.returncode:
        return {}, [Finding(f"ansible-inventory refuses it: {said}", path)]
    return json.loads(done.stdout), []


def check_inventory(text: str, addresses: Mapping[str, str], path: str = "") -> list[Finding]:
    """Whether Ansible reads the inventory, and sees each of these hosts at its address."""
    answer, found = read_inventory(text, path)
    variables = answer.get("_meta", {}).get("hostvars", {})
    for name, address in addresses.items():
        seen = str(variables.get(name, {}).get("ansible_host", "")) if not found else address
        if seen != address:
            found.append(Finding(f"Ansible sees {name} at {seen or 'no address'} and not at {address}", path))
    return found
