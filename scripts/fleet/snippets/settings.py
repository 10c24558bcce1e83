"""How snippets get onto a storage, as environment and `.env` say."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from fleet import dotenv
from fleet.findings import Fault, cut
from fleet.variables import NAMES

MODES = ("none", "mounted", "ssh")
PREFIX = "PROXMOX_SNIPPETS"
_FORMS = {
    PREFIX: ("|".join(MODES), "none, mounted or ssh"),
    f"{PREFIX}_STORAGE": (r"[A-Za-z][A-Za-z0-9._-]{0,99}", "the name of a storage"),
    # Both stand in commands for a node's shell, so that nothing in them may mean anything to it.
    f"{PREFIX}_DIR": (r"(/[A-Za-z0-9_.-]+)+/?", "an absolute path of letters, digits and . _ - /"),
    "PROXMOX_SSH_USER": (r"[a-z_][a-z0-9_-]{0,31}", "the name of a user"),
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
    given = {} if os.environ.get("GITHUB_ACTIONS") == "true" else dotenv.read()
    found, problems = {}, []
    for name in (*_FORMS, "PROXMOX_SSH_HOSTS"):
        from_file = given[name].value if name in given else NAMES[name].value
        value = found[name] = os.environ.get(name) or from_file
        pattern, form = _FORMS.get(name, ("", ""))
        if pattern and not re.fullmatch(pattern, value):
            problems.append(f"{name} is {cut(value)}, which is not {form}")
    hosts = {}
    for word in found.pop("PROXMOX_SSH_HOSTS").split():
        if match := _HOST.fullmatch(word):
            hosts[match[1]] = Host(match[2] or match[3], match[4] or "22")
        else:
            problems.append(
                f"PROXMOX_SSH_HOSTS has {cut(word)}, which is not of the form node01=192.168.1.11"
            )
    if problems:
        raise Fault("; ".join(problems))
    mode, storage, folder, user = found.values()
    return Settings(mode, storage, folder.rstrip("/"), user, hosts)
