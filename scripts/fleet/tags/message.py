"""`[ansible X]`, `[destroy NAME]` and `[adopt NAME]` in a commit message: what counts, what only looks like one."""

import re
from typing import NamedTuple

from fleet.findings import Finding, printable
from fleet.names import RESERVED
from fleet.tags.lookalikes import BRACKETS, KEYWORDS, NEAR, candidates, named
from fleet.tags.markdown import lines_of, without_code_spans
from fleet.tags.squash import QUOTING, is_quoting, squashed

TAG = re.compile(rf"\[({'|'.join(KEYWORDS)})[ \t]([^\[\]]*)\]")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
MOST = 100  # tags of one message
LONGEST = 1 << 18  # characters of one message


class Tag(NamedTuple):
    action: str  # one of KEYWORDS
    name: str

    def __str__(self) -> str:
        return f"[{self.action} {self.name}]"


def read(message: str) -> tuple[list[Tag], list[Finding]]:
    """The tags of one commit message, each once, in order; and what was refused or looks like a mistake.

    Nothing is read from this project's own commits, releases and reverts, from quoted lines and from code.
    """
    if not _may_have_tags(message):
        return [], []
    if len(message) > LONGEST:
        return [], [Finding(f"a message of {len(message)} characters is not read")]
    if is_quoting(message):
        return [], _in_revert(message)
    tags: dict[Tag, None] = {}
    findings: list[Finding] = []
    for text in (inner := squashed(message)):
        found, wrong = read(text)
        tags.update(dict.fromkeys(found))
        findings += wrong
    for line, code in () if inner else lines_of(message):
        if "[" not in line and line.isascii():
            continue
        if QUOTING.match(line):
            for tag in (Tag(*found) for found in TAG.findall(line)):
                tags.pop(tag, None)  # a squash lists a commit and then its revert
        elif code:
            findings += [_not_read(found, code) for found in TAG.findall(line)]
        else:
            found, wrong = _line(without_code_spans(line))
            tags.update(dict.fromkeys(found))
            findings += wrong
        if len(tags) > MOST or len(findings) > MOST:
            break
    if len(tags) > MOST or len(findings) > MOST:
        return [], [Finding(f"more than {MOST} tags or mistakes in one message, so none is read")]
    return list(tags), findings


def _in_revert(message: str) -> list[Finding]:
    """What a person may have added below a revert's subject, where it is not read."""
    subject, _, body = message.strip().partition("\n")
    if "evert" not in subject:
        return []
    return [_not_read(found, "a revert") for found in list(dict.fromkeys(TAG.findall(body)))[:5]]


def _may_have_tags(message: str) -> bool:
    lower = message.lower()
    if message.isascii() and not any(word in lower for word in KEYWORDS):
        return False
    return bool(BRACKETS.search(message))


def _line(line: str) -> tuple[list[Tag], list[Finding]]:
    tags, findings = [], []
    for original, folded in candidates(line):
        exact = TAG.fullmatch(original)
        odd = {char for char in original if not char.isascii()}
        if odd or "\r" in line:
            findings.append(_error(original, f"holds {named(odd or {chr(13)})}; type it in plain ASCII"))
        elif exact and exact[2].strip():
            name = exact[2].strip(" \t")
            problem = _name_problem(exact[1], name)
            if problem:
                findings.append(_error(original, problem))
            else:
                tags.append(Tag(exact[1], name))
        elif near := NEAR.match(folded):
            findings.append(_near_miss(original, near))
    return tags, findings


def _name_problem(action: str, name: str) -> str:
    if name.lower() in RESERVED:
        return f"is never allowed: name one playbook or machine, not {name}"
    if NAME.fullmatch(name):
        return ""
    if re.fullmatch(r"[A-Za-z0-9_-]+([\s,;]+[A-Za-z0-9_-]+)+", name) and len(name) < 300:
        parts = " ".join(f"[{action} {part}]" for part in re.split(r"[\s,;]+", name))
        return f"names several; write {parts}"
    odd = set(re.findall(r"[^A-Za-z0-9_-]", name))
    if odd:
        return f"holds {named(odd)}; a name is made of letters, digits, - and _"
    if name.startswith("-"):
        return "starts with -"
    return f"is {len(name)} characters long; at most 63 are allowed"


def _near_miss(original: str, near: re.Match) -> Finding:
    keyword, rest = near[1].lower(), near[2].strip(" \t:=,")
    if not near[3]:
        return Finding(f"'{_short(original)}' is not a tag: it is not closed on its line", level="warning")
    guess = rest if NAME.fullmatch(rest) else "NAME"
    return Finding(f"'{_short(original)}' is not a tag; did you mean [{keyword} {guess}]?", level="warning")


def _not_read(found: tuple[str, str], where: str) -> Finding:
    return Finding(f"{_short(f'[{found[0]} {found[1]}]')} is in {where}, so it is not read", level="notice")


def _error(original: str, problem: str) -> Finding:
    return Finding(f"'{_short(original)}' {problem}")


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 100 else text[:97] + "..."
