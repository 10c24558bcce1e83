"""How vendor data gets to Proxmox, as `.env` says it."""

import ipaddress
from typing import NamedTuple

from fleet.arguments import LABEL, USER, WORD
from fleet.config.entries import Entries
from fleet.findings import cut

NONE, MOUNTED, SSH = "none", "mounted", "ssh"


class Snippets(NamedTuple):
    """`hosts`: the address of each node, for `ssh` alone."""

    way: str = NONE
    storage: str = ""
    folder: str = ""
    user: str = ""
    hosts: tuple[tuple[str, str], ...] = ()


def read(said: Entries) -> Snippets:
    """What is wrong is added to the findings; where nothing goes by snippets, the other variables do not matter."""
    way = said.text("PROXMOX_SNIPPETS", f"{NONE}|{MOUNTED}|{SSH}", f"{NONE}, {MOUNTED} or {SSH}") or NONE
    if way == NONE:
        return Snippets()
    found = Snippets(
        way,
        said.text("PROXMOX_SNIPPETS_STORAGE", WORD, "the name of a storage"),
        said.text(
            "PROXMOX_SNIPPETS_DIR", r"/[A-Za-z0-9._/-]*", "an absolute path of letters, digits, . _ - and /"
        ),
        said.text("PROXMOX_SSH_USER", USER, "the name of a user") if way == SSH else "",
        _hosts(said) if way == SSH else (),
    )
    needed = {"PROXMOX_SNIPPETS_STORAGE": found.storage, "PROXMOX_SNIPPETS_DIR": found.folder}
    needed |= {"PROXMOX_SSH_USER": found.user, "PROXMOX_SSH_HOSTS": found.hosts} if way == SSH else {}
    for name, value in needed.items():
        if not value and name not in said.given:
            said.wrong("PROXMOX_SNIPPETS", f"is {way}, which needs {name}")
    return found


def _hosts(said: Entries) -> tuple[tuple[str, str], ...]:
    name = "PROXMOX_SSH_HOSTS"
    found: dict[str, str] = {}
    for word in said.words(name, rf"{LABEL}=\S+", "a node with its address, as node01=192.168.1.11"):
        node, _, address = word.partition("=")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            if "=" in word:
                said.wrong(name, f"has {cut(word)}, whose address is not an IP address")
            continue
        if found.setdefault(node, address) != address:
            said.wrong(name, f"gives {node} two addresses, {found[node]} and {address}; remove one of them")
    return tuple(sorted(found.items()))
