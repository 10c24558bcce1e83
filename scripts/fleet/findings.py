"""What a script found wrong, reported to a person, as GitHub's annotations or to a program."""

import functools
import gc
import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple, TextIO

from fleet.paths import shown

LEVELS = ("error", "warning", "notice")
FORMATS = ("text", "github", "json")


class Finding(NamedTuple):
    """One problem or remark, at a place in a file. Lines and columns count from 1; 0 means unknown.

    `field` is the field of a VM file, as `disks.scsi1.size`; the message begins with it.
    """

    message: str
    path: str = ""
    line: int = 0
    col: int = 0
    level: str = "error"
    field: str = ""

    def text(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.col) if part)
        level = "" if self.level == "error" else f"{self.level}: "
        return visible(f"{place}: {level}{self.message}" if place else f"{level}{self.message}")

    def annotation(self) -> str:
        """A workflow command; GitHub shows it on the file's line."""
        fields = [("file", self.path), ("line", self.line), ("col", self.col)]
        properties = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in fields if value)
        return visible(f"::{self.level}{' ' if properties else ''}{properties}::{_escape(self.message)}")


class Fault(Exception):
    """A problem that ends the script with a message and no traceback.

    Exit status `code`: 1 for a fault in what was given, 2 for wrong usage or a service out of reach.
    """

    def __init__(self, message: str, path: str = "", line: int = 0, col: int = 0, code: int = 1):
        super().__init__(message)
        self.finding = Finding(message, str(path), line, col)
        self.code = code


def visible(text: str, kept: str = "\n\t") -> str:
    """Text with what a terminal would obey, or cannot show, made visible; line breaks and tabs stay."""
    if text.isprintable():
        return text
    shown = (char if char.isprintable() or char in kept else _escaped(char) for char in text)
    return "".join(shown)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def printable(text: str) -> str:
    """Text of a stranger for a terminal or a runner's log: one line, nothing that either obeys."""
    # The runner reads its old commands anywhere in a line.
    return visible(text, kept="").replace("##[", "# #[").strip()


def cut(text: str) -> str:
    """Enough of a value for a message."""
    return text if len(text) <= 60 else f"{text[:57]}…"


def listed(names: Iterable[object], most: int = 30) -> str:
    """Names for a message: at most `most` of them, the others only counted."""
    names = [str(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def default_format() -> str:
    return "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "text"


def report(findings: Iterable[Finding], fmt: str | None = None, stream: TextIO | None = None) -> int:
    """Print all findings, the most serious first, and return 1 if one of them is an error, else 0.

    `fmt` is one of FORMATS; none given means annotations on a GitHub runner and text elsewhere.
    GitHub reads workflow commands from standard output and standard error alike.
    """
    stream = stream or sys.stderr
    fmt = fmt or default_format()
    ordered = sorted(findings, key=lambda finding: LEVELS.index(finding.level))
    if fmt == "json":
        import json

        print(json.dumps([finding._asdict() for finding in ordered], indent=2), file=stream)
    else:
        for finding in ordered:
            print(finding.annotation() if fmt == "github" else finding.text(), file=stream)
    return int(any(finding.level == "error" for finding in ordered))


def guarded(main: Callable[..., int]) -> Callable[..., int]:
    """Turn a Fault or a file that cannot be used, anywhere below `main`, into a message and exit status."""

    @functools.wraps(main)
    def wrapper(*args, **kwargs) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a terminal that is not UTF-8 lacks some of our characters
                stream.reconfigure(errors="backslashreplace")
        try:
            return main(*args, **kwargs)
        except Fault as fault:
            report([fault.finding])
            return fault.code
        except ModuleNotFoundError as error:
            way_out = f"run scripts/setup_venv.sh, then .venv/bin/python {sys.argv[0]}"
            report([Finding(f"the Python package {error.name} is missing: {way_out}")])
            return 2
        except BrokenPipeError:  # whoever read standard output, such as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 141
        except OSError as error:
            if error.filename is None:  # no file of the user's: a fault of ours
                raise
            report([Finding(error.strerror or "cannot be used", shown(os.fsdecode(error.filename)))])
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        finally:
            gc.freeze()  # the end of the process, which is next, need not look for garbage: a tenth of a run

    return wrapper


def _escape(text: str, more: str = "") -> str:
    # Without this a file name or a message could start a workflow command of its own.
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
