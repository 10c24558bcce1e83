"""What `.env` says, as typed values: whatever is wrong becomes a finding at its line."""

import re
from collections.abc import Mapping
from pathlib import Path

from fleet.arguments import Arguments
from fleet.dotenv import Entry
from fleet.findings import Finding, cut
from fleet.paths import shown
from fleet.vms import values


class Entries(Arguments):
    """The arguments are the variables of one `.env`."""

    def __init__(self, entries: Mapping[str, Entry], path: Path):
        super().__init__({name: entry.value for name, entry in entries.items()}, "")
        self.entries, self.path = entries, path
        self.findings: list[Finding] = []

    def wrong(self, name: str, message: str) -> None:
        finding = Finding(f"{name} {message}", shown(self.path), self._line(name))
        if finding not in self.findings:
            self.findings.append(finding)

    def named(self, name: str) -> str:
        """A variable with its line, for a message about another one."""
        return f"{name} (line {self._line(name)})"

    def words(self, name: str, pattern: str = ".+", form: str = "") -> list[str]:
        """Text with spaces or commas between the words, each of which `pattern` must fit."""
        found = [str(word) for word in values.words(self.text(name))]
        for word in found:
            if not re.fullmatch(pattern, word):
                self.wrong(name, f"has {cut(word)}, which is not {form}")
        return found

    def size(self, name: str) -> str:
        text = self.text(name)
        if text and not values.gib(text):
            self.wrong(name, f"is {cut(text)}, which is not a size in whole GiB such as 50G or 2T")
        return text

    def file(self, name: str) -> str:
        """The absolute path of a file; a relative one is looked for beside `.env`."""
        text = self.text(name, r"[^{}]+", "a path without braces")  # which Ansible would take for a variable
        path = (self.path.parent / Path(text).expanduser()).resolve() if text else None
        if path and not path.is_file():
            self.wrong(name, f"is {cut(text)}, which is not a file")
        return str(path) if path else ""

    def _line(self, name: str) -> int:
        return self.entries[name].line if name in self.entries else 0
