"""The context of a machine that was renamed, which has the machine's name."""

from fleet.clusters import shared_kubeconfig
from fleet.findings import Fault, Finding
from fleet.names import contexts_of


def rename(old: str, machine: str) -> Finding | None:
    """Give the context of a renamed machine its new name in Vault's kubeconfig; why that failed, or None."""
    if old not in contexts_of(old):
        return None
    try:
        result = shared_kubeconfig.rename(old, machine)
    except Fault as fault:
        said = f"{old} is {machine} now, but its context in Vault could not be renamed, so its inventory line keeps"
        return Finding(f"{said} the earlier name; the next run tries again: {fault}")
    print(
        f"{machine}: {f'context {old} is called so now' if result.changed else f'Vault has no context {old}'}"
    )
    return None
