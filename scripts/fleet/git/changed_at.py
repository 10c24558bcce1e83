"""When files were last committed."""

from pathlib import Path

from fleet.git.command import git


def changed_at(repo: Path, *paths: str) -> dict[str, str]:
    """Each file below `paths`, also one that is gone, to the time of its last commit in ISO 8601, by one call of git.

    Empty where the folder is no repository.
    """
    log = git(repo, "log", "--format=%x00%cI", "--name-only", "--no-renames", "-z", "--", *paths, check=False)
    found: dict[str, str] = {}
    when = ""
    for part in log.split("\0"):
        name = part.strip("\n")
        if name.startswith(paths):
            found.setdefault(name, when)
        elif name:
            when = name
    return found
