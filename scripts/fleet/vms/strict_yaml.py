"""YAML without its surprises: the C parser up to its nodes, then values by rules stricter than YAML's.

Nothing is guessed: what YAML readers take differently is a finding that says how to write it.

More than 150 lines because the rules for values and the reader that applies them are one idea.
"""

import contextlib
import re
from typing import Any

import yaml
from yaml._yaml import CParser

from fleet.findings import Finding, cut, printable
from fleet.vms.yaml_problems import BAD_CHARACTERS, MAX_FINDINGS, TOO_MANY, forbidden, syntax

_CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)( |$)", re.M)
MAX_VALUES = 2_000  # a VM file has about thirty; aliases count each time that they are used
MAX_DEPTH = 16
MAX_TEXT = 8192  # characters of one value
SMALL = 1_900  # characters that cannot nest (two a level) to libyaml's limit, nor harm the C composer


class Lines(dict[str, tuple[int, int]]):
    """The place (line, column) of each field, from 1. `written`: numbers that Python would write otherwise (24.10)."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, str] = {}


def is_blank(text: str) -> bool:
    """Whether a file has nothing but comments."""
    return not re.sub(r"(?m)^\s*#.*$", "", text).strip()


def parse(label: str, text: str) -> tuple[dict[str, Any] | None, Lines, list[Finding]]:
    """Read one document that is a mapping: (plain data, place of each field, what is wrong).

    Fields are named with dots ("disks.scsi0.size", "sshkeys.0"), places are (line, column) from 1. The data
    is None when there is no mapping to look at.
    """
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        return (
            None,
            Lines(),
            [Finding("a merge conflict is not resolved here; keep one side", label, line, 1)],
        )
    findings: list[Finding] = []
    forbidden(label, text, findings)
    if findings:  # the rest of the file is looked at as well, as a person sees it
        text = BAD_CHARACTERS.sub(lambda match: " " if match[0] == "\t" else "", text)
    try:
        if len(text) > SMALL or text.count("[") + text.count("{") > 4 * MAX_DEPTH:
            _refuse_depth(text)
        root = _Composer(text).get_single_node()
    except (yaml.MarkedYAMLError, yaml.reader.ReaderError, ValueError) as error:
        return None, Lines(), findings or [syntax(label, text, error)]
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value.lower() in ("", "~", "null")):
        return (
            None,
            Lines(),
            [*findings, Finding("is empty; a VM file has at least its required fields", label)],
        )
    if not isinstance(root, yaml.MappingNode):
        what = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        message = f"holds {what} at its top, where the fields of one machine are meant (name: …)"
        return None, Lines(), [*findings, Finding(message, label, *_place(root))]
    reader = _Reader(label, text, findings)
    try:
        data = reader.mapping(root, "", 0)
    except yaml.MarkedYAMLError as error:
        data = None
        findings.insert(0, syntax(label, text, error))
    if len(findings) > MAX_FINDINGS:
        findings[MAX_FINDINGS:] = [Finding("and more of the like; the rest is not listed", label)]
    return data, reader.lines, findings


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
    """Raise YAMLError before the C composer, which calls itself, would overflow the stack and end Python.

    From libyaml 0.2.6 on the scanner has a limit too. It scans ahead for the colon of a key, so it can fail before
    it hands out the first bracket: what is too deep is placed at its field, which is known either way.
    """
    parser, depth, count, field = CParser(text), 0, 0, None
    try:
        while (event := parser.get_event()) is not None:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            count += 1
            if depth <= 1:
                field = event.start_mark
            if depth > 4 * MAX_DEPTH:
                raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=field)
            if count > 4 * MAX_VALUES:
                raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=event.start_mark)
    except yaml.MarkedYAMLError as error:
        if "maximum nesting depth" in (error.problem or ""):
            raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=field) from None
        raise


# What one reader takes for text and another for a number, a date or a truth value.
_AMBIGUOUS = re.compile(
    r"""y|n|yes|no|on|off|=|<<               # truth values, the value and merge keys of YAML 1.1
    |[-+]?0[xob]?[0-9a-f_]+                  # 0755, 0x1f, 0o17, 0b1, 00
    |[-+]?(?=\.?[0-9])[0-9_]*(\.[0-9_]*)?(e[-+]?[0-9]+)?  # +5, 50_000, 1e3, .5, 1., 007.5, long ones
    |[-+]?[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?  # base 60: 12:30:45 and MAC addresses of digits
    |[-+]?\.(inf|nan)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ t].*)?  # a date
    """,
    re.IGNORECASE | re.VERBOSE,
)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_LONG = re.compile(r"-?[1-9][0-9]{18,}(\.[0-9]*)?")
_WORDS = {"": None, "~": None, "true": True, "false": False, "null": None}
_WORDS |= {spelt: value for word, value in _WORDS.items() for spelt in (word.capitalize(), word.upper())}
_TRUTH = {"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false", "off": "false"}


def is_text(value: str) -> bool:
    """Whether PyYAML, with which cloud-init reads, takes the value for text where it stands without quotes."""
    return yaml.resolver.Resolver().resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"


def _plain_number(text: str) -> str:
    """How to write a number so that every reader sees the same one; empty when that cannot be said."""
    for read in (int, lambda digits: int(digits, 0), float):
        with contextlib.suppress(ValueError):
            plain = str(read(text.replace("_", ""))).removesuffix(".0")
            return plain if _INTEGER.fullmatch(plain) or _DECIMAL.fullmatch(plain) else ""
    return ""


class _Reader:
    """Turns nodes into plain data; notes where each field stands and what is wrong on the way."""

    def __init__(self, label: str, text: str, findings: list[Finding]):
        self.label, self.text, self.findings = label, text, findings
        self.lines = Lines()
        self.values = 0

    def problem(self, node: yaml.Node, message: str, where: str = "") -> None:
        self.named(node, message, where)
        if where:
            self.lines[where] = _place(node)  # so that nobody judges what was read instead

    def named(self, node: yaml.Node, message: str, field: str) -> None:
        """A problem of a field whose value counts nevertheless."""
        text = f"{cut(field)}: {message}" if field else message
        self.findings.append(Finding(printable(text), self.label, *_place(node), field=field))

    def value(self, node: yaml.Node, where: str, depth: int) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, f"{where}.", depth)
        if isinstance(node, yaml.SequenceNode):
            self.tag(node, where)
            for index, child in enumerate(node.value):
                self.lines[f"{where}.{index}"] = _place(child)
            return [
                self.value(child, f"{where}.{index}", depth + 1) for index, child in enumerate(node.value)
            ]
        return self.scalar(node, where)

    def mapping(self, node: yaml.MappingNode, prefix: str, depth: int) -> dict[str, Any]:
        self.tag(node, prefix[:-1])
        data: dict[str, Any] = {}
        first: dict[str, tuple[int, int]] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                self.named(key_node, "a field's name must be plain text", prefix[:-1])
                continue
            if key == "<<" and key_node.tag == "plain":
                message = "merge keys (<<) are ignored by some YAML readers; write the fields out"
                self.named(key_node, message, prefix[:-1])
                continue
            plain = key.isidentifier() and key not in _WORDS and key.lower() not in _TRUTH
            if not plain:
                told = len(self.findings)
                if not isinstance(self.scalar(key_node, ""), str):
                    message = f"a field's name must be text, not {cut(key) or 'empty'}"
                    self.named(key_node, message, prefix[:-1])
                if len(self.findings) > told:
                    continue  # it is no field, known or unknown
            place = _place(key_node)
            if key in first:
                line, col = first[key]
                message = f"is set twice (first in line {line}, column {col}); keep one of them"
                self.named(key_node, message, prefix + key)
                continue
            first[key] = self.lines[prefix + key] = place
            data[key] = self.value(value_node, prefix + key, depth + 1)
        return data

    def scalar(self, node: yaml.ScalarNode, where: str) -> Any:
        text = node.value
        if len(text) > MAX_TEXT:
            self.problem(node, f"is {len(text)} characters long; the limit is {MAX_TEXT}", where)
            return None
        if node.tag != "plain":
            self.tag(node, where)
            return text
        start = node.start_mark.index
        if self.text[start : start + 1] in "!&" and (self.tag(node, where) or node.style):
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            if str(float(text)) != text:
                self.lines.written[where] = text
            return float(text)
        if _LONG.fullmatch(text):
            message = f"{cut(text)} has more digits than every YAML reader can hold; if it is text, quote it"
            self.problem(node, message, where)
            return text
        if _AMBIGUOUS.fullmatch(text):
            meant = _TRUTH.get(text.lower()) or _plain_number(text)
            quoted = f'"{cut(text)}"'
            way_out = f"write {meant}, or {quoted} if text is meant" if meant else f"quote it: {quoted}"
            message = f"YAML readers disagree on the meaning of {cut(text)}; {way_out}"
            self.problem(node, message, where)
        return text

    def tag(self, node: yaml.Node, where: str) -> bool:
        """Refuse a tag, the bare ! too, which the parser does not tell."""
        tag = "" if node.tag == "plain" else node.tag.replace("tag:yaml.org,2002:", "!!")
        if not tag and _TAGGED.match(self.text, node.start_mark.index):
            tag = "!"
        if tag:
            message = (
                f"the YAML tag {cut(tag)} is not supported; write the value alone, in quotes if it is text"
            )
            self.problem(node, message, where)
        return bool(tag)


_TAGGED = re.compile(r"(&\S+\s+)?!")


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
