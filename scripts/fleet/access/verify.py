"""Whether an administrator may do what a plan needs, and whether the tokens work with the secrets in `.env`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fleet import dotenv
from fleet.access.wanted import TOKENS, USER, WORK, Token
from fleet.findings import Fault, Finding
from fleet.paths import shown
from fleet.proxmox import client as proxmox
from fleet.proxmox import rights
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused
from fleet.proxmox.rights import right

ADMINISTRATOR = (
    right("/access", "Sys.Modify"), right("/access", "Sys.Audit"), right("/access/groups", "User.Modify"),
    right(f"/access/realm/{USER.partition('@')[2]}", "Realm.AllocateUser"),
    *(right(path, "Permissions.Modify") for path in ("/", *WORK)),
)  # fmt: skip


def check_administrator(client: Client) -> None:
    """Raises Fault: Proxmox leaves out of its lists what somebody may not see, so that all would look missing."""
    if lacks := rights.lacking(client.get("access/permissions"), ADMINISTRATOR):
        names = ", ".join(f"{one.privileges[0]} on {one.path}" for one in lacks)
        message = f"{client.user} lacks {names}: give --user an administrator of the cluster, as root@pam"
        raise Fault(message, code=2)


def named(file: Path) -> dict[str, str]:
    """The tokens in `.env` by variable, each without its secret."""
    return {name: value.partition("=")[0] for name, value in _values(file).items()}


def findings(file: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with the tokens as `.env` has them; `environment` is what wins over it."""
    values = _values(file)
    for token in TOKENS:
        value = values.get(token.variable, "")
        yield from (Finding(message) for message in _problems(token, value, file))
        if environment.get(token.variable, value) != value:
            message = f"{token.variable} of the environment wins over {shown(file)}: `unset {token.variable}`"
            yield Finding(message, level="warning")


def _values(file: Path) -> dict[str, str]:
    entries = dotenv.read(file)
    return {token.variable: entries[token.variable].value for token in TOKENS if token.variable in entries}


def _problems(token: Token, value: str, file: Path) -> Iterable[str]:
    again = f"`make fix-token ROTATE={token.id}` makes a new one, and the old one ends"
    name = value.partition("=")[0]
    if name != token.name:
        has = f"has the token {name}" if "!" in name else "has no token"
        return [
            f"{token.variable} in {shown(file)} {has}, and Proxmox tells the secret of {token.name} only once: {again}"
        ]
    client = proxmox.connect(value)
    try:
        client.get("version")
    except Refused as refused:
        if refused.status != 401:
            raise
        return [f"{token.variable} in {shown(file)} is not the secret of {token.name}: {again}"]
    return rights.missing(client, token.needs)
