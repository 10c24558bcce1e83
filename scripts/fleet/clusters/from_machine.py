"""Limit a machine's kubeconfig to what cannot reach beyond that machine.

A machine may be in a stranger's hands, and everybody who uses the shared kubeconfig trusts each of its entries: an
`exec` would run on their computers, and a server elsewhere would be sent their requests.
"""

from typing import Any

from fleet.clusters import contents, readable, yaml_parse
from fleet.clusters.server import refuse_elsewhere
from fleet.findings import Fault, cut, listed, printable

MAX_BYTES = 64 << 10  # ten times what K3s writes; Vault takes 1 MiB for the clusters of all machines
CREDENTIALS = ("client-certificate-data", "client-key-data", "token")
TAKEN = {
    "context": {"cluster", "user"},
    "cluster": {"server", "certificate-authority-data"},
    "user": set(CREDENTIALS),
}


def parsed(
    raw: bytes,
    what: str,
    machine: str,
    address: str | None,
    context: str | None = None,
    own: bool = False,
) -> dict[str, Any]:
    """A machine's kubeconfig as data, limited to what a machine may give unless it is the caller's `own`.

    With `context` only that context of it is left. Raises Fault that does not quote it.
    """
    try:
        document = yaml_parse.parse(raw.decode(), what)
    except UnicodeDecodeError:
        raise Fault(f"{what} is not valid UTF-8") from None
    data = document.data
    if not data:
        raise Fault(f"{what} is empty: no kubeconfig came from the machine")
    contents.check(data, what)
    readable.check(data, document, what)
    if context is not None:
        data = contents.with_context(data, context)
    if not own:
        check(data, machine, address)
    return data


def check(new: dict[str, Any], machine: str, address: str | None) -> None:
    """Raise Fault unless the machine's context, cluster and user hold nothing but what is taken from a machine.

    `address` is the one under which the machine, or its cluster, is known here.
    """
    entries = dict(zip(TAKEN, contents.chosen(new, machine), strict=True))
    fields = []
    for kind, entry in entries.items():
        fields += [str(key) for key in entry if key not in ("name", kind)]
        fields += [f"{kind}.{key}" for key in entry[kind] if key not in TAKEN[kind]]
    if fields:
        names = listed((cut(printable(field)) for field in fields), 10)
        raise Fault(
            f"the kubeconfig of {machine} sets {names}, but a machine may only give its server,"
            f" certificate-authority-data, {' and '.join([', '.join(CREDENTIALS[:2]), CREDENTIALS[2]])}; remove the"
            " rest, or, if you wrote this kubeconfig yourself, use --allow-exec"
        )
    for kind, entry in entries.items():
        for key, value in entry[kind].items():
            if (
                not isinstance(value, str)
                or not value.isascii()
                or (key == "token" and not value.isprintable())
            ):
                raise Fault(f"the kubeconfig of {machine} has a {kind}.{key} that is not plain text")
    refuse_elsewhere(entries["cluster"]["cluster"]["server"], machine, address)
