#!/usr/bin/env python3
"""Find the newest build of each cloud image and lock it: its dated address, checksum, size and date.

Reads the catalogue, proxmox/images.yml (or the one that PROXMOX_IMAGES names), and asks the image sites; writes
images.lock.yml beside it, from which templates and machines are made. Prints a table of old and new builds. An
image that cannot be found keeps its locked build, and the others go on.
Exit codes: 0 all is locked, 1 an image was not found, the catalogue has a mistake, or --check found something newer,
2 wrong usage.
"""

from pathlib import Path

from fleet import cli
from fleet.findings import Fault, Finding, guarded, report
from fleet.images import catalogue, lock, update
from fleet.images.catalogue import Image
from fleet.images.lock import Locked
from fleet.paths import shown


def _known(images: dict[str, Image], file: Path, some: bool) -> tuple[dict[str, Locked], list[Finding]]:
    """What is locked. A broken lock is written again as a whole, but not for some of its images."""
    try:
        return lock.of(images, file), []
    except Fault as fault:
        if some:
            raise
        return {}, [fault.finding._replace(level="warning")]


def _findings(rows: list[update.Row], label: str) -> list[Finding]:
    return [
        Finding(
            f"{row.image.name}: {row.fault}",
            label,
            row.image.line,
            level="warning" if row.image.ended else "error",
        )
        for row in rows
        if row.fault
    ]


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("image", nargs="*", help="name or alias of an image (default: all of the catalogue)")
    parser.add_argument("--check", action="store_true", help="write nothing")
    cli.add_format(parser)
    options = parser.parse_args(argv)
    file = catalogue.path()
    images, findings = catalogue.load(file)
    if findings:
        return report(findings, options.format)
    known, findings = _known(images, file, bool(options.image))
    chosen = {catalogue.find(images, word).name for word in options.image} or images.keys()
    rows = update.rows((image for name, image in sorted(images.items()) if name in chosen), known)
    print(update.shown(rows))
    newer = any(row.changed for row in rows)
    if not options.check:
        builds = known | {row.image.name: row.new for row in rows if row.new}
        done = "written" if lock.write(file, builds.values()) else "unchanged"
        print(f"{shown(lock.path(file))}: {done}")
    failed = report([*findings, *_findings(rows, shown(file))], options.format)
    return 1 if failed or (options.check and newer) else 0


if __name__ == "__main__":
    raise SystemExit(main())
