"""The repository: calling git, publishing a commit, what was deleted."""
