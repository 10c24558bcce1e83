"""Cloud-init's settings of a machine: the role's variables, and the options that Proxmox takes.

Nothing but Proxmox's own options is used. A snippet would replace the generated user data whole, name, user and keys
too, and no API call can write one.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet.arguments import DOMAIN, USER, Arguments
from fleet.findings import cut
from fleet.proxmox import compare
from fleet.vms import addresses, public_keys, values

DHCP = "ip=dhcp"
DRIVES = ("ide2", "ide0", "ide1", "ide3", "scsi30", "sata5")  # where a drive may go, the usual place first


class Settings(NamedTuple):
    """What is asked; "" and () where nothing is. `ipconfig` is as Proxmox has it; a new machine without has DHCP."""

    user: str = ""
    keys: tuple[str, ...] = ()
    ipconfig: str = ""
    nameserver: str = ""
    searchdomain: str = ""
    upgrade: bool = False


def read(a: Arguments) -> Settings:
    """What is wrong is added to the arguments' problems."""
    if str(a.given.get("cloud_init_password") or False).lower() != "false":  # its value is in no message
        a.wrong("cloud_init_password", "is set, but machines are reached by SSH key only; remove it and give"
                f" {a.prefix}cloud_init_ssh_keys")  # fmt: skip
    servers = [str(word) for word in values.words(a.given.get("cloud_init_dns"))]
    for server in servers:
        if not _is_address(server):
            a.wrong("cloud_init_dns", f"has {cut(server)}, which is not an IP address")
    return Settings(
        user=a.text("cloud_init_user", USER, "the name of a user"),
        keys=tuple(_keys(a)),
        ipconfig=_ipconfig(a),
        nameserver=" ".join(servers),
        searchdomain=a.text("cloud_init_domain", DOMAIN, "a domain"),
        upgrade=bool(a.flag("upgrade")),
    )


def _ipconfig(a: Arguments) -> str:
    given, gateway = a.text("cloud_init_ip"), a.text("cloud_init_gw")
    if not given and not gateway:
        return ""
    ip = given or "dhcp"
    text = f"ip={ip}" + (f",gw={gateway}" if gateway else "")
    for problem in addresses.parse(text)[1]:
        a.wrong("cloud_init_gw" if problem.startswith("gw") else "cloud_init_ip", f"is wrong: {problem}")
    return text


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _keys(a: Arguments) -> Iterable[str]:
    """The keys of the list and those of the file, each once."""
    given, file = a.given.get("cloud_init_ssh_keys") or [], a.text("cloud_init_ssh_keys_file")
    lines = given.splitlines() if isinstance(given, str) else [str(key) for key in given]
    lines = [line for key in lines for line in key.splitlines()]
    found = []
    for number, key in enumerate(filter(None, map(str.strip, lines)), 1):
        if problem := public_keys.problem_of(key):
            a.wrong("cloud_init_ssh_keys", f"has an entry, number {number}, that {problem}")
            if "private" in problem:
                break  # each line of it is one
        else:
            found.append(key)
    if file:
        path = Path(file).expanduser()
        if not path.is_file():
            a.wrong("cloud_init_ssh_keys_file", f"is {cut(file)}, which does not exist")
        keys, findings = public_keys.read(path)
        a.problems += [f"{a.prefix}cloud_init_ssh_keys_file: {finding.text()}" for finding in findings]
        found += [] if findings else keys
    return dict.fromkeys(found)


def options(settings: Settings) -> dict[str, str]:
    """What is asked, as options of a machine's configuration."""
    wanted = {
        "ciuser": settings.user,
        "sshkeys": compare.encoded(settings.keys),
        "ipconfig0": settings.ipconfig or DHCP,
        "nameserver": settings.nameserver,
        "searchdomain": settings.searchdomain,
        "ciupgrade": str(int(settings.upgrade)),
    }
    return {name: value for name, value in wanted.items() if value}


def drive_of(config: Mapping[str, Any]) -> str:
    """The slot of a machine's cloud-init drive; "" without one."""
    return next((slot for slot in DRIVES if "cloudinit" in str(config.get(slot, ""))), "")
