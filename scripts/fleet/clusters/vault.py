"""Where Vault keeps the kubeconfig of all clusters: one field of one secret."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fleet.findings import Fault
from fleet.vault.secret import MOUNT, Secret, Write

PATH = "cluster-secret-store/secrets/KUBECONFIG"
FIELD = "KUBECONFIG"


class Stored(NamedTuple):
    text: str  # empty if there is no secret yet, or no such field
    version: int  # 0 if the secret was never written


class Store:
    """The kubeconfig in Vault. Every method raises Fault for errors that retries do not solve."""

    def __init__(self, addr: str | None = None, token: str | None = None, mount: str = MOUNT):
        self._secret = Secret(PATH, addr, token, mount)
        self.place = self._secret.place

    def read(self) -> Stored:
        """Read the newest version. Raises Fault if it was deleted, because its content is unknown."""
        data, version = self._secret.read()
        return Stored(self._text(data), version)

    def change(self, edit: Callable[[str], str]) -> Write:
        """Replace the kubeconfig by `edit(kubeconfig)`, which may be called several times; see Secret.change."""

        def edited(data: dict[str, Any]) -> dict[str, Any]:
            before = self._text(data)
            after = edit(before)
            return data if after == before else data | {FIELD: after}

        return self._secret.change(edited)

    def _text(self, data: dict[str, Any]) -> str:
        text = data.get(FIELD) or ""
        if not isinstance(text, str):
            raise Fault(f"field {FIELD} of {self.place} is not a string; store the kubeconfig as text")
        return text
