"""One issue of ours on the forge: found by label, author and marker; opened, changed, or closed with a comment."""

import urllib.parse
from typing import Any, NamedTuple

from fleet.forge.api import ask

AUTHOR = "github-actions[bot]"
TITLE = "The machines have drifted"
PAGE = 100


class Forge(NamedTuple):
    api: str
    repository: str
    token: str

    def ask(self, path: str, data: dict | None = None, method: str | None = None) -> Any:
        return ask(self.api, f"repos/{self.repository}/{path}", self.token, data, method)


def find(forge: Forge, label: str, marker: str) -> dict | None:
    """The oldest open issue that is ours; one with our marker that somebody else wrote is not."""
    query = urllib.parse.urlencode({"state": "open", "labels": label, "per_page": PAGE, "direction": "asc"})
    for issue in forge.ask(f"issues?{query}"):
        ours = issue["user"]["login"] == AUTHOR and marker in (issue["body"] or "")
        if ours and "pull_request" not in issue:
            return issue
    return None


def keep(forge: Forge, label: str, marker: str, body: str) -> str:
    """Open the issue, or write its body where it differs; what was done."""
    issue = find(forge, label, marker)
    if issue is None:
        made = forge.ask("issues", {"title": TITLE, "body": body, "labels": [label]})
        return f"opened issue {made['number']}"
    if issue["body"].replace("\r\n", "\n").strip() == body.strip():
        return f"issue {issue['number']} says it already"
    forge.ask(f"issues/{issue['number']}", {"body": body}, "PATCH")
    return f"changed issue {issue['number']}"


def close(forge: Forge, label: str, marker: str, comment: str) -> str:
    """Close the issue where one is open; what was done."""
    issue = find(forge, label, marker)
    if issue is None:
        return "no issue is open"
    forge.ask(f"issues/{issue['number']}/comments", {"body": comment})
    forge.ask(f"issues/{issue['number']}", {"state": "closed"}, "PATCH")
    return f"closed issue {issue['number']}"
