"""What the tests of the lab have: one Proxmox, for a machine that QEMU boots."""

import pytest

from lab import setup
from tests.lab.conftest import api, hypervisor  # noqa: F401
from tests.qemu import kernel


@pytest.fixture(scope="session")
def boot():
    """A folder with a kernel and an initramfs. Asked for first: nothing can be fetched from the lab's network."""
    setup.everything()
    return kernel.prepare()
