"""A lab for the tests, apart from the demo's: it is started once, and stopped when the tests end."""

import os
import shutil
from pathlib import Path

import pytest

from lab import ROOT, daemons, setup
from lab.clone import Clone


@pytest.fixture(scope="session")
def lab():
    """The whole lab, with nothing in it yet. LAB_KEEP=1 leaves it running afterwards, to look around."""
    before = os.environ.get("LAB_DIR")
    os.environ["LAB_DIR"] = str(ROOT / ".lab-test")
    daemons.down()  # of an earlier run that was killed
    shutil.rmtree(os.environ["LAB_DIR"], ignore_errors=True)
    setup.everything()
    daemons.up()
    yield Path(os.environ["LAB_DIR"])
    if not os.environ.get("LAB_KEEP"):
        daemons.down()
    if before is None:
        del os.environ["LAB_DIR"]
    else:
        os.environ["LAB_DIR"] = before


@pytest.fixture(scope="session")
def fleet(lab) -> Clone:
    """A person's clone of a new fleet's repository."""
    return Clone(lab / "person" / "fleet")
