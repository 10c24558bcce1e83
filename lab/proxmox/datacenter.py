"""Options of the whole cluster: LAB_DIR/proxmox/datacenter.json."""

from lab.proxmox import containers, guests, schema, state
from lab.proxmox.errors import ApiError
from lab.proxmox.schema import Format, Prop

NEXT_ID: Format = {"lower": Prop("integer"), "upper": Prop("integer")}


def _path():
    return state.root() / "datacenter.json"


def read() -> dict:
    return state.read_json(_path(), {})


def check_next_id(value: str) -> None:
    schema.parse(NEXT_ID, value, "next-id")


def change(options: dict[str, str], delete: list[str]) -> None:
    with state.locked("datacenter"):
        kept = {key: value for key, value in (read() | options).items() if key not in delete}
        state.write_json(_path(), kept)


def shown() -> dict:
    """Property strings are told as objects; their numbers stay text."""
    options = read()
    if "next-id" in options:
        options["next-id"] = schema.parse(NEXT_ID, options["next-id"], "next-id")
    return options


def next_id() -> int:
    """The lowest free VMID of the range that is meant for new guests; nothing is reserved."""
    bounds = shown().get("next-id", {})
    lower, upper = int(bounds.get("lower", 100)), int(bounds.get("upper", 1_000_000))
    taken = {guest.vmid for guest in guests.all_guests()} | containers.read().keys()
    for number in range(lower, upper):
        if number not in taken:
            return number
    raise ApiError(f"unable to get any free VMID in range [{lower}, {upper}]")
