"""How the command line of every script begins."""

import argparse
import functools


def parser(doc: str, examples: str | None = None) -> argparse.ArgumentParser:
    """A parser whose --help tells all that the script's docstring tells."""
    # A width of its own: asking the terminal imports more than all the rest.
    layout = functools.partial(argparse.RawDescriptionHelpFormatter, width=98)
    return argparse.ArgumentParser(description=doc, epilog=examples, formatter_class=layout)
