"""Which function answers which request: `@route` registers it, `dispatch` finds it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from lab.proxmox import access, faults, guests, pools, state
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.schema import Format, misfits


class Route(NamedTuple):
    method: str
    path: str  # such as /nodes/{node}/qemu/{vmid}/config
    pattern: re.Pattern
    function: Callable


ROUTES: list[Route] = []
VM = "/nodes/{node}/qemu/{vmid}"


@dataclass
class Request:
    """What a handler gets: names from the path, the parameters as text, and the caller."""

    caller: access.Caller
    names: dict[str, str]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> str:
        return self.names["node"]

    @property
    def vmid(self) -> int:
        return int(self.names["vmid"])

    def check(self, path: str, *any_of: str) -> None:
        access.check(self.caller, path, *any_of)

    def may(self, path: str, *any_of: str) -> bool:
        return access.may(self.caller, path, *any_of)

    def fits(self, form: Format) -> None:
        """ApiError 400 unless the parameters fit the schema of the request."""
        if errors := misfits(form, self.params):
            raise invalid_keys(errors)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.params.get(name)
        return default if value is None else str(value).lower() in ("1", "on", "yes", "true")

    def number(self, name: str, default: int | None = None) -> int | None:
        if name not in self.params:
            return default
        if not re.fullmatch(r"\d+", str(self.params[name])):
            raise ApiError(
                "Parameter verification failed.",
                400,
                {name: f"type check ('integer') failed - got '{self.params[name]}'"},
            )
        return int(self.params[name])

    def required(self, name: str) -> str:
        if name not in self.params:
            raise ApiError(
                "Parameter verification failed.", 400, {name: "property is missing and it is not optional"}
            )
        return str(self.params[name])

    def check_made(self, vmid: int, pool: str | None) -> None:
        """The right to make a machine of this VMID, by itself or in its pool."""
        if pool and pool not in pools.read():
            raise ApiError(f"pool '{pool}' does not exist")
        if not self.may(f"/vms/{vmid}", "VM.Allocate"):
            self.check(f"/pool/{pool}" if pool else f"/vms/{vmid}", "VM.Allocate")

    def audited(self) -> guests.Guest:
        """The machine that the path names, if the caller may see it."""
        self.check(f"/vms/{self.vmid}", "VM.Audit")
        return guests.load(self.node, self.vmid)


def route(method: str, path: str):
    """Register a handler for a path such as /nodes/{node}/qemu/{vmid}/config."""
    names = {"vmid": r"[1-9]\d{2,8}", "volume": r".+", "mapped": r"pci|usb|dir"}
    pattern = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{names.get(m[1], '[^/]+')})", path)

    def register(function):
        ROUTES.append(Route(method, path, re.compile(pattern), function))
        return function

    return register


def dispatch(method: str, path: str, params: dict, caller: access.Caller):
    """Run the handler of a request; its answer is the content of "data"."""
    for known in ROUTES:
        if known.method == method and (match := known.pattern.fullmatch(path)):
            names = {key: unquote(value) for key, value in match.groupdict().items()}
            node = names.get("node")
            if node is not None and node not in state.NODES:
                raise ApiError(
                    f"hostname lookup '{node}' failed - failed to get address info for: {node}: "
                    "Name or service not known"
                )
            if node is not None and faults.offline(node):
                raise ApiError("No route to host", 595)
            return known.function(Request(caller, names, params))
    raise ApiError(f"Method '{method} {path}' not implemented", 501)
