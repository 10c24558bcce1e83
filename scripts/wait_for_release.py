#!/usr/bin/env python3
"""Wait until the release run of a commit has ended: its changelog commit comes before Terraform's.

Asks GitHub's REST API for the runs of release.yml with that head. Whatever its end, Terraform may go on: a
failed release, one that does not end in time or that never began is a warning. Standard library only.

Exit: 0 go on, 2 wrong usage or the API could not be asked until the time was over.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

from fleet import cli
from fleet.findings import Fault, Finding, guarded, report
from fleet.forge import step

GOOD = ("success", "skipped", "neutral")


class Unreachable(Exception):
    """The API gave no answer this time."""


def find_run(api: str, repository: str, workflow: str, sha: str, token: str) -> dict | None:
    """The newest run of the workflow for this head, as GitHub tells it. Raises Unreachable or Fault."""
    query = urllib.parse.urlencode({"head_sha": sha, "per_page": 20})
    url = (
        f"{api.rstrip('/')}/repos/{repository}/actions/workflows/{urllib.parse.quote(workflow)}/runs?{query}"
    )
    if not url.startswith(("https://", "http://")):
        raise Fault(f"{api} is no address of an API", code=2)
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=15) as answer:
            runs = json.load(answer)["workflow_runs"]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 404) or (error.code == 403 and "rate limit" not in str(error.reason).lower()):
            hint = f"{repository} with {workflow} must exist, and the job needs `actions: read`"
            raise Fault(f"{api} answers {error.code} {error.reason}: {hint}", code=2) from None
        raise Unreachable(f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unreachable(str(getattr(error, "reason", error)) or repr(error)) from None
    return max(runs, key=lambda run: run["id"], default=None)


def wait(ask, seconds: float, grace: float, interval: float) -> Finding | None:
    """Wait with `ask() -> run`; None when the release is well, else what to warn of. Raises Fault."""
    began = time.monotonic()
    told = trouble = ""
    pause = min(0.5, interval)
    while True:
        waited = time.monotonic() - began
        try:
            run, trouble = ask(), ""
        except Unreachable as error:
            run, trouble = None, str(error)
        if run and run["status"] == "completed":
            if run["conclusion"] in GOOD:
                print(f"release: {run['conclusion']} after {waited:.0f} s of waiting")
                return None
            said = f"the release run ended with {run['conclusion']}, Terraform goes on without it"
            return Finding(f"{said}: {run.get('html_url', '')}", level="warning")
        if run is None and not trouble and waited >= grace:
            return Finding(
                f"no release run of this commit after {grace:.0f} s, Terraform goes on", level="warning"
            )
        if waited >= seconds:
            if trouble:
                raise Fault(f"the API could not be asked for {seconds:.0f} s: {trouble}", code=2)
            said = f"the release run is still {run['status'] if run else 'missing'} after {seconds:.0f} s"
            return Finding(f"{said}, Terraform goes on", level="warning")
        state = (
            f"the API does not answer ({trouble})" if trouble else run["status"] if run else "not there yet"
        )
        if state != told:
            print(f"waiting for the release run, at most {seconds - waited:.0f} s more: {state}", flush=True)
            told = state
        time.sleep(min(pause, max(0.0, seconds - waited)))
        pause = min(interval, pause * 1.2)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    env = os.environ.get
    parser.add_argument("--sha", default=env("GITHUB_SHA"), help="the commit (default: GITHUB_SHA)")
    parser.add_argument(
        "--repository",
        default=env("GITHUB_REPOSITORY"),
        metavar="OWNER/NAME",
        help="default: GITHUB_REPOSITORY",
    )
    parser.add_argument("--workflow", default="release.yml", help="(default: %(default)s)")
    parser.add_argument(
        "--api",
        default=env("GITHUB_API_URL") or "https://api.github.com",
        metavar="URL",
        help="default: GITHUB_API_URL, else GitHub's",
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="at most 300 (default: %(default)s)"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=30,
        metavar="SECONDS",
        help="how long a run may be missing (default: 30)",
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=5,
        metavar="SECONDS",
        help="at most, between two questions (default: 5)",
    )
    options = parser.parse_args(argv)
    if not options.sha or not options.repository:
        raise Fault("--sha and --repository are needed outside a workflow", code=2)

    token = env("GITHUB_TOKEN", "")

    def ask() -> dict | None:
        return find_run(options.api, options.repository, options.workflow, options.sha, token)

    warning = wait(ask, min(options.timeout, 300), options.grace, options.interval)
    if warning:
        step.note(f"Release: {warning.message}")
        report([warning])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
