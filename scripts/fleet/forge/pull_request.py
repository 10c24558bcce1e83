"""A pull request as the event describes it, and the messages that each way to merge it would put on the branch."""

from typing import Any, NamedTuple


class PullRequest(NamedTuple):
    number: int
    title: str
    body: str
    branch: str  # owner/name
    base: str  # ids of commits
    head: str
    settings: dict[
        str, Any
    ]  # of the repository; events have them, while the API hides them from a job's token


def of_event(event: dict[str, Any]) -> PullRequest:
    """The pull request of a `pull_request` event. Raises KeyError for another event."""
    pull = event["pull_request"]
    base, head = pull["base"], pull["head"]
    branch = "/".join(head.get("label", head.get("ref", "")).split(":"))
    body = (pull.get("body") or "").replace("\r\n", "\n")
    return PullRequest(
        pull["number"], pull["title"], body, branch, base["sha"], head["sha"], base.get("repo") or {}
    )


def merged(pull: PullRequest, commits: list[str]) -> dict[str, list[str]]:
    """For each way that the repository allows: the messages of the commits that it adds, the newest last.

    `commits`: the branch's own messages, without merges, the oldest first.
    """
    settings = pull.settings
    numbered, single = f"{pull.title} (#{pull.number})", len(commits) == 1
    result = {}
    if settings.get("allow_squash_merge", True):
        title, _, text = commits[0].strip().partition("\n") if single else ("", "", "")
        by_commit = single and settings.get("squash_merge_commit_title") != "PR_TITLE"
        body = {
            "PR_BODY": pull.body,
            "BLANK": "",
        }.get(
            settings.get("squash_merge_commit_message", ""),
            text if single else "\n\n".join(f"* {message.strip()}" for message in commits),
        )
        subject = f"{title} (#{pull.number})" if by_commit else numbered
        result["squash"] = [f"{subject}\n\n{body.strip()}"]
    if settings.get("allow_merge_commit", True):
        classic = f"Merge pull request #{pull.number} from {pull.branch}"
        subject = numbered if settings.get("merge_commit_title") == "PR_TITLE" else classic
        body = {"PR_BODY": pull.body, "BLANK": ""}.get(settings.get("merge_commit_message", ""), pull.title)
        result["merge commit"] = [*commits, f"{subject}\n\n{body.strip()}"]
    if settings.get("allow_rebase_merge", True):
        result["rebase"] = commits
    return result
