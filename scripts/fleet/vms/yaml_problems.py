"""What makes a text unreadable as strict YAML: characters that no reader shows, and syntax, with a hint for each."""

import re

from fleet.findings import Finding, cut

MAX_FINDINGS = 50  # of one file
TOO_MANY = "nests, or repeats by aliases, more values than a VM file can need; keep those of one machine"

# Tabs, controls, line breaks of YAML 1.1 alone, and what makes a reviewer see another text than the reader.
BAD_CHARACTERS = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)


def forbidden(label: str, text: str, findings: list[Finding]) -> None:
    """Report tabs and invisible characters, the first of each line."""
    start, line = 0, 1
    while (match := BAD_CHARACTERS.search(text, start)) and len(findings) <= MAX_FINDINGS:
        line += text.count("\n", start, match.start())
        col = match.start() - text.rfind("\n", 0, match.start())
        if match[0] == "\t":
            message = "contains a tab, which YAML readers interpret differently; use spaces"
        elif match[0] == "\ufeff":
            message = "starts with a byte order mark (BOM); save the file as UTF-8 without BOM"
        else:
            message = f"contains the invisible character U+{ord(match[0]):04X}; remove it"
        findings.append(_at_field(Finding(message, label, line, col), text))
        start = text.find("\n", match.end())
        if start < 0:
            break


_HINTS = {
    "mapping values are not allowed": "is the indentation right, or does a value with `: ` lack quotes?",
    "could not find expected ':'": "is the colon, or the space after it, missing?",
    "did not find expected key": "is the line indented like its neighbours, each quote in quotes doubled?",
    "did not find expected ','": "is a comma or the closing bracket missing?",
    "cannot start any token": "quote a value that starts with this character",
    "but found another document": "one file describes one machine; remove the `---` and what follows",
    "expected <document start>": "one file describes one machine; remove the `...` and what follows",
    "found incompatible YAML document": "remove the line that starts with %YAML",
    "found undefined alias": "quote a value that starts with *",
    "while scanning an alias": "quote a value that starts with *",
    "while scanning an anchor": "quote a value that starts with &",
    "while scanning a quoted scalar": "is the closing quote missing?",
    "while parsing a quoted scalar": "a \\ in double quotes starts an escape; use single quotes",
}


def syntax(label: str, text: str, error: Exception) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    said = ", ".join(parts) or getattr(error, "reason", None) or "nests deeper than a VM file can need"
    hint = next((hint for words, hint in _HINTS.items() if words in said), "")
    if re.search("quoted scalar|simple key|expected ','", said):
        mark = error.context_mark  # where it starts, and not the next line or the end of the file
    place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    message = said if said == TOO_MANY else f"is not valid YAML: {said}"
    return _at_field(Finding(message + (f"; {hint}" if hint else ""), label, *place), text)


_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*:")
_NO_FIELD = re.compile(r"\s*#|---|\.\.\.|%|<<<<<<<|>>>>>>>")


def _at_field(finding: Finding, text: str) -> Finding:
    """The finding with the field that its line belongs to, where the text alone tells: a log shows no lines."""
    above = text.split("\n")[: finding.line]
    if not above or _NO_FIELD.match(above[-1]):
        return finding
    field = next((match[1] for line in reversed(above) if (match := _KEY.match(line))), "")
    return finding._replace(message=f"{cut(field)}: {finding.message}", field=field) if field else finding
