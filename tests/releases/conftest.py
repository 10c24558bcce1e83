"""The mirror that helm's provider comes from."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def helm_mirror() -> Path:
    return Path(os.environ["HELM_MIRROR"])
