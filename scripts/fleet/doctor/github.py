"""GitHub: the repository as its token sees it, the runner, the secrets, and how the last runs ended."""

import http.client
import urllib.error
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fleet.doctor.configured import machines, setting
from fleet.doctor.line import Line, red, skipped, warning
from fleet.findings import Fault, listed, printable
from fleet.forge import api
from fleet.forge.runs import GOOD
from fleet.names import contexts_of
from fleet.settings import SETTINGS

LABEL = "self-hosted"
WORKFLOWS = ("terraform-apply.yml", "ansible.yml")
MOST = 10  # environments whose secrets are listed


class Repository:
    def __init__(self) -> None:
        self.name, self.token = setting("GITHUB_REPOSITORY"), setting("GITHUB_TOKEN")
        self.api = setting("GITHUB_API_URL") or "https://api.github.com"

    def ask(self, path: str = "") -> Any:
        """What the API answers below the repository. Raises HTTPError; Fault when it does not answer."""
        try:
            return api.ask(self.api, f"repos/{self.name}{path}", self.token)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Fault(f"{self.api} does not answer: {getattr(error, 'reason', error)}", code=2) from None


def repository(one: Repository) -> Line:
    name, wanted = "repository", "one that GITHUB_TOKEN may read"
    if missing := [variable for variable in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not setting(variable)]:
        return skipped(name, f"set {' and '.join(missing)} to have the repository's side checked")
    try:
        about = one.ask()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            return red(
                name,
                "the token is unknown or has expired",
                wanted,
                "`gh auth token` prints another; set GITHUB_TOKEN",
            )
        if error.code in (403, 404):
            mend = "correct GITHUB_REPOSITORY, or give the token read access (Contents, Actions: read)"
            return red(name, f"{one.name} does not exist, or the token may not see it", wanted, mend)
        return red(name, f"{one.api} answers {error.code}", wanted, "look at https://www.githubstatus.com")
    may = [right for right, given in (about.get("permissions") or {}).items() if given]
    private = "private" if about.get("private", True) else "PUBLIC"
    found = f"{one.name}, {private}{f'; the token may {listed(may, 5)}' if may else ''}"
    if private == "PUBLIC":
        mend = f"`gh repo edit {one.name} --visibility private --accept-visibility-change-consequences`"
        return warning(
            name, f"{found}: everybody reads your machines' names and addresses", "a private one", mend
        )
    return Line(name, found, wanted)


def _allowed(one: Repository, path: str, right: str) -> tuple[Any, str]:
    """(answer, ""), or (None, why it was not given); `right`: what a token needs for it."""
    try:
        return one.ask(path), ""
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 403:
            return None, f"not asked: the token lacks {right}"
        if error.code == 404:
            return None, "GitHub has none, or the token may not see it"
        raise Fault(f"{one.api} answers {error.code} {printable(str(error.reason))}", code=2) from None


def runner(one: Repository) -> Line:
    name, wanted = "runner", f"one with the label {LABEL} that is online"
    answer, why = _allowed(one, "/actions/runners?per_page=100", "Administration: read")
    if answer is None:
        return skipped(name, why)
    ours = [
        entry
        for entry in answer["runners"]
        if LABEL in [label.get("name") for label in entry.get("labels") or ()]
    ]
    online = sorted(entry["name"] for entry in ours if entry.get("status") == "online")
    if online:
        busy = sum(bool(entry.get("busy")) for entry in ours)
        return Line(name, printable(f"{listed(online, 4)} online, {busy} busy"), wanted)
    if ours:
        mend = "on the runner: `sudo ./svc.sh start` in its folder"
        return red(name, printable(f"{listed(entry['name'] for entry in ours)} offline"), wanted, mend)
    return red(name, "there is none", wanted, "set one up as docs/install.md, step 5, says")


def secrets(one: Repository) -> Line:
    """Names only: GitHub tells no value. An environment of the repository may have them as well."""
    name = "secrets"
    has: set[str] = set()
    answer, why = _allowed(one, "/actions/secrets?per_page=100", "Secrets: read")
    if answer is None:
        return skipped(name, why)
    has |= {entry["name"] for entry in answer["secrets"]}
    shared, _ = _allowed(one, "/actions/organization-secrets?per_page=100", "Secrets: read")
    has |= {entry["name"] for entry in (shared or {}).get("secrets", ())}
    places, _ = _allowed(one, f"/environments?per_page={MOST}", "Actions: read")
    for place in (places or {}).get("environments", ())[:MOST]:
        inside, _ = _allowed(one, f"/environments/{quote(place['name'], safe='')}/secrets?per_page=100", "")
        has |= {entry["name"] for entry in (inside or {}).get("secrets", ())}
    needed = [setting for setting in SETTINGS if setting.needed == "always" or _for_clusters(setting.needed)]
    wanted = listed(setting.name for setting in needed)
    if missing := [setting.name for setting in needed if setting.name not in has]:
        return red(
            name, f"{listed(missing)} not set", wanted, f"`gh secret set {missing[0]} --repo {one.name}`"
        )
    return Line(name, f"all {len(needed)} that a run needs", wanted)


def _for_clusters(needed: str) -> bool:
    return needed == "clusters" and any(contexts_of(one.name) for one in machines())


def last_runs(one: Repository) -> Iterator[Line]:
    for file in WORKFLOWS:
        name, wanted = f"last run of {file.removesuffix('.yml')}", "success"
        answer, why = _allowed(one, f"/actions/workflows/{file}/runs?per_page=1", "Actions: read")
        if answer is None:
            yield skipped(name, why)
        elif not answer["workflow_runs"]:
            yield skipped(name, "it never ran")
        else:
            run = answer["workflow_runs"][0]
            state = run["conclusion"] or run["status"]
            when = str(run.get("created_at", ""))[:16].replace("T", " ")
            found = printable(f"{state}, {when}: {run.get('display_title', '')[:60]}")
            if run["conclusion"] in (*GOOD, None):
                yield Line(name, found, wanted)
            else:
                mend = f"`gh run view {run['id']} --log-failed --repo {one.name}`"
                yield warning(name, found, wanted, mend)
