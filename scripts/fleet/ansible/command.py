"""Ansible's own commands: where they are, and what they make of an inventory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fleet.ansible.applied import overridden
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
    return variables_of(read_text(inventory), inventory.resolve().parent, shown(inventory))


def check_inventory(text: str, folder: Path, path: str = "", checked: bool = False) -> list[Finding]:
    """Whether Ansible reads an inventory's text, to be put into `folder`, and uses what the managed lines say.

    `checked`: the text was accepted before, and only what is beside it may have changed.
    """
    variables, found = variables_of(text, folder, path, always=not checked)
    return found or list(overridden(parse(text), variables, path).values())


def variables_of(
    text: str, folder: Path, path: str = "", always: bool = False
) -> tuple[dict[str, dict], list[Finding]]:
    """Every host of an inventory's text to the variables that Ansible would use for it in `folder`.

    Those of group_vars and host_vars are among them, beside the inventory and beside its playbooks. Unless
    `always`, Ansible is asked only when the lines do not say all: it takes as long to start as all else here.
    """
    places = [
        parent / name for parent in (folder, folder / "playbooks") for name in ("group_vars", "host_vars")
    ]
    if not always and ":vars" not in text and not any(place.exists() for place in places):
        lines = parse(text)
        if not lines.findings:
            return lines.variables(), []
    with temporary("inventory-") as beside:
        file = beside / "k8s.ini"
        file.write_text(text, encoding="utf-8", newline="")
        for place in places[:2]:
            if place.exists():
                (beside / place.name).symlink_to(place)
        answer, found = _list(file, folder, path)
    hosts: dict[str, dict] = {}
    for group in answer.values():
        hosts |= {name: {} for name in group.get("hosts", ())}
    return hosts | answer.get("_meta", {}).get("hostvars", {}), found


def _list(file: Path, folder: Path, path: str) -> tuple[dict, list[Finding]]:
    config, playbooks = folder / "ansible.cfg", folder / "playbooks"
    if not config.exists():
        config = file.with_name("ansible.cfg")
        config.touch()  # empty: none of this user's, nor of the current directory
    # Without ANY_UNPARSED_IS_FAILED it says yes to a file of which it understood nothing.
    environment = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_INVENTORY_ENABLED": "ini"}
    environment["ANSIBLE_NOCOLOR"] = "1"
    environment["ANSIBLE_CONFIG"] = os.environ.get("ANSIBLE_CONFIG") or str(config)
    listing = [command("ansible-inventory"), "-i", str(file), "--list"]
    listing += ["--playbook-dir", str(playbooks)] if playbooks.exists() else []
    done = subprocess.run(
        listing,
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
