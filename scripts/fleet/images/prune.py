"""Removing images that nobody needs."""

import re
from collections.abc import Collection
from urllib.parse import quote

from fleet.findings import Fault
from fleet.images import volume
from fleet.proxmox import rights, tasks
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused

_OURS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+=_-]*-20\d{6}-[0-9a-f]{8}\.(?:qcow2|raw)")


def prune(
    client: Client,
    node: str,
    storage: str,
    keep: Collection[str],
    check: bool = False,
    uploaded: Collection[str] = (),
) -> list[str]:
    """Remove the images that this project brought, but for the files in `keep`; the volumes. Raises Fault.

    `uploaded`: the images of one's own, by name, which nobody could download again.
    """
    spared = tuple(f"{name}-" for name in uploaded)
    found = [entry["volid"] for entry in volume.content(client, node, storage)]
    files = {volid: volid.rpartition("/")[2] for volid in sorted(found)}
    unused = [
        volid
        for volid, file in files.items()
        if _OURS.fullmatch(file) and file not in keep and not file.startswith(spared)
    ]
    for volid in () if check else unused:
        try:
            upid = client.delete(f"nodes/{node}/storage/{storage}/content/{quote(volid, safe='')}")
        except Refused as refused:
            wanted = [rights.right(f"/storage/{storage}", "Datastore.Allocate")]
            lacking = rights.missing(client, wanted) if refused.status == 403 else []
            if not lacking:
                raise
            raise Fault(f"{volid} cannot be removed: {'; '.join(lacking)}", code=2) from None
        if tasks.is_upid(upid):
            tasks.wait(client, upid)
    return unused
