"""The HA manager: LAB_DIR/proxmox/ha.json. It starts and stops what it looks after, and never moves anything.

Groups are those of Proxmox VE 8. Version 9 has rules in their place: there, without a group, every request with one
is refused; with one that an upgrade left, groups work and rules are refused.
"""

from lab.proxmox import containers, faults, guests, machines, state, tasks
from lab.proxmox.errors import ApiError, invalid, invalid_keys
from lab.proxmox.schema import UNKNOWN, Format, Prop, problem

FLAG, COUNT = Prop("boolean"), Prop("integer", minimum=0)
STATES = ("started", "stopped", "enabled", "disabled", "ignored")
FORMATS: dict[str, Format] = {
    "resources": {
        "state": Prop(enum=STATES), "group": Prop(), "max_restart": COUNT, "max_relocate": COUNT, "comment": Prop(),
        "failback": FLAG,
    },
    "groups": {"nodes": Prop(), "restricted": FLAG, "nofailback": FLAG, "comment": Prop()},
    "rules": {
        "type": Prop(enum=("node-affinity", "resource-affinity")), "resources": Prop(), "nodes": Prop(),
        "strict": FLAG, "affinity": Prop(enum=("positive", "negative")), "disable": FLAG, "comment": Prop(),
    },
}  # fmt: skip


def _path():
    return state.root() / "ha.json"


def read(kind: str = "resources") -> dict[str, dict]:
    """The resources by service id ("vm:105"), the groups or the rules by name."""
    return state.read_json(_path(), {}).get(kind, {})


def migrated() -> bool:
    """Whether groups are a thing of the past here."""
    return faults.release() >= 9 and not read("groups")


def change(kind: str, name: str, values: dict | None) -> None:
    """Write an entry, or with None remove it."""
    with state.locked("ha"):
        data = state.read_json(_path(), {})
        entries = data.setdefault(kind, {})
        entries.pop(name, None)
        if values is not None:
            entries[name] = values
        state.write_json(_path(), data)


def checked(kind: str, options: dict) -> dict:
    """Options of an entry with their types; ApiError 400 that names every bad one."""
    form = FORMATS[kind]
    if faults.release() < 9:
        form = {key: prop for key, prop in form.items() if key != "failback"}
    errors = dict.fromkeys(options.keys() - form.keys(), UNKNOWN)
    errors |= {k: e for k in options.keys() & form.keys() if (e := problem(form[k], str(options[k])))}
    if errors:
        raise invalid_keys(errors)
    return {key: value if form[key].kind == "string" else int(value) for key, value in options.items()}


def service(name: str) -> str:
    """`105` and `vm:105` name the same service. ApiError for another form, and for a bare id of no machine."""
    kind, _, number = name.rpartition(":")
    if kind not in ("", "vm", "ct") or not number.isdigit():
        raise invalid(sid=f"invalid format - value '{name}' does not look like a valid HA resource ID")
    if kind:
        return name
    if int(number) in containers.read():
        return f"ct:{number}"
    if not guests.find(int(number)):
        raise ApiError(f"unable to detect SID from VMID - VM/CT {number} does not exist")
    return f"vm:{number}"


def add(name: str, options: dict) -> None:
    sid = service(name)
    if "group" in options and migrated():
        raise ApiError("invalid parameter 'group': ha groups have been migrated to rules")
    number = int(sid[3:])
    if sid.startswith("vm:") and number in containers.read():
        raise ApiError(f"resource '{sid}' - guest with ID {number} is not a VM")
    if not guests.find(number) and number not in containers.read():
        raise ApiError(f"resource '{sid}' does not exist in cluster")
    options = checked("resources", options)
    if sid in read():
        raise ApiError(f"create resource failed: resource ID '{sid}' already defined")
    change("resources", sid, options)
    _act(sid)


def update(name: str, options: dict, delete: list[str]) -> None:
    sid = service(name)
    if group := options.get("group"):
        if migrated():
            raise ApiError("invalid parameter 'group': ha groups have been migrated to rules")
        if group not in read("groups"):
            raise ApiError(f"HA group '{group}' does not exist")
    options = checked("resources", options)
    if sid not in read():
        raise ApiError(f"update resources config failed: no such resource '{sid}'")
    for key in delete:
        if key not in FORMATS["resources"]:
            raise ApiError(f"update resources config failed: no such option '{key}'")
    kept = {key: value for key, value in (read()[sid] | options).items() if key not in delete}
    change("resources", sid, kept)
    _act(sid)


def remove(name: str) -> None:
    sid = service(name)
    if sid not in read():
        raise ApiError(f"cannot delete service '{sid}', not HA managed!")
    change("resources", sid, None)


def manages(vmid: int) -> dict | None:
    """The service of a machine with its requested state, None where HA does not look after it."""
    found = read().get(f"vm:{vmid}")
    return None if found is None else {"state": "started"} | found


def active(vmid: int) -> bool:
    """Whether requests for a machine's power go through HA."""
    found = manages(vmid)
    return bool(found) and found["state"] != "ignored"


def request(vmid: int, wanted: str) -> None:
    """Ask for a state, as a task does for whoever starts or stops a machine that HA looks after."""
    sid = f"vm:{vmid}"
    change("resources", sid, read()[sid] | {"state": wanted})
    _act(sid)


def _act(sid: str) -> None:
    """What the manager does about a machine that is not in the requested state: a task of its own."""
    vmid = int(sid[3:])
    guest = guests.find(vmid)
    wanted = manages(vmid)
    if not guest or not wanted or guest.template or guest.config.get("lock"):
        return
    running = machines.running(vmid)
    if wanted["state"] in ("started", "enabled") and not running:
        tasks.start(guest.node, "qmstart", vmid, "root@pam", "start", node=guest.node, vmid=vmid)
    elif wanted["state"] in ("stopped", "disabled") and running:
        tasks.start(guest.node, "qmshutdown", vmid, "root@pam", "shutdown", vmid=vmid, timeout=60, force=True)
