"""Files that would put other maps in the place of those in variables.tf, which is where scripts read them."""

import json
from collections.abc import Iterator
from pathlib import Path

from fleet.files import read_text
from fleet.findings import Fault, Finding
from fleet.paths import shown
from fleet.workspaces import hcl, maps
from fleet.workspaces.nodes import line_of

_LOADED = ("terraform.tfvars", "*.auto.tfvars", "terraform.tfvars.json", "*.auto.tfvars.json")


def overriding(clusters: Path) -> Iterator[Finding]:
    """Files that would put other maps in the place of those in variables.tf, which is where scripts read them."""
    loaded = {path for pattern in _LOADED for path in clusters.glob(pattern)}
    code = {
        path for suffix in ("tf", "tofu", "tf.json", "tofu.json") for path in clusters.glob(f"*.{suffix}")
    }
    for path in sorted(loaded | code - {clusters / maps.FILE}):
        try:
            given = _defined(path)
        except (Fault, ValueError) as error:
            line = error.finding.line if isinstance(error, Fault) else 0
            yield Finding("cannot be read, so whether it overrides a map is unknown", shown(path), line)
            continue
        if both := [name for name in maps.NAMES if name in given]:
            message = f"sets {' and '.join(both)}, which {maps.FILE} has; move it there and remove it here"
            yield Finding(message, shown(path), given[both[0]])


def _defined(path: Path) -> dict[str, int]:
    """The variables that a file declares or sets, with their lines."""
    text, values = read_text(path), ".tfvars" in path.name
    if path.suffix == ".json":
        data = json.loads(text)
        given = data if values or not isinstance(data, dict) else data.get("variable", {})
        groups = given if isinstance(given, list) else [given]
        return {name: 0 for group in groups if isinstance(group, dict) for name in group}
    blocks, attributes = hcl.read(text, shown(path))
    if values:
        return {name: line_of(node) for name, node in attributes.items()}
    return {block.labels[0]: block.line for block in blocks if block.kind == "variable" and block.labels}
