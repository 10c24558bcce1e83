"""What Proxmox gives the project's tokens and user beyond what they need, in sentences for a person."""

from collections.abc import Collection, Iterator

from fleet.access import wanted
from fleet.access.present import Present, User
from fleet.access.privileges import OPTIONAL, ROLE, of_version
from fleet.access.wanted import ROLES, TOKENS, USER


def found(present: Present, named: Collection[str]) -> list[str]:
    """`named` are the tokens that `.env` names. All is kept, since only a person knows what it is for."""
    return [
        *_privileges(present),
        *_grants(present),
        *_tokens(present.users.get(USER)),
        *_named(present, named),
    ]


def _privileges(present: Present) -> Iterator[str]:
    for role, privileges in ROLES.items():
        for name in sorted(present.roles.get(role, frozenset()) - {*of_version(privileges, present.version)}):
            if name in OPTIONAL and role == ROLE:
                yield f"role {role} has {name}, for {OPTIONAL[name]}"
            else:
                yield f"role {role} has {name}, which nothing here needs"


def _grants(present: Present) -> Iterator[str]:
    names = wanted.grants()
    for entry in sorted(present.entries):
        if entry.who not in names:
            continue
        kind = f"-token '{entry.who}'" if "!" in entry.who else f"-user {entry.who}"
        command = f"pveum acl {{}} {entry.path} {kind} -role {entry.role}"
        grant = next((one for one in names[entry.who] if one[:2] == (entry.path, entry.role)), None)
        if grant is None:
            yield f"{entry.who} has {entry.role} on {entry.path}: `{command.format('delete')}` takes it away"
        elif entry.below and not grant.below:
            narrow = command.format("modify") + " -propagate 0"
            yield f"{entry.who} has {entry.role} on {entry.path} and all below: `{narrow}` leaves {entry.path} alone"


def _tokens(user: User | None) -> Iterator[str]:
    for name in sorted(set(user.tokens if user else ()) - {token.id for token in TOKENS}):
        rights = "its own rights" if user and user.tokens[name].separated else "all rights of its user"
        yield f"{USER} has a token {name} with {rights}: `pveum user token delete {USER} {name}` removes it"


def _named(present: Present, named: Collection[str]) -> Iterator[str]:
    """Such as the token of root@pam that older guides make."""
    for name in sorted(set(named) - {token.name for token in TOKENS}):
        owner, _, token = name.partition("!")
        found = present.users[owner].tokens.get(token) if owner in present.users else None
        if found:
            rights = "its own rights" if found.separated else f"all rights of {owner}"
            remove = f"`pveum user token delete {owner} {token}` removes it, once nothing else uses it"
            yield f".env names {name}, which has {rights}: {remove}"
