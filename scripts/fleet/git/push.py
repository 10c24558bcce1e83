"""One push, and what its failure means: try again, or a person has to do something first."""

import re
from pathlib import Path

from fleet.findings import Fault, printable
from fleet.git.command import last_lines, tried

# What git or the server says: who pushed first, what will pass, and what no retry can mend.
_PROTECTED = re.compile(r"GH006|GH013|protected branch|rule violations|pre-receive hook declined", re.I)
# Rules that name who may pass; no key passes others, as that on secrets in a commit or on its message.
_BYPASS = re.compile(
    r"pull request|status checks?|protected (?:branch|ref)|not (?:authorized|allowed) to push|verified signature"
    r"|merge queue",
    re.I,
)
_FORBIDDEN = re.compile(
    r"Permission .*denied|returned error: 40[13]|Authentication failed|could not read Username", re.I
)
WORKFLOWS = re.compile(r"refusing to allow .* to create or update workflow[^)\n]*", re.I)
_LOST_RACE = re.compile(r"\[rejected\]|fetch first|non-fast-forward|stale info|cannot lock ref", re.I)


def push(repo: str | Path, *args: str) -> str:
    """Push atomically: "" when done, git's words when another attempt may succeed, a Fault when none will."""
    status, said = tried(repo, "push", "--porcelain", "--atomic", args[0], "origin", *args[1:])
    if status == 0:
        return ""
    if _PROTECTED.search(said):
        rules = _remote(said)
        way_out = "change that rule, or what it refuses"
        if _BYPASS.search(rules):
            way_out = "let a deploy key with write access bypass the rule, and store it as secret DEPLOY_KEY"
        raise Fault(f"a rule of the repository refuses this push; {way_out}; the server said: {rules}")
    if _FORBIDDEN.search(said) and not _LOST_RACE.search(said):
        message = f"not allowed to push, the job needs `contents: write`; git said: {last_lines(said)}"
        raise Fault(message, code=2)
    refused = WORKFLOWS.search(said)
    return refused[0] if refused else last_lines(said)


def _remote(said: str) -> str:
    """What the server says, line by line: it names the rules that were broken."""
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:")]
    lines = [printable(line) for line in lines if line.strip("- \u2014\u2013")]
    return "; ".join(lines[:12]) if lines else printable(last_lines(said))
