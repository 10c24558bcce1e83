"""Reading VM files: each once, through YAML's C parser, strictly, with the line of every field.

What YAML readers take differently (`0755`, `yes`, `1e3`, a MAC address of digits) is refused here instead of
guessed, so that what the author meant, what is checked and what Terraform is given are the same thing.
"""

import errno
import os
import re
import stat
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser

from . import names, paths
from .findings import Fault, Finding

MAX_BYTES = 1 << 20
MAX_VALUES = 2_000  # a VM file has about thirty; aliases count each time that they are used
MAX_DEPTH = 16
SMALL = 4096  # characters that cannot nest deeply enough to harm the C parser
MAX_FINDINGS = 50  # of one file
TOO_MANY_SAID = 1 << 30
TOO_MANY = "nests or repeats (by aliases) more values than a VM file can need"

Lines = dict[str, tuple[int, int]]


class VM(NamedTuple):
    """One VM file as it was written; no default is filled in and nothing but its YAML is checked."""

    name: str  # the field, or the file's stem when the field is no text
    path: str  # as a person would type it
    data: dict[str, Any]
    managed: bool  # False: validated, its addresses are taken, never created
    lines: Lines  # "disks.scsi0.size" -> (line, column) of the field, from 1


def load_dir(vms_dir: str | os.PathLike[str]) -> tuple[dict[str, VM], list[Finding]]:
    """Read every VM file of a folder, managed and excluded ones: ({file stem: VM}, what is wrong).

    The stem is the machine's name in every folder that passes `validate_vms.py`. A file that cannot be read as
    a mapping has findings and no VM. Raises Fault (exit 2) when the folder cannot be listed.
    """
    folder = Path(vms_dir)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise Fault(f"{paths.shown(folder)}: {error.strerror}; name the folder of VM files", code=2) from error
    vms: dict[str, VM] = {}
    findings: list[Finding] = []
    for path in entries:
        if path.name.startswith("."):
            continue
        if path.suffix != ".yaml":
            findings += _stray(path)
            continue
        vm, found = load_file(path)
        findings += found
        if vm:
            vms[path.stem] = vm
    if not vms and not findings:
        message = "no VM file here: that looks like a lost checkout, and would remove every machine"
        findings.append(Finding(message, paths.shown(folder)))
    return vms, findings


def load_file(path: Path) -> tuple[VM | None, list[Finding]]:
    """Read one VM file; the VM is None when there is no mapping to look at."""
    label = paths.shown(path)
    try:
        # Neither a pipe that nobody writes to nor a link out of the repository is followed.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None, [Finding("is no regular file; a VM file is", label)]
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "is a symbolic link, and a change of its target is no change of this file; commit a file"
        elif error.errno == errno.EISDIR:
            reason = "is a folder; a VM file is meant to have this name"
        else:
            reason = f"cannot be read: {error.strerror}"
        return None, [Finding(reason, label)]
    return load_bytes(label, raw)


def load_bytes(label: str, raw: bytes) -> tuple[VM | None, list[Finding]]:
    """Read the bytes of one VM file; `label` is its path, for messages and for the machine's default name."""
    if len(raw) > MAX_BYTES:
        return None, [Finding(f"is larger than {MAX_BYTES >> 20} MiB, which no VM file is", label)]
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        message = "starts with a byte order mark (BOM), which not every reader skips; save it as UTF-8 without BOM"
        return None, [Finding(message, label, 1, 1)]
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"is not UTF-8 (byte 0x{raw[error.start]:02X}); save it as UTF-8"
        return None, [Finding(message, label, line, col)]
    return load_text(label, text)


def load_text(label: str, text: str) -> tuple[VM | None, list[Finding]]:
    """Read the text of one VM file, for instance of one that is no longer there."""
    findings: list[Finding] = []
    tabs = _forbidden(label, text, findings)
    if findings and not tabs:
        return None, findings
    if tabs:
        text = text.replace("\t", " ")  # keeps the columns, so that the rest of the file is looked at as well
    try:
        if len(text) > SMALL:
            _refuse_depth(text)
        root = _Composer(text).get_single_node()
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, RecursionError, ValueError) as error:
        return None, findings or [_syntax(label, error)]
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value in ("", "~", "null")):
        return None, [*findings, Finding("is empty; a VM file has at least its required fields", label)]
    if not isinstance(root, yaml.MappingNode):
        what = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        message = f"holds {what} at its top, where the fields of one machine are meant (name: …)"
        return None, [*findings, Finding(message, label, *_place(root))]
    lines: Lines = {}
    data = _Reader(label, findings, lines).mapping(root, "", 0)
    if len(findings) > MAX_FINDINGS:
        findings[MAX_FINDINGS:] = [Finding("and more of the like; the rest is not listed", label)]
    file = PurePath(label)
    name = data.get("name")
    name = name if isinstance(name, str) else file.stem
    return VM(name, label, data, file.name not in names.EXCLUDED, lines), findings


class _Composer(CParser):
    """The C parser up to its tree of nodes; values are resolved below, by rules stricter than YAML's."""

    def resolve(self, kind, value, implicit):
        # `implicit` is (plain, quoted) for a scalar; an explicit tag never gets here and stays what it is.
        return "plain" if kind is yaml.ScalarNode and implicit[0] else ""

    def descend_resolver(self, parent, index):
        """Part of the parser's interface; nothing here depends on where a value stands."""

    def ascend_resolver(self):
        """Likewise."""


def _refuse_depth(text: str) -> None:
    """Raise YAMLError before the C composer, which calls itself, would overflow the stack and end Python."""
    parser, depth = CParser(text), 0
    while (event := parser.get_event()) is not None:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > 4 * MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=event.start_mark)


# What one reader takes for text and another for a number, a date or a truth value.
_AMBIGUOUS = re.compile(
    r"""y|n|yes|no|on|off|=|<<               # truth values, the value and merge keys of YAML 1.1
    |[-+]?0[xob]?[0-9a-f_]+                  # 0755, 0x1f, 0o17, 0b1, 00
    |\+[0-9].*                               # +5
    |[-+]?[0-9]+(_[0-9_]*)+(\.[0-9_]*)?      # 50_000
    |[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?        # base 60: 12:30:45 and MAC addresses of digits
    |[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)e[-+]?[0-9]+  # 1e3
    |[-+]?([0-9]+\.|\.[0-9]+)                # 1. and .5
    |[-+]?\.(inf|nan)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ t].*)?  # a date
    |-?[0-9]{19,}                            # more than a machine word
    """,
    re.IGNORECASE | re.VERBOSE,
)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_WORDS = {"": None, "~": None, "true": True, "false": False, "null": None}
_WORDS |= {spelt: value for word, value in _WORDS.items() for spelt in (word.capitalize(), word.upper())}


class _Reader:
    """Turns nodes into plain data; notes where each field stands and what is wrong on the way."""

    def __init__(self, label: str, findings: list[Finding], lines: Lines):
        self.label, self.findings, self.lines = label, findings, lines
        self.values = 0

    def problem(self, node: yaml.Node, message: str) -> None:
        self.findings.append(Finding(message, self.label, *_place(node)))

    def value(self, node: yaml.Node, where: str, depth: int) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            if self.values < TOO_MANY_SAID:
                self.problem(node, TOO_MANY)
            self.values = TOO_MANY_SAID  # once, and nothing more is read
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, f"{where}.", depth)
        if isinstance(node, yaml.SequenceNode):
            self.tag(node)
            for index, child in enumerate(node.value):
                self.lines[f"{where}.{index}"] = _place(child)
            return [self.value(child, f"{where}.{index}", depth + 1) for index, child in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, prefix: str, depth: int) -> dict[str, Any]:
        self.tag(node)
        data: dict[str, Any] = {}
        first: dict[str, tuple[int, int]] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, "a field's name must be plain text")
                continue
            if key == "<<" and key_node.tag == "plain":
                self.problem(key_node, "merge keys (<<) are read by some YAML readers only; write the fields out")
                continue
            place = _place(key_node)
            if key in first:
                line, col = first[key]
                message = f"field {_short(key)} stands twice (first in line {line}, column {col}); keep one of them"
                self.problem(key_node, message)
                continue
            first[key] = self.lines[prefix + key] = place
            data[key] = self.value(value_node, prefix + key, depth + 1)
        return data

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.tag != "plain":
            self.tag(node)
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
        if _AMBIGUOUS.fullmatch(text):
            truth = {"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false", "off": "false"}
            way_out = f'quote it: "{_short(text)}"'
            if text.lower() in truth:
                way_out += f", or write {truth[text.lower()]} if you mean that"
            self.problem(node, f"{_short(text)} is read differently by different YAML readers; {way_out}")
        return text

    def tag(self, node: yaml.Node) -> None:
        if node.tag:
            self.problem(node, f"{_short(node.tag)}: tags are not read here; write the value alone, quoted for text")


_BAD_CHARACTERS = re.compile("[\t\x85\u2028\u2029\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")


def _forbidden(label: str, text: str, findings: list[Finding]) -> bool:
    """Find tabs and characters that no reader shows; True if tabs are all there is."""
    only_tabs, last = True, 0
    for match in _BAD_CHARACTERS.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if line == last:
            continue
        last, col = line, match.start() - text.rfind("\n", 0, match.start())
        if match[0] == "\t":
            message = "a tab, which YAML readers indent by differently; use spaces"
        else:
            message, only_tabs = f"the invisible character U+{ord(match[0]):04X}; remove it", False
        findings.append(Finding(message, label, line, col))
        if len(findings) > MAX_FINDINGS:
            break
    return bool(findings) and only_tabs


_HINTS = {
    "mapping values are not allowed": "is the indentation right, or does a value with `: ` in it lack quotes?",
    "could not find expected ':'": "is the colon, or the space after it, missing?",
    "did not find expected key": "is the line indented as its neighbours are?",
    "cannot start any token": "quote a value that starts with this character",
    "but found another document": "one file describes one machine; remove the `---` and what follows",
    "found undefined alias": "quote a value that starts with *",
    "while scanning a quoted scalar": "is the closing quote missing?",
}


def _syntax(label: str, error: Exception) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    text = ", ".join(parts) or getattr(error, "reason", None) or "nests deeper than a VM file can need"
    hint = next((hint for words, hint in _HINTS.items() if words in text), "")
    place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Finding(f"is not YAML: {text}" + (f"; {hint}" if hint else ""), label, *place)


def _stray(path: Path) -> list[Finding]:
    """What stands in the folder and is no VM file, though its author may think that it is one."""
    label = paths.shown(path)
    if path.suffix.lower() in (".yml", ".yaml"):
        return [Finding(f"is not read, since VM files end in .yaml; rename it to {path.stem}.yaml", label)]
    if path.is_dir():
        message = "is a folder, and only the files directly beside it are read; move its VM files up"
        return [Finding(message, label, level="warning")]
    return []


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
