"""The kubeconfig that all machines share, in Vault: change it by check-and-set."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fleet.clusters import contents, kubeconfig, readable, yaml_edit, yaml_parse
from fleet.clusters.vault import FIELD, Store
from fleet.names import is_context
from fleet.vault.login import Login


class Result(NamedTuple):
    changed: bool
    version: int  # of the secret after the call
    context: str
    cluster: str | None
    notes: list[str]


def read(store: Store) -> dict[str, Any]:
    """The stored kubeconfig, empty where there is none. Raises Fault for text that is no kubeconfig."""
    what = f"{FIELD} of {store.place}"
    data = yaml_parse.parse(store.read().text, what).data
    contents.check(data, what)
    return data


def update(
    store: Store, edit: Callable[[dict[str, Any]], kubeconfig.Edit], context: str, dry_run: bool = False
) -> Result:
    """Change the stored kubeconfig by `edit(data) -> kubeconfig.Edit`. Raises Fault."""
    last: list[kubeconfig.Edit] = []
    what = f"{FIELD} of {store.place}"

    def edited(text: str) -> str:
        document = yaml_parse.parse(text, what)
        contents.check(document.data, what)
        last[:] = [edit(document.data)]
        readable.check(last[0].data, document, what)
        return yaml_edit.render(document, last[0].data)

    if dry_run:
        stored = store.read()
        changed, version = edited(stored.text) != stored.text, stored.version
    else:
        changed, version = store.change(edited)
    return Result(changed, version, context, last[0].cluster, last[0].notes)


def rename(name: str, new: str, addr: str | None = None, token: str | None = None) -> Result:
    """Call a machine's context `new` from now on; its credentials, and which cluster it is, stay as they are."""
    return update(Store(addr, token), lambda data: kubeconfig.rename(data, name, new), new)


def remove(name: str, addr: str | None = None, token: str | None = None, dry_run: bool = False) -> Result:
    """Remove a machine's context, cluster and user from Vault's kubeconfig, and its workloads' login, if there.

    The login first: as long as the context is there, somebody tries again.
    """
    if is_context(name):
        Login(name, addr, token).remove(dry_run)
    return update(Store(addr, token), lambda data: kubeconfig.remove(data, name), name, dry_run)
