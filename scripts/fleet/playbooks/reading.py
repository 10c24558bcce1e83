"""Playbooks and task files as YAML's nodes: every value has its place, and nothing in them is run or templated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fleet.files import read_text
from fleet.findings import Fault, Finding, cut, printable
from fleet.paths import shown

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "tag:yaml.org,2002:merge"


class Document(NamedTuple):
    """One file: its text, and the mappings of its list, which are plays or tasks."""

    path: str  # as a person would type it
    text: str
    items: list[yaml.MappingNode]

    def finding(self, node: yaml.Node, message: str, level: str = "error") -> Finding:
        mark = node.start_mark
        return Finding(printable(message), self.path, mark.line + 1, mark.column + 1, level)


def read(file: Path) -> tuple[Document | None, list[Finding]]:
    """A file that is a list of plays or tasks; None, and why, for any other."""
    path = shown(file)
    try:
        text = read_text(file)
        root = yaml.compose(text, Loader)
    except Fault as fault:  # of one file, which must not keep those of others from being played
        return None, [fault.finding]
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError) as error:
        mark = getattr(error, "problem_mark", None)
        line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = getattr(error, "problem", "") or getattr(error, "reason", "") or "it has no end"
        return None, [Finding(printable(f"is not valid YAML: {problem}"), path, line, col)]
    except RecursionError:
        return None, [Finding("is nested too deeply", path)]
    if root is None:
        return Document(path, text, []), []
    items = root.value if isinstance(root, yaml.SequenceNode) else [root]
    document = Document(path, text, items)
    for item in items:
        if not isinstance(root, yaml.SequenceNode) or not isinstance(item, yaml.MappingNode):
            return None, [document.finding(item, "is not a list of plays or tasks, as Ansible reads")]
    return document, []


def pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values of a mapping, with repeated ones, of which Ansible takes the last."""
    yield from node.value if isinstance(node, yaml.MappingNode) else ()


def values(node: yaml.Node, *names: str) -> list[yaml.Node]:
    """What a mapping says under any of these names."""
    return [value for key, value in pairs(node) if key.value in names]


def text_of(node: yaml.Node) -> str | None:
    """A single value's text; None for a list or a mapping."""
    return node.value if isinstance(node, yaml.ScalarNode) else None


def entries(node: yaml.Node) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def quoted(value: Any) -> str:
    return repr(cut(str(value)))
