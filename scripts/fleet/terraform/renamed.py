"""Machines whose files say `formerly`: Terraform's state gets their new names, and nothing is made anew.

That is done by blocks `moved`, which take no `for_each`, so that they are generated, into a file beside the input.
"""

import contextlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet import paths
from fleet.files import write_atomic
from fleet.findings import Fault, Finding
from fleet.git import deleted
from fleet.names import cluster_of, not_renamed
from fleet.terraform.state import HA, TYPE, Resource
from fleet.vms import files
from fleet.vms.machine import mark

FILE = "renamed.tf.json"  # in the folder of Terraform's configuration, while a machine is renamed
MODULE = "module.vm"
NAME = re.compile(r"[a-z0-9-]+")  # one that may be part of a path


class Renames(NamedTuple):
    """What the files say against what the state has. `moves`: a machine's name to that in the state."""

    have: dict[str, Resource]  # the state's machines under the names that they get
    moves: dict[str, str]
    findings: list[Finding]


def read(vms_dir: Path, have: Mapping[str, Resource], approved: Collection[str] = ()) -> Renames:
    """The machines to rename. What the rules refuse is none here: nothing is applied then."""
    moves: dict[str, str] = {}
    findings = []
    for name, vm in files.renamed(vms_dir).items():
        if name in have:
            continue
        old = _in_state(vms_dir, vm.formerly, have)
        if not old:
            text = f"Terraform's state has no {vm.formerly}, so that {name} is a new machine"
            findings.append(vm.finding("formerly", text, "notice"))
        elif (
            not (vms_dir / f"{old}.yaml").exists()
            and old not in moves.values()
            and not not_renamed(old, name)
        ):
            moves[name] = old
            text = (
                f"{old} becomes {name} and stays the machine that it is; at its next start cloud-init gives it the new"
                " host name and new SSH host keys"
            )
            findings.append(vm.finding("formerly", text, "notice"))
            node = f"--node-name={old}"
            if cluster_of(name) and node not in str(vm.playbook_vars.get("k3s_extra_args")):
                text = (
                    f"when {name} starts again, its cluster gets a second Node, called {name}, and does not find the"
                    f" volumes of {old}; before that, give it `playbook_vars: {{k3s_extra_args: [{node}]}}` and run its"
                    f" playbook: [ansible {name}]"
                )
                findings.append(vm.finding("formerly", text, "warning"))
            if old in approved:
                text = f"[destroy {old}] has no effect: the machine goes on as {name}"
                findings.append(vm.finding("formerly", text, "warning"))
    olds = {old: name for name, old in moves.items()}
    kept = {olds.get(name, name): _renamed(one, name, olds.get(name)) for name, one in have.items()}
    return Renames(kept, moves, findings)


def blocks(moves: Mapping[str, str]) -> dict[str, Any]:
    """The content of FILE."""
    pairs = [(old, name) for name, old in sorted(moves.items())]
    return {
        "moved": [
            {"from": f'{MODULE}.{kind}.this["{old}"]', "to": f'{MODULE}.{kind}.this["{name}"]'}
            for kind in (TYPE, HA)
            for old, name in pairs
        ]
    }


def write(target: Path, values: Mapping[str, Any], moves: Mapping[str, str]) -> bool:
    """Write Terraform's input, and the blocks beside it; whether the input changed."""
    file = target.with_name(FILE)
    if moves:
        write_atomic(file, json.dumps(blocks(moves), indent=2) + "\n")
    else:
        file.unlink(missing_ok=True)
    return write_atomic(target, json.dumps(values, indent=2) + "\n")


def _in_state(vms_dir: Path, name: str, have: Mapping[str, Resource]) -> str:
    """The name that the state has of a machine that was called `name`; "" where it has none.

    A machine that was renamed twice before an apply is found by what its earlier file said.
    """
    seen: set[str] = set()
    while NAME.fullmatch(name) and name not in have and name not in seen:
        seen.add(name)
        path, version = vms_dir / f"{name}.yaml", None
        with contextlib.suppress(Fault):  # a folder without a history
            version = None if path.exists() else next(deleted.versions(path), None)
        vm = files.load_bytes(paths.shown(path), version.content)[0] if version else None
        name = vm.formerly if vm else ""
    return name if name in have else ""


def _renamed(one: Resource, old: str, name: str | None) -> Resource:
    """With our mark under the new name, by which the machine is told from one that somebody else made."""
    told = one.attributes.get("description")
    if name is None or not isinstance(told, str):
        return one
    lines = [mark(name) if line == mark(old) else line for line in told.splitlines()]
    return one._replace(attributes={**one.attributes, "description": "\n".join(lines)})
