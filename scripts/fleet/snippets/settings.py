"""How snippets get onto a storage, as environment and `.env` say."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from fleet import dotenv
from fleet.arguments import USER
from fleet.findings import Fault, cut
from fleet.variables import NAMES
from fleet.vms import values

MODES = ("none", "mounted", "ssh")
PREFIX, HOSTS = "PROXMOX_SNIPPETS", "PROXMOX_SSH_HOSTS"
_FORMS = {
    PREFIX: ("|".join(MODES), "none, mounted or ssh"),
    f"{PREFIX}_STORAGE": (r"[A-Za-z][A-Za-z0-9._-]{0,99}", "the name of a storage"),
    # Both stand in commands for a node's shell, so that nothing in them may mean anything to it.
    f"{PREFIX}_DIR": (r"(/[A-Za-z0-9_.-]+)+/?", "an absolute path of letters, digits and . _ - /"),
    "PROXMOX_SSH_USER": (USER, "the name of a user"),
}
_HOST = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)=(?:\[([0-9A-Fa-f:]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?")


class Host(NamedTuple):
    address: str
    port: str = "22"


class Settings(NamedTuple):
    mode: str
    storage: str
    folder: str
    user: str
    hosts: Mapping[str, Host]


def read() -> Settings:
    """The environment wins. Raises Fault with all that is wrong."""
    entries = {} if os.environ.get("GITHUB_ACTIONS") == "true" else dotenv.read()
    found, problems = parse({name: entry.value for name, entry in entries.items()})
    if problems:
        raise Fault("; ".join(f"{name} {message}" for name, message in problems))
    return found


def parse(given: Mapping[str, str]) -> tuple[Settings, list[tuple[str, str]]]:
    """The settings, and what is wrong as (variable, message). `given` has what the environment does not say."""
    found, problems = {}, []
    for name in (*_FORMS, HOSTS):
        value = found[name] = os.environ.get(name) or given.get(name) or NAMES[name].value
        pattern, form = _FORMS.get(name, ("", ""))
        if pattern and not re.fullmatch(pattern, value):
            problems.append((name, f"is {cut(value)}, which is not {form}"))
    hosts: dict[str, Host] = {}
    for word in values.words(found.pop(HOSTS)):
        match = _HOST.fullmatch(str(word))
        host = Host(match[2] or match[3], match[4] or "22") if match else None
        if not host:
            problems.append((HOSTS, f"has {cut(str(word))}, which is not of the form node01=192.168.1.11"))
        elif hosts.setdefault(match[1], host) != host:
            both = f"{hosts[match[1]].address} and {host.address}"
            problems.append((HOSTS, f"gives {match[1]} two addresses, {both}; remove one of them"))
    mode, storage, folder, user = found.values()
    return Settings(mode, storage, folder.rstrip("/"), user, hosts), problems
