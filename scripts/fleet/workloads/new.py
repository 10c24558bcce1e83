"""A new workload of one's own: its module with a chart beside it, and its place in modules.tf."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from fleet.files import read_text, write_text
from fleet.findings import Fault
from fleet.paths import shown
from fleet.workloads import skeleton

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_RELEASES = re.compile(r"(?m)^  releases = \{\n((?:    \w+ *= .*\n)+)  \}\n")


class Made(NamedTuple):
    name: str  # as in the map `workload`
    written: list[Path]
    same: list[Path]  # as they would be written


def make(given: str, clusters: Path, dry: bool = False) -> Made:
    """The files of a new workload below clusters/; with `dry`, what would be written. Raises Fault.

    A run that was cut off is finished by the next: a file that is as it would be written counts as there.
    """
    name = _checked(given)
    module, root = clusters / "modules" / name, clusters / "modules.tf"
    wanted = {module / path: text for path, text in skeleton.files(name).items()}
    wanted[root] = with_module(read_text(root), name, shown(root))
    same = [path for path, text in wanted.items() if _is(path, text)]
    left = [path for path in wanted if path not in same]
    own = wanted.keys() - {root}
    taken = [path for path in left if path in own and os.path.lexists(path)]
    taken += [path for path in sorted(module.rglob("*")) if not path.is_dir() and path not in own and left]
    if taken:
        there = ", ".join(map(shown, taken))
        raise Fault(
            f"{there} exists and is kept, and nothing was written; choose another name, or move it away"
        )
    for path in left if not dry else ():  # modules.tf last: it names what is there by then
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, wanted[path])
    return Made(name, left, same)


def with_module(text: str, name: str, file: str = "modules.tf") -> str:
    """The text of modules.tf with a module of this name, and its line in `releases`. Raises Fault."""
    found = _RELEASES.search(text)
    if not found:
        raise Fault(
            f'there is no map `releases` with one line for each module; add `module "{name}"` by hand', file
        )
    lines = dict(re.match(r"    (\w+) *= (.*)", line).groups() for line in found[1].splitlines())
    lines.setdefault(name, f"module.{name}[*].releases")
    width = max(map(len, lines))
    block = "".join(f"    {key:{width}} = {lines[key]}\n" for key in sorted(lines))
    text = text[: found.start(1)] + block + text[found.end(1) :]
    return text if f'\nmodule "{name}" {{\n' in text else text + skeleton.module(name)


def _checked(given: str) -> str:
    name = given.replace("-", "_")
    if not _NAME.fullmatch(given) or len(given) > 40:
        problem = "use lower-case letters, digits and single - or _, beginning with a letter, at most 40"
    elif name == "external_dns":
        problem = "this is another spelling of externaldns, which exists; choose another name"
    else:
        return name
    raise Fault(f"{given!r}: {problem}", code=2)


def _is(path: Path, text: str) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes() == text.encode()
    except OSError:
        return False
