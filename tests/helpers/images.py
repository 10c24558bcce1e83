"""A catalogue of images with its lock, for tests of several rooms."""

from pathlib import Path

from fleet.images import lock
from fleet.images.lock import Locked

FILE = "debian12-20261102-1a2b3c4d.qcow2"
ENTRY = """\
{name}:
  aliases: [{alias}]
  url: https://example.org/{name}.qcow2
  checksums: https://example.org/SHA256SUMS
  user: debian
  agent: {agent}
  firmware: {firmware}
"""


def catalogue(folder: Path, date: str = "2026-11-02") -> Path:
    """images.yml with images.lock.yml. rocky9 has the agent, uefi13 another firmware; new14 is not locked."""
    file = folder / "images.yml"
    entries = (("debian12", "debian-12", "false", "seabios"), ("rocky9", "rocky-9", "true", "seabios"),
               ("uefi13", "uefi-13", "true", "ovmf"), ("new14", "new-14", "true", "seabios"))  # fmt: skip
    keys = ("name", "alias", "agent", "firmware")
    file.write_text("".join(ENTRY.format(**dict(zip(keys, entry, strict=True))) for entry in entries))
    lock.write(file, [locked(name, date) for name in ("debian12", "rocky9", "uefi13")])
    return file


def locked(name: str = "debian12", date: str = "2026-11-02") -> Locked:
    return Locked(
        name, f"https://example.org/{date}/{name}.qcow2", "sha256", "1a2b3c4d" * 8, date, 400_000_000
    )
