"""Questions to GitHub's REST API. Standard library only: some jobs install nothing else."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from fleet.findings import Fault


class Unreachable(Exception):
    """The API did not answer this time; it may the next."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, as of a renamed repository, on the same host only: the token goes with it."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urllib.parse.urlsplit(newurl)[:2] == urllib.parse.urlsplit(req.full_url)[:2]:
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        return None  # an error, like every other answer that is not the one asked for


def ask(api: str, path: str, token: str, data: dict | None = None, method: str | None = None) -> Any:
    """What the API answers to a question, or to `data` that is sent. Raises what urllib and json do, and Fault."""
    url = f"{api.rstrip('/')}/{path}"
    if not url.startswith(("https://", "http://")):
        raise Fault(f"{api} is not the address of an API", code=2)
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if not token.isascii() or not token.isprintable():  # http.client's own words would quote it
        raise Fault("the token for GitHub has a line break or a character that no token has", code=2)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = None if data is None else json.dumps(data).encode()
    opener = urllib.request.build_opener(_SameHost)
    request = urllib.request.Request(url, body, headers, method=method)
    with opener.open(request, timeout=15) as answer:
        return json.load(answer)


def find_run(api: str, repository: str, workflow: str, sha: str, token: str) -> dict | None:
    """The newest run of the workflow for this head, as GitHub describes it. Raises Unreachable or Fault."""
    query = urllib.parse.urlencode({"head_sha": sha, "per_page": 20})
    path = f"repos/{repository}/actions/workflows/{urllib.parse.quote(workflow)}/runs?{query}"
    try:
        runs = ask(api, path, token)["workflow_runs"]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 404) or (error.code == 403 and "rate limit" not in str(error.reason).lower()):
            hint = f"{repository} with {workflow} must exist, and the job needs `actions: read`"
            raise Fault(f"{api} answers {error.code} {error.reason}: {hint}", code=2) from None
        raise Unreachable(f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unreachable(str(getattr(error, "reason", error)) or repr(error)) from None
    return max(runs, key=lambda run: run["id"], default=None)
