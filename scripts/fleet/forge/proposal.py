"""The pull request from a branch that the automation writes. Standard library only."""

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

from fleet.findings import Fault, Finding, printable, report
from fleet.forge import step
from fleet.forge.api import ask

_FORBIDDEN = "not permitted to create or approve pull requests"


class Proposal(NamedTuple):
    branch: str
    base: str
    title: str
    body: str


class NotPermitted(Exception):
    """A setting of the repository, off at first, keeps workflows from opening pull requests."""


def propose(api: str, repository: str, token: str, proposal: Proposal) -> str:
    """Open the branch's pull request, or give the open one this title and body; its address.

    Raises NotPermitted, and Fault for everything else.
    """
    pulls = f"repos/{repository}/pulls"
    text = {"title": proposal.title, "body": proposal.body}
    with _explained(api):
        if there := _of_branch(api, repository, token, proposal, "open"):
            return ask(api, f"{pulls}/{int(there[0]['number'])}", token, text, "PATCH")["html_url"]
        return ask(api, pulls, token, text | {"head": proposal.branch, "base": proposal.base})["html_url"]


def tell(api: str, repository: str, token: str, proposal: Proposal, pushed: str) -> None:
    """Propose, and say where it is. Where workflows may not, warn what was `pushed`, and how to open it by hand.

    The run's summary says the same. Raises Fault.
    """
    try:
        text = f"proposed: {propose(api, repository, token, proposal)}"
        print(text)
    except NotPermitted:
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        text = (
            f"the branch {proposal.branch} {pushed}; open its pull request at"
            f" {server}/{repository}/compare/{proposal.branch}?expand=1, or permit workflows to do it: Settings,"
            " Actions, General, Allow GitHub Actions to create and approve pull requests"
        )
        report([Finding(text, level="warning")])
    step.note(text)


def is_declined(api: str, repository: str, token: str, proposal: Proposal) -> bool:
    """Whether somebody closed a pull request of the branch and none is open. Raises Fault."""
    with _explained(api):
        if _of_branch(api, repository, token, proposal, "open"):
            return False
        closed = _of_branch(api, repository, token, proposal, "closed")
        return any(pull["merged_at"] is None for pull in closed)


def _of_branch(api: str, repository: str, token: str, proposal: Proposal, state: str) -> list[dict]:
    head = f"{repository.partition('/')[0]}:{proposal.branch}"
    query = urllib.parse.urlencode({"state": state, "head": head, "base": proposal.base})
    return ask(api, f"repos/{repository}/pulls?{query}", token)


@contextlib.contextmanager
def _explained(api: str) -> Iterator[None]:
    """What goes wrong, in words. Raises NotPermitted and Fault."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            said = _message(error.read(1 << 16)) or str(error.reason)
        if error.code == 403 and _FORBIDDEN in said:
            raise NotPermitted from None
        hint = "; the job needs `pull-requests: write`" if error.code in (401, 403, 404) else ""
        raise Fault(
            f"{api} answers {error.code} {printable(said)[:200]} to a pull request{hint}", code=2
        ) from None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        said = printable(str(getattr(error, "reason", error)))[:200]
        raise Fault(f"{api} gives no answer that can be used: {said}; run it again", code=2) from None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""
