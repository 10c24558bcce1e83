"""The name of a machine's cluster in the kubeconfig: given, already stored, or drawn (cozy-haven)."""

import re
from collections.abc import Iterator
from typing import Any

from fleet.clusters.contents import body_of, used
from fleet.findings import Fault
from fleet.names import is_context

CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@:/-]{0,251}[A-Za-z0-9])?")

FIRST = (
    "amber ample azure bold brave breezy bright brisk calm candid cheery clear cosmic cozy crisp dapper "
    "deep early eager fair fleet fond fresh gentle glad golden grand happy hardy hazel humble jolly keen "
    "kind lively lucid lucky lunar mellow merry mighty misty noble patient placid plucky polar proud "
    "quick quiet rapid rosy royal serene sharp silent silver snug solar solid sonic spry steady sunny "
    "swift tidy vivid warm wise witty"
)
SECOND = (
    "acre anchor arbor arch aspen badger bay beacon birch bluff breeze bridge brook canyon cedar cliff "
    "cloud coast comet cove crane creek dale delta dune ember falcon fern field fjord forest garden glade "
    "glen grove harbor haven heron hill hollow inlet island lagoon lake lantern ledge maple marsh meadow "
    "mesa moor oasis orchard osprey otter peak pine plain pond prairie quarry rapids reef ridge river "
    "shore spring summit terrace trail tundra vale valley willow wren"
)


def choose(
    data: dict[str, Any], own: list[dict], others: list[dict], machine: str, given: str | None
) -> tuple[str, list[str]]:
    """The name for the machine's cluster and user, and notes. Raises Fault."""
    stored = body_of(own[0]).get("cluster") if own else None
    if given is not None:
        if not CLUSTER.fullmatch(given):
            raise Fault(f"{given!r} is not a valid cluster name: use letters, digits and ._@:/-", code=2)
        if owners := _owners(others, given, stored):
            raise Fault(
                f"the cluster name {given} for {machine} is already used by {owners[0]}; choose another"
            )
        return given, []
    notes = []
    if isinstance(stored, str) and CLUSTER.fullmatch(stored):
        owners = _owners(others, stored, stored)
        if not owners:
            return stored, []
        notes = [f"{owners[0]} also uses the cluster name {stored}, so {machine} gets a new one"]
    taken = {entry["name"] for part in ("clusters", "users") for entry in data[part]}
    taken |= used(others, "cluster") | used(others, "user")
    return next(name for name in draws(machine) if name not in taken), notes


def draws(machine: str) -> Iterator[str]:
    """An endless series of names such as cozy-haven, always the same for a machine."""
    from random import Random

    chance, first, second = Random(machine), FIRST.split(), SECOND.split()
    for number in range(1, 1 << 30):
        more = f"-{number}" if number > 200 else ""
        yield f"{chance.choice(first)}-{chance.choice(second)}{more}"


def _owners(others: list[dict], name: str, stored: str | None) -> list[str]:
    """Contexts that use a cluster or user of this name, except a person's aliases of the stored cluster."""
    found = []
    for context in others:
        body = body_of(context)
        alias = stored is not None and body.get("cluster") == stored and not is_context(context["name"])
        if name in (body.get("cluster"), body.get("user")) and not alias:
            found.append(context["name"])
    return found
