"""The project and the fleets that tests of upgrades work in."""

from tests.helpers.upstream import nobody, project, run

__all__ = ["nobody", "project", "run"]
