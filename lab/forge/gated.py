"""Copies of workflow files in which jobs wait for their concurrency group, since act ignores `concurrency`.

A job that has a group, and each job of a called workflow that has one, gets a first step that asks the forge
for it and waits. Nothing else changes. The copies are in .git/forge of the run's clone: there they cannot
be committed, and act reads a called workflow from the place that the caller names.
"""

import re
import shlex
import sys
from pathlib import Path

import yaml

from lab.forge import triggers

GATE = Path(__file__).with_name("gate.py")
COPIES = ".git/forge"
# What only act knows: it fills it in before the step runs.
OF_ACT = re.compile(r"\$\{\{ matrix\.\w+ \}\}")


def prepare(clone: Path, file: str, context: dict) -> str:
    """Write the copy of one workflow file and of those that it calls; returns the copy's path."""
    _copy(clone, f".github/workflows/{file}", context, top=True)
    return f"{COPIES}/{file}"


def group_of(concurrency: str | dict | None, context: dict) -> tuple[str, bool] | None:
    """The group's name and whether it cancels what runs; `context` gives the `${{ github.… }}` values.

    `${{ matrix.… }}` stays as it is: of a job's group, act makes one for each of the job's copies.
    """
    if concurrency is None:
        return None
    given = {"group": concurrency} if isinstance(concurrency, str) else concurrency
    name = str(given["group"])
    for key, value in context.items():
        name = name.replace("${{ " + key + " }}", str(value))
    if "${{" in OF_ACT.sub("", name):
        raise ValueError(f"concurrency group {name}: the lab's forge does not know this expression")
    return name, str(given.get("cancel-in-progress", False)).lower() == "true"


def _copy(clone: Path, path: str, context: dict, top: bool) -> None:
    text = (clone / path).read_text()
    workflow = triggers.load(text)
    tree = yaml.compose(text)
    # A run's own group is the forge's to keep; a called workflow's is taken when its jobs start.
    whole = None if top else group_of(workflow.get("concurrency"), context)
    for key, job in _get(tree, "jobs").value:
        data = workflow["jobs"][key.value]
        if "uses" in data:
            called = str(data["uses"])
            _copy(clone, called.removeprefix("./"), context, top=False)
            _get(job, "uses").value = f"./{COPIES}/{Path(called).name}"
            continue
        for group in (whole, group_of(data.get("concurrency"), context)):
            if group:
                _get(job, "steps").value.insert(0, _gate_step(key.value, *group))
    target = clone / COPIES / Path(path).name
    target.parent.mkdir(exist_ok=True)
    target.write_text(yaml.serialize(tree, allow_unicode=True, width=4096))


def _gate_step(job: str, group: str, cancel: bool) -> yaml.MappingNode:
    command = [sys.executable, str(GATE), job, *(["--cancel-in-progress"] if cancel else [])]
    step = {"name": f"Concurrency group {group}", "run": shlex.join(command)}
    step["env"] = {"LAB_GROUP": group, "LAB_MATRIX": "${{ toJSON(matrix) }}"}
    return yaml.compose(yaml.safe_dump(step, width=4096))


def _get(node: yaml.MappingNode, name: str) -> yaml.Node:
    return next(value for key, value in node.value if key.value == name)
