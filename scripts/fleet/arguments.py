"""What a play gives a step, typed: Ansible hands on text as often as numbers and booleans."""

import re
from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault, cut

# Forms of values that several rooms read.
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
BRIDGE = r"[A-Za-z][A-Za-z0-9_.-]{0,14}"
USER = r"[a-z_][a-z0-9_-]{0,31}"
DOMAIN = r"[A-Za-z0-9.-]{1,253}"
CHECKSUM = r"sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128}"

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Arguments:
    """The values by name, "" or None where nothing is given; `problems` collects what is wrong.

    `prefix` makes the name that the play's author knows: that of the role's variable.
    """

    def __init__(self, given: Mapping[str, Any], prefix: str):
        self.given, self.prefix = given, prefix
        self.problems: list[str] = []

    def wrong(self, name: str, message: str) -> None:
        self.problems.append(f"{self.prefix}{name} {message}")

    def check(self) -> None:
        """Raises Fault with all problems."""
        if self.problems:
            raise Fault("; ".join(self.problems))

    def text(self, name: str, pattern: str = "", form: str = "") -> str:
        """One line of text, which `pattern` must fit; `form` says what that is."""
        value = self.given.get(name)
        text = "" if value is None else str(value).strip()
        if text and not text.isprintable():
            self.wrong(name, "has a line break or a control character; remove it")
        elif text and pattern and not re.fullmatch(pattern, text):
            self.wrong(name, f"is {cut(text)}, which is not {form}")
        else:
            return text
        return ""

    def number(self, name: str, least: int, most: int) -> int | None:
        form = f"a whole number from {least} to {most}"
        text = self.text(name, r"[0-9]{1,10}", form)
        if text and not least <= int(text) <= most:
            self.wrong(name, f"is {text}, which is not {form}")
        return int(text) if text else None

    def flag(self, name: str) -> bool | None:
        text = self.text(name).lower()
        if text not in ("", *_TRUE, *_FALSE):
            self.wrong(name, f"is {cut(text)}; write true or false")
        return None if text == "" else text in _TRUE
