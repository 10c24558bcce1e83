"""Limit a machine's kubeconfig to what cannot reach beyond that machine.

A machine may be in a stranger's hands, and everybody who uses the shared kubeconfig trusts each of its entries: an
`exec` would run on their computers, and a server elsewhere would be sent their requests.
"""

from typing import Any

from fleet.clusters import contents
from fleet.clusters.server import refuse_elsewhere
from fleet.findings import Fault, cut, listed, printable

MAX_BYTES = 64 << 10  # ten times what K3s writes; Vault takes 1 MiB for the clusters of all machines
CREDENTIALS = ("client-certificate-data", "client-key-data", "token")
TAKEN = {
    "context": {"cluster", "user"},
    "cluster": {"server", "certificate-authority-data"},
    "user": set(CREDENTIALS),
}


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
