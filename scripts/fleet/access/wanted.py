"""The user and the tokens of the project, and which role each has on which path of Proxmox's access lists.

What a token with privilege separation may do is what both it and its user may do, so that both need the rights.
GitOps stands on the paths of what the project works with, and on / itself without what is below: a privilege that
somebody adds to the role, such as Sys.Modify, then never holds on /access, where it would let the token rewrite roles.
"""

from typing import NamedTuple

from fleet.access.privileges import FULL, OPERATIONS, READ, READ_ROLE, ROLE
from fleet.proxmox.rights import Right

USER = "terraform@pve"
ROLES = {ROLE: FULL, READ_ROLE: READ}


class Grant(NamedTuple):
    """A role on a path; `below`: on all paths below it too."""

    path: str
    role: str
    below: bool = True


class Token(NamedTuple):
    """`variable` is what `.env` calls it, `needs` what it must be able to do."""

    id: str
    variable: str
    grants: tuple[Grant, ...]
    needs: tuple[Right, ...]

    @property
    def name(self) -> str:
        return f"{USER}!{self.id}"


WORK = ("/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms")
_LOOK = Grant("/", READ_ROLE)
_FULL = (_LOOK, Grant("/", ROLE, below=False), *(Grant(path, ROLE) for path in WORK))
TOKENS = (
    Token("gitops", "PROXMOX_VE_API_TOKEN", _FULL, sum(OPERATIONS.values(), ())),
    Token(
        "gitops-read",
        "PROXMOX_READ_API_TOKEN",
        (_LOOK,),
        (*OPERATIONS["look"], *OPERATIONS["ask guest agents"]),
    ),
)


def grants() -> dict[str, tuple[Grant, ...]]:
    """Who has which roles where: the user all that one of its tokens has."""
    return {USER: _FULL, **{token.name: token.grants for token in TOKENS}}
