"""What a template says of itself in its notes and tags, so that no file elsewhere has to know it."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

KEY = "gitops-template: "
TEMPLATE = "template"  # a tag, as BUILDING and RETIRED are
QUIET = 3600  # seconds between two stages of a build, at most
_PLAY = os.getppid()  # a step runs in a child of ansible-playbook, and may outlive it
STAGES = ("created", "configured", "sealing", "sealed", "converted", "done")


class Notes(NamedTuple):
    """`vmid`: the guest's own, since whoever clones a template by hand gets its notes and tags too.

    `stage`: the last of STAGES that was reached; `at`: when, in seconds since 1970; `builder`: by which play, as
    computer/process; "" once it is done.
    """

    vmid: int
    name: str
    image: str
    file: str
    url: str
    checksum: str
    fingerprint: str
    agent: bool
    built: str = ""
    stage: str = ""
    builder: str = ""
    at: int = 0

    def render(self) -> str:
        """The notes of the template, as Proxmox shows them."""
        what = f"Template of {self.image}, image {self.file}" + (
            f", built {self.built}." if self.built else "."
        )
        return f"{what}\n\n{KEY}{json.dumps(self._asdict(), sort_keys=True)}"

    def tags(self, tag: str) -> str:
        return ";".join(sorted({tag, self.image, f"fp-{self.fingerprint[:8]}"}))

    def reached(self, stage: str) -> "Notes":
        return self._replace(stage=stage, builder=_myself(), at=int(time.time()))

    def is_alive(self) -> bool:
        """Whether another play works on it at the moment, as far as one can tell from here."""
        if not self.builder or self.builder == _myself() or time.time() - self.at > QUIET:
            return False
        host, _, pid = self.builder.rpartition("/")
        return host != socket.gethostname() or _runs(int(pid))


def parse(description: object) -> Notes | None:
    """The notes that a build wrote; None for those of anybody else."""
    for line in str(description or "").splitlines():
        if line.startswith(KEY):
            try:
                data: Mapping[str, Any] = json.loads(line.removeprefix(KEY))
                return Notes(**{key: value for key, value in data.items() if key in Notes._fields})
            except (ValueError, TypeError, AttributeError):
                return None
    return None


def _myself() -> str:
    """The play that works."""
    return f"{socket.gethostname()}/{_PLAY}"


def _runs(pid: int) -> bool:
    with contextlib.suppress(PermissionError):  # it runs, as somebody else
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
