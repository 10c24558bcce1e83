"""A download by a node: its progress, what is tried again, and what the node's words mean."""

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable

from fleet.findings import Fault
from fleet.images import progress
from fleet.images.lock import Locked
from fleet.proxmox import rights, tasks
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused
from fleet.proxmox.rights import Right, right

ATTEMPTS = 3
PAUSE = 3  # seconds before the second attempt, and twice as many before the third
_UNTRUSTED = re.compile(r"ERROR: .*certificate|certificate's owner|no-check-certificate")
_GONE = re.compile(r"ERROR (4\d\d[^.]*)")


def needed(node: str, storage: str) -> list[Right]:
    """What the token must be allowed to."""
    return [
        right(f"/storage/{storage}", "Datastore.AllocateTemplate"),
        right(f"/nodes/{node}", "Sys.AccessNetwork"),
    ]


def run(
    client: Client, node: str, storage: str, image: Locked, say: Callable[[str], None], timeout: float
) -> bool:
    """Let the node bring the image, or verify the one that is there; whether it was downloaded. Raises Fault."""
    for attempt in range(1, ATTEMPTS + 1):
        log: deque[str] = deque(maxlen=30)
        upid = _begin(client, node, storage, image)
        try:
            tasks.wait(client, upid, timeout, progress.follow(image.name, say, log.append))
            return not any("no need to download" in line for line in log)
        except tasks.Failed as failed:
            fault, again = _meaning(node, storage, image, failed.exitstatus, "\n".join(log))
            if not again or attempt == ATTEMPTS:
                raise fault from None
        say(f"{image.name}: {fault}; attempt {attempt + 1} of {ATTEMPTS}")
        time.sleep(PAUSE * attempt)
    raise AssertionError("the last attempt returns or raises")


def awaited(client: Client, node: str, image: Locked, say: Callable[[str], None], timeout: float) -> bool:
    """Wait for a download of this file that an earlier run began, and that goes on though the run was killed.

    Whether there was one. How it ended does not matter: what it brought is verified as any file is.
    """
    running = [
        task
        for task in client.if_told(f"nodes/{node}/tasks", source="active") or ()
        if (task["type"], task["id"]) == ("download", image.file) and not task.get("endtime")
    ]
    for task in running:
        say(f"{image.name}: {node} downloads it already, for an earlier run")
        with contextlib.suppress(tasks.Failed):
            tasks.wait(client, task["upid"], timeout, progress.follow(image.name, say))
    return bool(running)


def _begin(client: Client, node: str, storage: str, image: Locked) -> str:
    # An uploaded file is there, so that the node compares checksums and asks no site.
    url = image.url.replace("file:", "https://localhost/", 1) if image.url.startswith("file:") else image.url
    fields = {"content": "import", "filename": image.file, "url": url}
    if image.checksum:
        fields |= {"checksum": image.checksum, "checksum-algorithm": image.algorithm}
    try:
        return client.post(f"nodes/{node}/storage/{storage}/download-url", **fields)
    except Refused as refused:
        lacking = rights.missing(client, needed(node, storage)) if refused.status == 403 else []
        if not lacking:
            raise
        raise Fault(f"{image.name} cannot be downloaded: {'; '.join(lacking)}", code=2) from None


def _meaning(node: str, storage: str, image: Locked, said: str, log: str) -> tuple[Fault, bool]:
    """The fault for what a task said, and whether another attempt may succeed."""
    volume, again = f"{storage}:import/{image.file}", False
    if said.startswith("checksum mismatch") and said.endswith("aborting"):
        text = (
            f"{volume} on {node} is not the image that it should be ({said.removesuffix(', aborting')}): it is broken"
            f" or was changed, and was left as it is; remove it by `pvesm free {volume}` on {node}, then run this again"
        )
    elif said.startswith("checksum mismatch"):
        text = (
            f"{image.url} has other content than expected ({said}), of which nothing was kept; `make images-update`"
            " finds the build that is published now"
        )
    elif gone := _GONE.search(log):
        text = f"{image.url} answers {gone[1]}; `make images-update` finds the build that is published now"
    elif _UNTRUSTED.search(f"{said}\n{log}"):
        text = f"{node} refuses the certificate of {image.url} ({said})"
    elif "No space left" in f"{said}\n{log}":
        text = f"{storage} on {node} is full, and nothing of the image was kept: make room there ({said})"
    elif said.startswith("refusing to override"):
        text = f"{volume} on {node} is there already, and without a checksum nobody can tell what it is"
    elif said.startswith("download failed"):
        text = f"{node} cannot read {image.url} ({said}): look whether the node reaches that site"
        again = True
    else:
        text = f"{image.url} did not get onto {storage} of {node}: {said}"
    return Fault(text, code=2), again
