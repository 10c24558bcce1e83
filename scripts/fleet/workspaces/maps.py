"""The maps of clusters/variables.tf: which workspace runs what, on which cluster, from which charts."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fleet.findings import Fault, Finding, cut, printable
from fleet.workspaces import hcl, shapes
from fleet.workspaces.literals import Place, literal

NAMES = ("workload", "config", "charts")
FOLDER, FILE = "clusters", "variables.tf"
SPELLINGS = {"external_dns": "externaldns"}  # as in clusters/locals.tf


class Variable(NamedTuple):
    """One of the three: its type, its default, the lines of the default's parts, its block."""

    type: shapes.Type
    value: dict[str, Any]
    lines: dict[Place, int]
    block: hcl.Block


class Workspace(NamedTuple):
    """`workloads` are the folders in modules/, each once; `config` is the entry as written, without defaults."""

    name: str
    workloads: tuple[str, ...]
    context: str
    config: dict[str, Any]
    line: int  # of its entry in `workload`


class Maps(NamedTuple):
    workspaces: dict[str, Workspace]
    charts: dict[str, dict[str, str]]


def normalised(workload: str) -> str:
    """The folder in modules/ that a workload's name means: `External-DNS` is externaldns."""
    name = workload.lower().replace("-", "_")
    return SPELLINGS.get(name, name)


def read(text: str, file: str) -> Maps:
    """The maps in the text of variables.tf. Raises Fault, with file and line, for the first thing that is wrong."""
    found = variables(text, file)
    for finding in problems(found, file):
        raise Fault(finding.message, file, finding.line)
    workload, config = found["workload"], found["config"]
    workspaces = {}
    for name, asked in workload.value.items():
        entry = config.value[name]
        workloads = tuple(dict.fromkeys(map(normalised, asked)))
        line = workload.lines[(name,)]
        workspaces[name] = Workspace(name, workloads, entry["kubernetes_context"], entry, line)
    return Maps(workspaces, found["charts"].value)


def variables(text: str, file: str) -> dict[str, Variable]:
    """The three variables. Raises Fault for a text that is not HCL, and where one lacks a type or literal default."""
    blocks, _ = hcl.read(text, file)
    found: dict[str, Variable] = {}
    for block in blocks:
        if block.kind != "variable" or not set(block.labels) & set(NAMES):
            continue
        name = block.labels[0]
        if name in found:
            raise Fault(f"a second variable {name}, also in line {found[name].block.line}", file, block.line)
        missing = [part for part in ("type", "default") if part not in block.attributes]
        if missing:
            raise Fault(f"variable {name} has no {missing[0]}", file, block.line)
        default = literal(block.attributes["default"], file)
        if not isinstance(default.value, dict):
            raise Fault(f"the default of {name} is not a map in braces", file, default.lines[()])
        kind = shapes.read(block.attributes["type"], file)
        found[name] = Variable(kind, default.value, default.lines, block)
    for name in NAMES:
        if name not in found:
            raise Fault(f"has no variable {name}", file)
    return found


def problems(found: dict[str, Variable], file: str) -> Iterator[Finding]:
    """Values of a wrong type, and workspaces that are in one map only."""
    for name, variable in found.items():
        for path, message in shapes.differences(variable.type, variable.value):
            yield at(variable, file, path, message, name)
    workload, config = found["workload"], found["config"]
    for one, other, name in ((workload, "config", "workload"), (config, "workload", "config")):
        for workspace in one.value:
            if workspace not in found[other].value:
                message = f"is in {name} alone; add it to {other}, or remove it here"
                yield at(one, file, (workspace,), message, name)


def at(variable: Variable, file: str, path: Place, message: str, name: str) -> Finding:
    """A finding at a part of a default; the message begins with the part, as `config.observability.dns`."""
    field = ".".join(map(str, (name, *path)))
    place = path
    while place not in variable.lines:
        place = place[:-1]
    return Finding(printable(f"{cut(field)}: {message}"), file, variable.lines[place], 0, "error", field)
