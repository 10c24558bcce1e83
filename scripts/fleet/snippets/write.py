"""The step `write`: a machine's vendor data becomes a snippet on every node that may run the machine.

With `stage: check` nothing is written: what is wrong with the file or the settings is told before a machine is made.
"""

from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault, cut, listed
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.client import Client
from fleet.snippets import mounted, settings, ssh, vendor, where

HOW = {"mounted": mounted, "ssh": ssh}


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    name, node = _machine(change.api, arguments)
    snippet = vendor.read(str(arguments["vendor_data_file"]), name)
    about = settings.read()
    if about.mode == "none":
        raise Fault(
            f"vendor data is given, {cut(str(arguments['vendor_data_file']))}, but {settings.PREFIX} is none and"
            " Proxmox's API writes no snippets: set it to mounted or ssh in .env, or give no vendor data"
        )
    nodes, how = where.nodes(change.api, about, node), HOW[about.mode]
    there = {one: how.checksum(about, one, snippet.file) for one in nodes.writing}
    volume = f"{about.storage}:snippets/{snippet.file}"
    facts = {"vendor_snippet": volume}
    if arguments.get("stage") == "check":
        return Result(facts=facts)
    if nodes.lacking:
        change.say(f"{about.storage} is not shared: {listed(nodes.lacking)} has no {snippet.file}, so the machine can"
                   f" start only where the mounted folder is; {settings.PREFIX}=ssh writes to all nodes")  # fmt: skip
    if nodes.offline:
        change.say(f"{listed(nodes.offline)} cannot be reached and has no {snippet.file}, or an old one: run this again"
                   " once it is up, or the machine cannot start there")  # fmt: skip
    old = [one for one, checksum in there.items() if checksum != snippet.checksum]
    if not old:
        return Result(message=f"{snippet.file} is on {listed(there)} already", facts=facts)
    if any(there[one] for one in old):
        change.say(f"{snippet.file} changes: cloud-init reads vendor data once, so a machine that has booted keeps what"
                   " it was given")  # fmt: skip
    if not change.check:
        for one in old:
            how.write(about, one, snippet.file, snippet.data)
            change.say(f"{snippet.file} written on {one}")
        where.check_seen(change, about, old[0], snippet.file)
    before = {f"{one} {snippet.file}": there[one][:12] for one in old}
    after = dict.fromkeys(before, snippet.checksum[:12])
    return Result(True, f"vendor data of {name} is {volume} on {listed(old)}", before, after, facts)


def _machine(api: Client, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Its name and node, which a new machine may not have yet."""
    name, vmid = (str(arguments.get(key) or "") for key in ("name", "vmid"))
    if arguments.get("node"):
        return name, str(arguments["node"])
    for guest in api.guests():
        if str(guest.vmid) == vmid if vmid else name and guest.name == name:
            return guest.name, guest.node
    return name or "NAME", ""
