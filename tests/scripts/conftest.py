"""The repository that tests of tags work in."""

from tests.helpers.clone import extract, repo

__all__ = ["extract", "repo"]
