"""`[ansible X]`, `[destroy NAME]`, `[adopt NAME]` in a commit message: what counts, what only looks like one.

`[destroy WORKSPACE/RELEASE]` is about a release of clusters/ instead of a machine, `[drop-disk NAME scsi2]` about one
disk of a machine.
"""

import re
from typing import NamedTuple

from fleet.findings import Finding, printable
from fleet.tags import prose
from fleet.tags.lookalikes import BRACKETS, KEYWORDS, NEAR, candidates, named
from fleet.tags.names import is_name, problem_of
from fleet.tags.squash import QUOTING, is_quoting, squashed

TAG = re.compile(rf"\[({'|'.join(KEYWORDS)})[ \t]([^\[\]]*)\]")
ALONE = re.compile(rf"(?:\[[xX]\] )?(?:[\s,;.]|{TAG.pattern})+")  # a line of tags, perhaps of a ticked task
# What documentation writes in a name's place.
PLACEHOLDER = re.compile(
    r"X|NAME(?: (?:SLOT|scsi2))?|MACHINE|PLAYBOOK|HOST|<.*>|\{.*\}|\$\{?[A-Z_]+\}?|\.\.\.|\u2026|\*"
)
MOST = 100  # tags of one message
SHOWN = 5  # tags that were not read
LONGEST = 1 << 18  # characters of one message


class Tag(NamedTuple):
    action: str  # one of KEYWORDS
    name: str

    def __str__(self) -> str:
        return f"[{self.action} {self.name}]"


def read(message: str) -> tuple[list[Tag], list[Finding]]:
    """The tags of one commit message, each once, in order; and what was refused or looks like a mistake.

    Nothing is read from this project's own commits, releases and reverts, nor from what a message only quotes,
    shows or offers. An approval counts in a title and on a line of its own.
    """
    if not _may_have_tags(message):
        return [], []
    if len(message) > LONGEST:
        return [], [Finding(f"a message of {len(message)} characters is not read")]
    if is_quoting(message):
        return [], _in_revert(message)
    tags: dict[Tag, None] = {}
    findings: list[Finding] = []
    unread: dict[Finding, None] = {}
    for text in (inner := squashed(message)):
        found, wrong = read(text)
        tags.update(dict.fromkeys(found))
        findings += wrong
    shown: set[tuple[str, str]] = set()
    for line in () if inner else prose.lines(message):
        shown.update(TAG.findall(line.text))
        if line.hidden:
            unread.update(dict.fromkeys(_not_read(found, line.hidden) for found in TAG.findall(line.text)))
            continue
        if QUOTING.match(line.text):
            for tag in (Tag(*found) for found in TAG.findall(line.text)):
                tags.pop(tag, None)  # a squash lists a commit and then its revert
            continue
        found, wrong = _line(line.text, line.title or bool(ALONE.fullmatch(line.text)))
        tags.update(dict.fromkeys(found))
        findings += wrong
        if len(tags) > MOST or len(findings) > MOST:
            break
    if len(tags) > MOST or len(findings) > MOST:
        return [], [Finding(f"more than {MOST} tags or mistakes in one message, so none is read")]
    if not inner:
        linked = (found for found in TAG.findall(message) if found not in shown and is_name(*found))
        unread.update((_not_read(found, "a link or escaped"), None) for found in linked)
    return list(tags), findings + list(unread)[:SHOWN]


def _in_revert(message: str) -> list[Finding]:
    """What a person may have added below a revert's subject, where it is not read."""
    subject, _, body = message.strip().partition("\n")
    if "evert" not in subject:
        return []
    return [_not_read(found, "a revert") for found in list(dict.fromkeys(TAG.findall(body)))[:SHOWN]]


def _may_have_tags(message: str) -> bool:
    lower = message.lower()
    if message.isascii() and not any(word in lower for word in KEYWORDS):
        return False
    return bool(BRACKETS.search(message))


def _line(line: str, approves: bool) -> tuple[list[Tag], list[Finding]]:
    tags, findings = [], []
    for original, folded in candidates(line):
        exact = TAG.fullmatch(original)
        name = re.sub(r"[ \t]+", " ", exact[2].strip(" \t")) if exact else ""
        odd = {char for char in original if not char.isascii()}
        if name and PLACEHOLDER.fullmatch(name):
            findings.append(_not_read((exact[1], name), "documentation: it names nothing"))
        elif exact and exact[1] != "ansible" and not approves:
            findings.append(_in_text(original))
        elif odd or "\r" in line:
            findings.append(_error(original, f"holds {named(odd or {chr(13)})}; type it in plain ASCII"))
        elif name:
            problem = problem_of(exact[1], name)
            if problem:
                findings.append(_error(original, problem))
            else:
                tags.append(Tag(exact[1], name))
        elif near := NEAR.match(folded):
            findings.append(_near_miss(original, near))
    return tags, findings


def _near_miss(original: str, near: re.Match) -> Finding:
    keyword, rest = near[1].lower(), near[2].strip(" \t:=,")
    if not near[3]:
        return Finding(f"'{_short(original)}' is not a tag: it is not closed on its line", level="warning")
    guess = rest if is_name(keyword, rest) else "NAME SLOT" if keyword == "drop-disk" else "NAME"
    return Finding(f"'{_short(original)}' is not a tag; did you mean [{keyword} {guess}]?", level="warning")


def _not_read(found: tuple[str, str], where: str) -> Finding:
    return Finding(f"{_short(f'[{found[0]} {found[1]}]')} is in {where}, so it is not read", level="notice")


def _in_text(original: str) -> Finding:
    said = "stands in a sentence, so it approves nothing; put it on a line of its own or into the title"
    return Finding(f"'{_short(original)}' {said}", level="warning")


def _error(original: str, problem: str) -> Finding:
    return Finding(f"'{_short(original)}' {problem}")


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= 100 else text[:97] + "..."
