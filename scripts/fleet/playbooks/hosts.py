"""The rule of which hosts a playbook may name: those that a run gives it as `target_hosts`, and localhost.

It reads the file and nothing else, in milliseconds, so a run asks it again before it starts a playbook.
"""

import re
from pathlib import Path

import yaml

from fleet.findings import Finding
from fleet.playbooks import reading
from fleet.playbooks.reading import Document, quoted

TARGETS = "target_hosts"
LOCAL = "localhost"
IMPORTS = ("import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook")
WRITE = f'write hosts: "{{{{ {TARGETS} }}}}"'

# `{{ target_hosts }}`, and fewer of them: `,&k3s_workers` those in a group, `,!k3s_workers` those in none.
_WANTED = re.compile(
    rf"""\{{\{{\s*{TARGETS}\s*
    (\|\s*mandatory\s*(\(\s*(?:'[^'{{}}]*'|"[^"{{}}]*")?\s*\))?\s*)?\}}\}}
    (,[&!][A-Za-z0-9_]+)*""",
    re.VERBOSE,
)
_DEFAULT = re.compile(r"\|\s*(default|d)\b|\belse\b|\bor\b")


def check(file: Path) -> list[Finding]:
    """What of a playbook, or of one that it imports, could reach a machine that the run did not name."""
    findings, reached = _check(file, (file.resolve(),))
    if not findings and not reached:
        message = f"no play has the machines of the run, which then never count as done; {WRITE} in one"
        findings.append(Finding(message, reading.shown(file), 1, 1))
    return findings


def _check(file: Path, above: tuple[Path, ...]) -> tuple[list[Finding], bool]:
    document, findings = reading.read(file)
    reached = False
    for play in document.items if document else ():
        found, reaches = _play(document, play, above)
        findings += found
        reached = reached or reaches
    return findings, reached


def _play(document: Document, play: yaml.MappingNode, above: tuple[Path, ...]) -> tuple[list[Finding], bool]:
    findings = [
        document.finding(key, "merge keys (<<) hide which hosts a play has; write its keys out")
        for key, _ in reading.pairs(play)
        if key.tag == reading.MERGE
    ]
    for variables in reading.values(play, "vars"):
        for key, _ in reading.pairs(variables):
            if key.value == TARGETS:
                message = (
                    f"sets {TARGETS}, which the run gives; remove it, or a play by hand has these machines"
                )
                findings.append(document.finding(key, message))
    imports, hosts = reading.values(play, *IMPORTS), reading.values(play, "hosts")
    reached = False
    for node in imports:
        found, reaches = _import(document, node, above)
        findings += found
        reached = reached or reaches
    for node in hosts:
        if problem := _problem(node):
            findings.append(document.finding(node, f"hosts: {problem}"))
        reached = reached or reading.text_of(node) not in (None, LOCAL)
    if not imports and not hosts and not findings:
        findings.append(document.finding(play, f"a play without hosts; {WRITE}"))
    return findings, reached


def _problem(node: yaml.Node) -> str:
    text = reading.text_of(node)
    if text is None:
        return f"is a list or a mapping, which may name machines that the run did not; {WRITE}"
    if text == LOCAL or _WANTED.fullmatch(text.strip()):
        return ""
    if TARGETS in text and _DEFAULT.search(text):
        return (
            f"{quoted(text)} reaches other machines where {TARGETS} is missing, as on a mistyped command line; {WRITE},"
            " or name | mandatory instead of a default"
        )
    if text.strip() in ("all", "*", "ungrouped"):
        return f"{text.strip()} reaches every machine of the inventory; {WRITE}"
    return f"{quoted(text)} may reach machines that the run did not name; {WRITE}, and narrow it with ,&GROUP"


def _import(document: Document, node: yaml.Node, above: tuple[Path, ...]) -> tuple[list[Finding], bool]:
    """An imported playbook is checked like the one that imports it, if it can be known which file it is."""
    text = reading.text_of(node)
    if not text or "{{" in text or "{%" in text:
        return [
            document.finding(node, "import_playbook: which file is imported must not depend on variables")
        ], False
    file = (above[-1].parent / text).resolve()
    if file in above:
        return [document.finding(node, f"import_playbook: {quoted(text)} imports itself")], False
    if not file.is_relative_to(above[0].parent) or not file.is_file():
        folder = reading.shown(above[0].parent)
        message = f"import_playbook: {quoted(text)} is not a file in {folder}, so nobody checks it"
        return [document.finding(node, message)], False
    return _check(file, (*above, file))
