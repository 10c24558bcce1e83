"""Code and quotations in a commit message, as Markdown marks them: no tag is read there."""

import re
from collections.abc import Iterator

FENCE = re.compile(r"\s*(`{3,}|~{3,})(.*)")


def lines_of(message: str) -> Iterator[tuple[str, str]]:
    """Each line with the name of the block that hides it, or an empty string."""
    fence = ""
    for line in message.split("\n"):
        line = line.removesuffix("\r")
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            yield line, "a code block"
        elif mark and "`" not in mark[2]:
            fence = mark[1]
            yield line, "a code block"
        elif line.startswith(("    ", "\t")):
            yield line, "an indented code block"
        elif line.lstrip().startswith(">"):
            yield line, "a quotation"
        else:
            yield line, ""


def without_code_spans(line: str) -> str:
    if "`" not in line:
        return line
    runs = [(match.start(), match.end()) for match in re.finditer("`+", line)]
    if len(runs) < 2:
        return line
    following: dict[int, int] = {}  # length of a run of backticks -> the next such run
    closing = [-1] * len(runs)
    for i in range(len(runs) - 1, -1, -1):
        length = runs[i][1] - runs[i][0]
        closing[i] = following.get(length, -1)
        following[length] = i
    kept, position, i = [], 0, 0
    while i < len(runs):
        if closing[i] < 0:
            i += 1
            continue
        kept.append(line[position : runs[i][0]])
        position, i = runs[closing[i]][1], closing[i] + 1
    return "\x00".join([*kept, line[position:]])
