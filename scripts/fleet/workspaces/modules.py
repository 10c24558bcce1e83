"""The module of each workload: its folder, and the charts that it is given."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from fleet.findings import Fault
from fleet.workspaces import hcl
from fleet.workspaces.literals import literal
from fleet.workspaces.nodes import text_of

_SOURCE = re.compile(r"\./modules/([^/]+)")
_CHART = re.compile(r"\b(?:var|local)\.charts\b\s*(?:\.\s*(\w+)|\[\s*\"([^\"]+)\"\s*\])?")


class Module(NamedTuple):
    folder: str
    charts: set[str] | None  # keys of the variable; None: it is given something else of it


def modules(sources: Mapping[str, str]) -> dict[str, Module]:
    """The modules that the files of the root module call, by folder. Raises Fault for a file that is not HCL."""
    found: dict[str, Module] = {}
    for file, text in sources.items():
        for block in hcl.read(text, file)[0]:
            if block.kind != "module" or "source" not in block.attributes:
                continue
            try:
                source = literal(block.attributes["source"], file).value
            except Fault:  # which Terraform refuses too
                continue
            if match := _SOURCE.fullmatch(str(source)):
                charts = _charts(text_of(block.node))
                other = found.get(match[1])
                if other:
                    charts = None if charts is None or other.charts is None else charts | other.charts
                found[match[1]] = Module(match[1], charts)
    return found


def _charts(text: str) -> set[str] | None:
    named = [match[1] or match[2] for match in _CHART.finditer(text)]
    return None if None in named else set(named)
