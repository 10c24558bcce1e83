"""What a person approved: the open `[destroy NAME]` requests, as extract_ansible_tag.py prints them."""

import json
from pathlib import Path
from typing import NamedTuple

from .findings import Fault


class Approvals(NamedTuple):
    destroy: frozenset[str]
    since: str | None = None  # the requests' range starts after this commit


def load(path: Path | None, more: list[str] | None = None) -> Approvals:
    """Approvals of a requests file and of names given by hand. Raises Fault (exit 2) for another file."""
    if path is None:
        return Approvals(frozenset(more or []))
    try:
        given = json.loads(path.read_text())
        names = [request["name"] for request in given["requests"] if request["action"] == "destroy"]
        return Approvals(frozenset([*names, *(more or [])]), given.get("since"))
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", path, code=2) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("is not what `extract_ansible_tag.py --format json` prints", path, code=2) from error
