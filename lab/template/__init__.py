"""The root file system of the template: a raw ext4 image in the cache, under a hash of what makes it."""

from pathlib import Path

SIZE = 3 << 30
DESCRIPTION = "Debian 12 in a raw ext4 image, started by systemd-nspawn"


def prepare() -> Path:
    raise NotImplementedError
