"""What the tags of a pull request will ask for, by the ways in which it may be merged."""

import re
from pathlib import Path

from fleet.findings import Finding
from fleet.forge.pull_request import PullRequest, merged
from fleet.tags import ranges, requests

# GitHub starts no workflow for a push whose newest commit says so.
SKIP = re.compile(
    r"\[(?:skip ci|ci skip|no ci|skip actions|actions skip)\]|^skip-checks: ?true$", re.MULTILINE
)


def check(repo: Path, vms: str, pull: PullRequest, known: requests.Known) -> list[Finding]:
    """What is wrong with the messages that would be merged, and which tags a way to merge would lose."""
    branch = ranges.given_range(repo, vms, f"{pull.base}..{pull.head}")
    messages = ranges.messages(repo, pull.base, pull.head)
    asked, _ = requests.collect(repo, vms, branch, known)
    written = {f"[{one.action} {one.name}]": f"commit {one.commit[:10]}" for one in asked}
    description = ranges.of_messages(f"{pull.title}\n\n{pull.body}")
    for one in requests.collect(repo, vms, description, known)[0]:
        written.setdefault(f"[{one.action} {one.name}]", "the title or the description")
    ways = merged(pull, messages)
    told: dict[Finding, list[str]] = {}
    lost: dict[str, list[str]] = {}
    for way, texts in ways.items():
        if way == "squash":
            arriving, wrong = requests.collect(repo, vms, ranges.of_messages(texts[0]), known)
        else:  # the branch's own commits arrive as they are
            above, wrong = requests.collect(
                repo, vms, ranges.of_messages("\0".join(texts[len(messages) :])), known
            )
            own, more = requests.collect(repo, vms, branch, known)
            arriving, wrong = [*own, *above], [*more, *wrong]
        for finding in wrong:
            told.setdefault(finding, []).append(way)
        for tag in written.keys() - {f"[{one.action} {one.name}]" for one in arriving}:
            lost.setdefault(tag, []).append(way)
        if texts and SKIP.search(texts[-1]):
            said = "the newest message has [skip ci] or the like, so that GitHub starts no workflow and tags wait"
            told.setdefault(Finding(f"{said} for the next push", level="warning"), []).append(way)
    findings = [*branch.findings]
    for finding, by in told.items():
        where = "" if len(by) == len(ways) else f"merged by {' or '.join(by)}: "
        findings.append(finding._replace(message=f"{where}{finding.message}"))
    for tag, by in sorted(lost.items()):
        said = f"{tag} of {written[tag]} would be lost by {' or '.join(by)}"
        other = [way for way in ways if way not in by]
        out = f"merge by {' or '.join(other)}, or write it" if other else "write it"
        place = "into the title and into a commit's message"
        findings.append(Finding(f"{said}; {out} {place}", level="warning" if other else "error"))
    return findings
