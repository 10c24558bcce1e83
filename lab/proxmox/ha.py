"""What the HA manager looks after: LAB_DIR/proxmox/ha.json, by service id ("vm:105"). It never moves anything."""

from lab.proxmox import guests, state
from lab.proxmox.errors import ApiError, invalid

OPTIONS = {"state", "group", "max_restart", "max_relocate", "comment", "failback"}
STATES = ("started", "stopped", "enabled", "disabled", "ignored")


def _path():
    return state.root() / "ha.json"


def read() -> dict[str, dict]:
    return state.read_json(_path(), {})


def service(name: str) -> str:
    """`105` and `vm:105` name the same service. ApiError 400 for another form, 500 without such a machine."""
    kind, _, number = name.rpartition(":")
    if kind not in ("", "vm") or not number.isdigit():
        raise invalid(sid=f"invalid format - value '{name}' does not look like a valid HA resource ID")
    return f"vm:{number}"


def add(name: str, options: dict) -> None:
    sid = service(name)
    if not guests.find(int(sid[3:])):
        raise ApiError(f"create ha resource failed: cannot add resource '{sid}': no such VM")
    if options.get("state", "started") not in STATES:
        listed = ", ".join(STATES)
        raise invalid(state=f"value '{options['state']}' does not have a value in the enumeration '{listed}'")
    with state.locked("ha"):
        found = read()
        if sid in found:
            raise ApiError(f"create ha resource failed: resource ID '{sid}' already defined")
        state.write_json(_path(), found | {sid: {"state": "started"} | options})


def remove(name: str) -> None:
    sid = service(name)
    with state.locked("ha"):
        found = read()
        if sid not in found:
            raise ApiError(f"cannot delete service '{sid}', not HA managed!")
        del found[sid]
        state.write_json(_path(), found)


def manages(vmid: int) -> dict | None:
    """The service of a machine, None where HA does not look after it."""
    return read().get(f"vm:{vmid}")
