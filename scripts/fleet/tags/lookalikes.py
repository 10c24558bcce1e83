"""What a reader takes for a tag although it is none: other spellings, letters of other alphabets."""

import re
from collections.abc import Iterator

from fleet.findings import listed

KEYWORDS = ("ansible", "destroy", "adopt", "drop-disk")
# A bracket, closed or not, whose first word is a keyword in some spelling.
NEAR = re.compile(rf"\[[\s:@/#]*({'|'.join(KEYWORDS)})(?=[\s:=,\]]|$)([^\[\]]*)(\]|$|(?=\[))", re.IGNORECASE)

BRACKETS = re.compile("[\\[\uff3b\u3010\u3014\u27e6\u2772\u2045]")
# What a reader takes for a letter of the keywords, besides the forms that NFKD takes apart.
ALIKE = str.maketrans(
    "\u0430\u03b1\u0251\u0455\u0456\u03b9\u0131\u04cf\u01c0\u0435\u0501\u03c4\u0442\u0433\u043e\u03bf\u0443"
    "\u03b3\u0184\u044c\u043f\u03b7\u0578\u0564\u0440\u03c1\u3010\u3014\u27e6\u2772\u2045\u3011\u3015\u27e7\u2773\u2046",
    "aaasiiilledttrooyybbnnndpp[[[[[]]]]]",
)
INVISIBLE = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0xFEFF, *range(0x300, 0x370), *range(0x200B, 0x2010), *range(0x202A, 0x202F),
     *range(0x2060, 0x206A), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080)]
)  # fmt: skip
FOLD = ALIKE | INVISIBLE


def candidates(line: str) -> Iterator[tuple[str, str]]:
    """The brackets that are or resemble a tag: (as written, as a reader sees it)."""
    if line.isascii():
        yield from ((match[0], match[0]) for match in NEAR.finditer(line))
        return
    import unicodedata

    seen_line = unicodedata.normalize("NFKD", line.lower()).translate(FOLD)
    if not any(word in seen_line for word in KEYWORDS):
        return
    folded, origin = [], []  # the line as seen, and for each of its characters the place in `line`
    for place, char in enumerate(line):
        plain = char if char.isascii() else unicodedata.normalize("NFKD", char.lower())
        for seen in plain.translate(FOLD):
            folded.append(seen)
            origin.append(place)
    origin.append(len(line))
    seen_line = "".join(folded)
    for match in NEAR.finditer(seen_line):
        yield line[origin[match.start()] : origin[match.end() - 1] + 1], match[0]


def named(chars: set[str]) -> str:
    """Characters as a person can look them up."""
    import unicodedata

    controls = {"\r": "CARRIAGE RETURN", "\x00": "a code span", "\x1b": "ESCAPE", "\t": "TAB"}
    names = [
        repr(char) if char.isascii() and char.isprintable() and char != "'"
        else f"U+{ord(char):04X} {unicodedata.name(char, controls.get(char, 'control character'))}"
        for char in sorted(chars)
    ]  # fmt: skip
    return listed(names, 5)
