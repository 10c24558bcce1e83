"""The lab's forge: a bare Git repository whose pushes run the repository's own workflow files in act.

It applies what act ignores and GitHub does not: branch and path filters, concurrency groups of runs, jobs and
called workflows, and the rule that a push made with a workflow's own token starts nothing. Other modules talk
to it through `lab.forge.client`; `python -m lab.forge` is for people.
"""

from lab import lab_dir


def repository() -> str:
    """The path that a person pushes to."""
    return str(lab_dir() / "forge" / "repo.git")
