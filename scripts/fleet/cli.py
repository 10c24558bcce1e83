"""How the command line of every script begins, and the options that several have."""

import argparse
import functools
from pathlib import Path

from fleet import settings
from fleet.findings import FORMATS
from fleet.paths import INVENTORY, QUEUE, shown


def parser(doc: str, examples: str | None = None) -> argparse.ArgumentParser:
    """A parser whose --help tells all that the script's docstring tells; the settings are tidied up."""
    settings.strip()
    # A width of its own: asking the terminal imports more than all the rest.
    layout = functools.partial(argparse.RawDescriptionHelpFormatter, width=98)
    return argparse.ArgumentParser(description=doc, epilog=examples, formatter_class=layout)


def add_inventory_and_queue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--inventory", type=Path, default=INVENTORY, help=f"default: {shown(INVENTORY)}")
    parser.add_argument("--queue", type=Path, default=QUEUE, help=f"default: {shown(QUEUE)}")


def add_known_hosts(parser: argparse.ArgumentParser) -> None:
    text = "record of the machines' host keys (default: known_hosts beside the inventory)"
    parser.add_argument("--known-hosts", type=Path, metavar="FILE", help=text)


def add_format(parser: argparse.ArgumentParser) -> None:
    text = "of findings (default: github on a runner, else text)"
    parser.add_argument("--format", choices=FORMATS, help=text)
