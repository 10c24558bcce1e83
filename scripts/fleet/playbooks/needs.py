"""What a playbook says that it needs, in a comment at its top (`# needs: vault`), and whether a run has it."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from fleet import dotenv
from fleet.files import read_text
from fleet.findings import Fault, Finding
from fleet.paths import shown
from fleet.vault.access import checked_addr, checked_token

NOTHING = "nothing"
_LINE = re.compile(r"#[ \t]*needs:(.*)")


def _vault() -> str:
    try:
        checked_addr(os.environ.get("VAULT_ADDR"))
        checked_token(os.environ.get("VAULT_TOKEN"))
    except Fault as fault:
        return str(fault)
    return ""


def _proxmox() -> str:
    names = ("PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN")
    missing = [name for name in names if not os.environ.get(name, "").strip()]
    return f"set {' and '.join(missing)}" if missing else ""


# Each word, and a function that says what of it a run lacks; only the machines can tell whether they have internet.
WORDS: dict[str, Callable[[], str]] = {"vault": _vault, "proxmox": _proxmox, "internet": lambda: ""}


def read(text: str, path: str = "") -> tuple[set[str], list[Finding]]:
    """The words of a playbook's text, and what is wrong with them. Only comments above the first play count."""
    needs: set[str] = set()
    findings: list[Finding] = []
    known = f"known are: {', '.join(WORDS)}, or {NOTHING} alone"
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith(("#", "---")):
            break
        if match := _LINE.match(line):
            lines.append((number, match))
    for number, match in lines:
        words = [(word[0], match.start(1) + word.start() + 1) for word in re.finditer(r"[^\s,]+", match[1])]
        for word, col in words:
            if word not in WORDS and word != NOTHING:
                findings.append(Finding(f"needs: {word!r} is unknown; {known}", path, number, col))
            elif word == NOTHING and words[1:]:
                findings.append(
                    Finding(f"needs: {NOTHING} stands alone; remove it, or the others", path, number, col)
                )
        if not words:
            findings.append(Finding(f"needs: says nothing; {known}", path, number, 1))
        needs |= {word for word, _ in words} & WORDS.keys()
    if not lines:
        message = f"does not say what it needs: write a line `# needs: vault, internet` above the first play; {known}"
        findings.append(Finding(message, path, 1, 1))
    return needs, findings


def lacking(file: Path) -> list[Finding]:
    """What a playbook needs and this run does not have. Raises Fault for a `.env` that cannot be read."""
    needs = read(read_text(file))[0]
    if needs & {"vault", "proxmox"}:
        dotenv.load()
    problems = {word: WORDS[word]() for word in sorted(needs)}
    return [
        Finding(f"needs {word}, and this run does not have it: {problem}", shown(file))
        for word, problem in problems.items()
        if problem
    ]
