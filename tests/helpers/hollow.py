"""A Proxmox of the lab's alone, whose machines are empty processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import daemons, lab_dir, network


@contextmanager
def hollow_proxmox(folder: Path) -> Iterator[Path]:
    """The tests' thread is in its network, and trusts its certificates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(folder / "lab"))
        patch.setenv("LAB_PROXMOX_HOLLOW", "1")
        try:
            daemons.up(["proxmox"])
            for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
                patch.setenv(name, str(lab_dir() / "tls/bundle.pem"))
            with network.inside():
                yield lab_dir()
        finally:  # of what a failing start has left, too
            daemons.down()
