"""What GitHub tells the administrators of a repository: its runner, and the names of its secrets.

settings.json may have `"runner": {"status": "offline"}`, and `"tokens"` of people who may do less: each with a list of
GitHub's permissions, of which `metadata` shows that the repository exists.
"""

from pathlib import Path

from aiohttp import web

from lab.forge import settings

NEEDS = {"/actions/runners": "administration", "/actions/secrets": "secrets",
         "/actions/organization-secrets": "secrets", "/environments": "actions", "/actions": "actions"}  # fmt: skip


def permissions(folder: Path, token: str) -> list[str] | None:
    """Those of a token that settings.json names."""
    return settings.read(folder, {}).get("tokens", {}).get(token)


def refused(has: list[str], path: str) -> web.Response | None:
    """GitHub's answer to a token that lacks a permission; `path`: below the repository."""
    if "metadata" not in has:
        return web.json_response({"message": "Not Found"}, status=404)
    needed = next((right for start, right in NEEDS.items() if path.startswith(start)), "metadata")
    if needed in has:
        return None
    return web.json_response({"message": "Resource not accessible by personal access token"}, status=403)


def runners(folder: Path, busy: bool) -> dict:
    labels = [{"id": number, "name": name, "type": "read-only"}
              for number, name in enumerate(("self-hosted", "Linux", "X64"), 1)]  # fmt: skip
    one = {"id": 1, "name": "lab-runner", "os": "Linux", "status": "online", "busy": busy, "labels": labels}
    return {"total_count": 1, "runners": [one | settings.read(folder, {}).get("runner", {})]}


def secret_names(folder: Path, environment: dict[str, str]) -> dict:
    names = sorted(settings.read(folder, environment)["secrets"])
    return {"total_count": len(names), "secrets": [{"name": name} for name in names]}
