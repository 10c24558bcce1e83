"""What a commit message says, and what it only quotes, shows, offers or withdraws.

A message is plain text, and often Markdown: a squash contains a pull request's description, with its template,
release notes and quotations. It is read as a forge shows it. For what is not said, the reason is kept, because a
person may have written a tag there.
"""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fleet.tags.html import Elements, close

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

GONE = "\0"  # in place of a part of a line that is not said
CONTAINERS = {"blockquote": "a quotation", "table": "a table"}
SPANS = {"link": "a link", "s": "struck-out text"}
MERGE = re.compile(r"Merge (?:pull request|branch|remote-tracking branch|tag|commit) ")
BOX = re.compile(r"\[([ xX]?)\](?=\s|$)")
TASK = "an unticked task"


class Line(NamedTuple):
    text: str  # as written, but for GONE
    hidden: str = ""  # why none of it is said
    title: bool = False  # of a commit or a pull request: what a person decided to write


def lines(message: str) -> Iterator[Line]:
    """The lines of a message in order, and each hidden part as a line of its own."""
    title, _, body = message.replace("\r\n", "\n").lstrip("\n").partition("\n")
    for line in _Reader(title).inline(_parser().parseInline(title)[0]):
        yield line._replace(title=True)
    merge, squash = MERGE.match(title), body.lstrip().startswith("* ")
    reader = _Reader(body)
    for token in _parser().parse(body):
        for line in reader.block(token):
            yield line._replace(title=bool(merge) or (squash and line.title))
            merge = (
                merge if line.hidden else None
            )  # the first line of a merge's body is the pull request's title


@functools.cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    # Tables and struck-out text are what GitHub and GitLab add to CommonMark. Without `normalize`, a lone carriage
    # return stays what it is; without `text_join`, an escaped bracket differs from a bracket.
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["normalize", "text_join"])
    parser.inline.ruler.before("html_inline", "comment", _comment)
    return parser


def _comment(state: "StateInline", silent: bool) -> bool:
    """A rule of the parser, whose own one does not know that `--->` ends a comment."""
    start = state.pos
    if not state.src.startswith("<!--", start) or state.html_terminator_last("-->") < start + 2:
        return False
    end = state.src.index("-->", start + 2) + 3
    if end > state.posMax:
        return False
    state.pos = end
    if not silent:
        state.push("html_inline", "", 0).content = state.src[start:end]
    return True


class _Reader:
    """Reads the tokens of one text in order."""

    def __init__(self, text: str) -> None:
        self.html = Elements(text)
        self.quotes: list[str] = []  # why the open quotations and tables are not said
        self.items: list[
            str | None
        ] = []  # why the open list items are not said; "" if ticked, None if no task
        self.marks: list[str] = []  # how they begin
        self.first = False  # the next text begins its list item

    def block(self, token: "Token") -> Iterator[Line]:
        name, _, end = token.type.rpartition("_")
        if name in CONTAINERS and end == "open":
            self.quotes.append(CONTAINERS[name])
            self.html.enter()
        elif name in CONTAINERS and end == "close":
            self.quotes.pop()
            self.html.leave()
        elif token.type == "list_item_open":
            self.items.append(None)
            self.marks.append(token.markup)
            self.first = True
        elif token.type == "list_item_close":
            self.items.pop()
            self.marks.pop()
        elif token.type in ("fence", "code_block"):
            yield Line(token.content, "a code block" if token.type == "fence" else "an indented code block")
        elif token.type == "html_block" and re.match(r"\s*<[?!](?!--)", token.content):
            yield Line(token.content, "an HTML declaration")
        elif token.type == "html_block":
            endless = token.content.rfind("<!--") > token.content.rfind("-->")
            inner = _parser().parseInline(token.content + "\n-->" * endless)[0]
            yield from self.inline(inner, in_block=True)
        elif token.type == "inline":
            yield from self.inline(token)

    def inline(self, token: "Token", in_block: bool = False) -> Iterator[Line]:
        """The lines of a paragraph, heading or HTML block."""
        box = BOX.match(token.content)
        if box and self.first:
            self.items[-1] = "" if box[1].strip() else TASK
        offered = TASK if box and not box[1].strip() else ""
        # How a squash lists commits; of another list this is no title, which lines() knows.
        title, self.first = self.first and self.marks == ["*"], False
        spans: list[tuple[str, str]] = []  # what is open in the paragraph, and why that is not said
        said = ""
        for child, ends_later in self.html.with_ends(token.children or []):
            name, _, end = child.type.rpartition("_")
            hidden = offered or self._hidden() or (spans[-1][1] if spans else "")
            if child.type in ("softbreak", "hardbreak"):
                yield Line(said, title=title)
                said, title = "", False
            elif name in ("em", "strong"):
                said += child.markup  # it may be part of a name
            elif name in SPANS and end == "open":
                spans.append((name, SPANS[name]))
            elif name in SPANS:
                close(spans, name)
            elif child.type == "html_inline":
                said += self.html.read(child.content, spans, ends_later, in_block) or GONE
                yield Line(child.content, "an HTML comment" if child.content.startswith("<!") else "HTML")
            elif child.type in ("text", "text_special") and not hidden:
                # An escaped bracket was written by who means none.
                plain = child.type == "text" or (child.content.isprintable() and child.content not in "[]")
                said += child.content if plain else GONE
            else:
                said += GONE
                yield Line(child.content, hidden or ("an image" if child.type == "image" else "code"))
        yield Line(said, title=title)

    def _hidden(self) -> str:
        task = next((why for why in reversed(self.items) if why is not None), "")
        return next(iter(self.quotes), "") or task or self.html.hidden()
