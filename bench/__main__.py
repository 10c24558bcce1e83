"""Measure, print one table and write it to docs/benchmarks.md; with --only or fewer runs it is only printed.

Exit codes: 0 measured, whether goals are met or not; 1 something could not be run, 2 wrong usage.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

from bench import ROOT, validate
from lab import builds, terraform

GROUPS = ("validate", "inventory", "addresses", "deploy", "kubeconfig", "tags", "workspaces", "chain")
HEAD = ("this project / beside it", "size", "seconds", "beside it", "ratio", "goal", "growth")
RUNS = 5


def table(rows: list) -> str:
    lines = [HEAD, ["---"] * 2 + ["---:"] * 5, *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def versions() -> str:
    beside = Path(sys.executable).parent
    commands = [
        [*validate.peer(), "--version"],
        [str(beside / "ansible"), "--version"],
        [str(builds.entry("kubernetes") / "kubectl"), "version", "--client"],
        ["git", "--version"],
        [terraform.program(), "--version"],
    ]
    told = [subprocess.run(command, capture_output=True, text=True).stdout for command in commands]
    names = {"python -m check_jsonschema, version": "check-jsonschema", "Client Version:": "kubectl"}
    for said, name in names.items():
        told = [text.replace(said, name) for text in told]
    lines = [f"Python {platform.python_version()}", *(text.split("\n")[0].strip() for text in told)]
    vault = builds.version(builds.find("vault"))
    return ", ".join([*lines, f"Vault {vault}"])


def page(text: str, notes: list[str]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return "\n".join(
        [
            "# Benchmarks\n",
            "Written by `make bench`. Seconds are medians of whole processes, both sides in turns on one",
            "machine; what counts is the ratio. Growth: times as long, for times as much.\n",
            f"{date.today()}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}. {versions()}.\n",
            text,
            "## How it was measured\n",
            *(f"- {' '.join(note.split())}" for note in notes),
            "",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=GROUPS, action="append", help="one group of rows")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each command (default: %(default)s)")
    args = parser.parse_args(argv)
    rows, notes = [], []
    for group in [importlib.import_module(f"bench.{name}") for name in args.only or GROUPS]:
        rows += (measured := group.rows(args.runs))
        notes.append(group.NOTE)
        print(table(measured), file=sys.stderr, flush=True)
        if hasattr(group, "lost"):
            notes.append(group.lost())
    text = page(table(rows), notes)
    print(text)
    if not args.only and args.runs >= RUNS:
        (ROOT / "docs/benchmarks.md").write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
