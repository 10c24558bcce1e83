"""Which events start a workflow: `on:` with its branch, tag and path filters, as GitHub reads them."""

import re
from collections.abc import Iterable

import yaml

# A push starts nothing if its newest commit contains one of these.
SKIP = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]")


def load(text: str) -> dict:
    """A workflow file as data, with `on` under its own name (YAML 1.1 takes it for a boolean)."""
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(data, dict) or "jobs" not in data:
        raise ValueError("not a workflow: `jobs` is missing")
    if True in data:
        data["on"] = data.pop(True)
    return data


def events(workflow: dict) -> dict[str, dict]:
    """The events that a workflow names, with their filters."""
    on = workflow.get("on") or {}
    if isinstance(on, str):
        return {on: {}}
    if isinstance(on, list):
        return {name: {} for name in on}
    return {name: filters if isinstance(filters, dict) else {} for name, filters in on.items()}


def wants_push(workflow: dict, ref: str, changed: Iterable[str]) -> bool:
    """Whether a push to `ref` (refs/heads/… or refs/tags/…) that changed these files starts the workflow."""
    filters = events(workflow).get("push")
    if filters is None:
        return False
    kind = "tags" if ref.startswith("refs/tags/") else "branches"
    name = ref.split("/", 2)[2]
    named = {key for key in filters if key.split("-")[0] in ("branches", "tags")}
    if named and not named & {kind, f"{kind}-ignore"}:
        return False  # only the other kind of ref was asked for
    return _passes(filters, kind, [name]) and (kind == "tags" or _passes(filters, "paths", changed))


def wants_pull_request(workflow: dict, base: str, changed: Iterable[str], action: str) -> bool:
    """Whether a pull request into branch `base` starts the workflow."""
    filters = events(workflow).get("pull_request")
    if filters is None:
        return False
    if action not in filters.get("types", ("opened", "synchronize", "reopened")):
        return False
    return _passes(filters, "branches", [base]) and _passes(filters, "paths", changed)


def _passes(filters: dict, kind: str, names: Iterable[str]) -> bool:
    if kind in filters:
        return any(matches(filters[kind], name) for name in names)
    if f"{kind}-ignore" in filters:
        return any(not matches(filters[f"{kind}-ignore"], name) for name in names)
    return True


def matches(patterns: str | list[str], name: str) -> bool:
    """Whether the patterns take the name; the last one that fits decides, `!` in front refuses."""
    taken = False
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        refuses = pattern.startswith("!")
        if re.fullmatch(_regex(pattern[refuses:]), name):
            taken = not refuses
    return taken


def _regex(pattern: str) -> str:
    """GitHub's patterns: * stops at a slash, ** does not, ? and + repeat what precedes, [] is a set."""
    text, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
            continue
        if pattern.startswith("**", at):
            text, at = text + ".*", at + 2
            continue
        if char == "[" and "]" in pattern[at:]:
            end = pattern.index("]", at)
            text, at = text + pattern[at : end + 1], end + 1
            continue
        if char == "\\" and at + 1 < len(pattern):
            text, at = text + re.escape(pattern[at + 1]), at + 2
            continue
        text += {"*": "[^/]*", "?": "?", "+": "+"}.get(char) or re.escape(char)
        at += 1
    return text
