"""The program talosctl: found, of the right version, and run without a secret in its arguments or on a disk."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from fleet import processes
from fleet.files import temporary
from fleet.findings import Fault, printable
from fleet.talos.cluster import Node, Version, version

MOST = 1 << 20  # bytes of an answer; a machine's configuration has 10 to 40 kB
LOCAL = 60  # seconds for what asks no machine
LEAVING = (
    "talosctl takes a member out of a Talos cluster: install that of the cluster's version as"
    " /usr/local/bin/talosctl, as docs/talos.md says, or name another place in TALOSCTL"
)


class Text(NamedTuple):
    """An argument that talosctl is to read as a file: `before` and then the file's path."""

    content: str
    before: str = ""


class Answer(NamedTuple):
    code: int  # 124: it did not end in time
    out: str
    err: str

    @property
    def problem(self) -> str:
        """What talosctl says is wrong, on one line. Machines decide some of the words."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return printable(" ".join(lines).removeprefix("error ").strip())[-600:] or f"exit code {self.code}"


class Talosctl(NamedTuple):
    program: str

    def make(self, *arguments: str | Text) -> str:
        """Have it make or check something on this computer; what it prints. Raises Fault."""
        done = self._run(arguments, LOCAL)
        if done.code:
            raise Fault(f"talosctl {arguments[0]}: {done.problem}")
        return done.out

    def ask(self, config: str, node: Node, *arguments: str | Text, timeout: float = 30) -> Answer:
        """Ask a machine, under the talosconfig `config`, which proves both sides to each other."""
        place = ("--nodes", node.address, "--endpoints", node.address, "--talosconfig", Text(config))
        return self._run((*arguments, *place), timeout)

    def ask_insecure(self, node: Node, *arguments: str | Text, timeout: float = 30) -> Answer:
        """Ask a machine without a configuration, which cannot prove who it is."""
        return self._run((*arguments, "--insecure", "--nodes", node.address), timeout)

    def _run(self, arguments: tuple[str | Text, ...], timeout: float) -> Answer:
        with _files([one.content for one in arguments if isinstance(one, Text)]) as (paths, handles):
            left = iter(paths)
            words = [one.before + next(left) if isinstance(one, Text) else one for one in arguments]
            try:
                done = processes.answer(
                    [self.program, *words], timeout, MOST, pass_fds=handles, env=_ENVIRONMENT
                )
            except subprocess.TimeoutExpired:
                return Answer(124, "", f"no answer within {timeout:.0f} s")
            except processes.Endless:
                return Answer(125, "", "an answer without end; look at the machine")
        return Answer(done.returncode, done.stdout, done.stderr)


# Nothing of this user's: neither a talosconfig of another cluster nor a proxy between here and the machines.
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "NO_COLOR": "1"}


@contextlib.contextmanager
def _files(texts: list[str]) -> Iterator[tuple[list[str], list[int]]]:
    """Paths under which a child finds the texts, and the handles that it must inherit for them.

    In memory where the system can; elsewhere in a folder of this user's, removed at the end.
    """
    if not hasattr(os, "memfd_create"):
        with temporary("talos-") as folder:
            files = [folder / str(number) for number in range(len(texts))]
            for file, text in zip(files, texts, strict=True):
                file.touch(mode=0o600)
                file.write_text(text, "utf-8")
            yield [str(file) for file in files], []
        return
    handles: list[int] = []
    try:
        for text in texts:
            handles.append(os.memfd_create("talos"))
            with open(handles[-1], "wb", closefd=False) as file:
                file.write(text.encode())
        yield [f"/proc/self/fd/{handle}" for handle in handles], handles
    finally:
        for handle in handles:
            os.close(handle)


def find(wanted: Version) -> Talosctl:
    """talosctl of exactly that version, by TALOSCTL or in PATH. Raises Fault."""
    program = located(_installing(wanted))
    said = Talosctl(program).make("version", "--client")
    found = re.search(r"^\s*(?:Talos|Tag:)\s*(v\S+)", said, re.MULTILINE)
    if not found:
        raise Fault(f"{program} tells no version; {_installing(wanted)}", code=2)
    if version(found[1], f"the version of {program}") != wanted:
        message = (
            f"{program} is {printable(found[1])}, and talos_version is {wanted}: one version must not make the"
            f" configuration of another; {_installing(wanted)}"
        )
        raise Fault(message, code=2)
    return Talosctl(program)


def located(how: str) -> str:
    """talosctl of any version. Raises Fault, with `how` to install it."""
    named = os.environ.get("TALOSCTL", "")
    if program := shutil.which(named or "talosctl"):
        return program
    where = f"TALOSCTL is {named}, which is not a program" if named else "talosctl is not in PATH"
    raise Fault(f"{where}; {how}", code=2)


def _installing(wanted: Version) -> str:
    return (
        f"install talosctl-linux-amd64 of https://github.com/siderolabs/talos/releases/tag/{wanted} after comparing its"
        " checksum, as /usr/local/bin/talosctl, or name another place in TALOSCTL"
    )
