"""The client of Proxmox's own tests."""

from tests.proxmox.conftest import use

__all__ = ["use"]
