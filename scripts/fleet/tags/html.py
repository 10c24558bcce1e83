"""The HTML in a message's Markdown: which open element hides what is in it."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

# Elements that may hold many paragraphs, and those that are part of one and end with it.
BLOCKS = {
    "details": "a folded block", "blockquote": "a quotation", "table": "a table", "pre": "a code block",
    "template": "an HTML template", "script": "a script", "style": "a style sheet", "textarea": "a text area",
}  # fmt: skip
SPANS = {
    "a": "a link", "q": "a quotation", "code": "code", "kbd": "code", "samp": "code", "tt": "code",
    "del": "struck-out text", "s": "struck-out text", "strike": "struck-out text",
}  # fmt: skip
TAG = re.compile(r"<(/?)([a-z][a-z0-9-]*)", re.IGNORECASE)


class Elements:
    """The open elements at a place in a text."""

    def __init__(self, text: str) -> None:
        lower = text.lower()
        self.closed = {name for name in BLOCKS if f"</{name}" in lower}  # somewhere in the text
        self.open: list[str] = []
        self.floors = [0]  # how many were open before each open quotation or table, which closes none of them

    def enter(self) -> None:
        self.floors.append(len(self.open))

    def leave(self) -> None:
        del self.open[self.floors.pop() :]

    def hidden(self) -> str:
        return BLOCKS[self.open[0]] if self.open else ""

    def with_ends(self, children: "Iterable[Token]") -> "Iterator[tuple[Token, set[str]]]":
        """Each token of a paragraph, and the names of the elements that end behind it."""
        found: set[str] = set()
        result = []
        for child in reversed(list(children)):
            result.append((child, found))
            if child.type == "html_inline" and (tag := TAG.match(child.content)) and tag[1]:
                found = found | {tag[2].lower()} & SPANS.keys()
        return reversed(result)

    def read(self, content: str, spans: list[tuple[str, str]], ends_later: set[str], in_block: bool) -> str:
        """Open or close an element; what is left to say of it, as of `<name>`, which is no element."""
        tag = TAG.match(content)
        name, ends = (tag[2].lower(), bool(tag[1])) if tag else ("", False)
        if name in BLOCKS and ends:
            if name in self.open[self.floors[-1] :]:
                del self.open[len(self.open) - 1 - self.open[::-1].index(name) :]
        elif name in BLOCKS:
            if in_block or name in self.closed:  # otherwise it is only mentioned
                self.open.append(name)
        elif name in SPANS and ends:
            close(spans, name)
        elif name in SPANS:
            if name in ends_later:
                spans.append((name, SPANS[name]))
        elif tag and "[" not in content:
            return content
        return ""


def close(spans: list[tuple[str, str]], name: str) -> None:
    """End the innermost open span of that name, and what was opened in it."""
    for place in range(len(spans) - 1, -1, -1):
        if spans[place][0] == name:
            del spans[place:]
            return
