"""Calls of git: never through a shell, never asking a person, and its own words when it fails.

Whatever git prints was written by strangers. Names reach it only as ids, on standard input or behind `--`.
"""

import os
import re
import subprocess
from pathlib import Path

from fleet.findings import Fault, printable

SERVED = "refs/gitops/served"  # the last commit whose requests were served
WORKSPACES = "refs/gitops/workspaces"  # the last commit of which every workspace of clusters/ was applied
AUTHOR = ("proxmox-gitops", "proxmox-gitops@users.noreply.github.com")

# No question for a password, the language that our patterns know, no flush for each commit on a pipe.
_ALWAYS = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_FLUSH": "0"}
_IF_UNSET = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in zip(("NAME", "EMAIL"), AUTHOR, strict=True)
}


def start(repo: str | Path, *args: str) -> subprocess.Popen[bytes]:
    """A git process with pipes for all that it reads and writes. Raises Fault without git."""
    command = ["git", "-C", str(repo), "-c", "log.showSignature=false", "-c", "commit.gpgSign=false", *args]
    pipe = subprocess.PIPE
    try:
        environment = _IF_UNSET | os.environ | _ALWAYS
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    except FileNotFoundError:
        raise Fault("git is not installed", code=2) from None


def finish(process: subprocess.Popen[bytes], name: str, stdin: bytes = b"", check: bool = True) -> bytes:
    """What a started process prints. Raises Fault with git's own words when it fails."""
    out, err = process.communicate(stdin)
    if process.returncode and check:
        said = last_lines(err.decode(errors="replace"))
        raise Fault(f"git {name}: {printable(said) or 'failed'}", code=2)
    return out


def git(repo: str | Path, *args: str, check: bool = True, stdin: str = "") -> str:
    """Standard output of one command without its last line end. Raises Fault with git's own words."""
    with start(repo, *args) as process:
        out = finish(process, args[0], stdin.encode(), check)
    return out.decode("utf-8", "replace").removesuffix("\n")


def tried(repo: str | Path, *args: str) -> tuple[int, str]:
    """The exit status of a command that may fail, and all that it says."""
    with start(repo, *args) as process:
        out, err = process.communicate()
    return process.returncode, (err + out).decode("utf-8", "replace")


def resolve(repo: str | Path, revision: str) -> str | None:
    """The full id of the commit that `revision` names, or None when this clone does not have it."""
    return resolve_all(repo, revision)[0]


def resolve_all(repo: str | Path, *revisions: str) -> list[str | None]:
    """The same for several, by one call."""
    asked = "".join(f"{' '.join(revision.split())}^{{commit}}\n" for revision in revisions)
    answers = git(repo, "cat-file", "--batch-check", stdin=asked).splitlines()
    return [line.split()[0] if re.fullmatch(r"[0-9a-f]+ commit \d+", line) else None for line in answers]


def is_ancestor(repo: str | Path, older: str, newer: str) -> bool:
    """Whether `older` is reachable from `newer` (a commit is its own ancestor)."""
    return tried(repo, "merge-base", "--is-ancestor", older, newer)[0] == 0


def last_lines(text: str, count: int = 4) -> str:
    """The last lines of what git says, without its hints, in one."""
    lines = [line.strip() for line in text.splitlines()]
    return "; ".join([line for line in lines if line and not line.startswith(("hint:", "Done"))][-count:])
