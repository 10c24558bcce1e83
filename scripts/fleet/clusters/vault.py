"""One field of a secret in Vault's KV version 2, changed by check-and-set: no writer's work is lost."""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from fleet.clusters.vault_client import Client, words_of
from fleet.findings import Fault

MOUNT = "kv"
PATH = "cluster-secret-store/secrets/KUBECONFIG"
FIELD = "KUBECONFIG"
CONFLICTS = 60  # times that another writer may be faster


class Stored(NamedTuple):
    text: str  # empty: there is no secret yet, or the field is missing
    data: dict[str, Any]  # all fields
    version: int  # 0: never written


class Write(NamedTuple):
    changed: bool
    version: int


class Store:
    """A secret of a Vault server. Every method raises Fault for what no retry has mended."""

    def __init__(
        self, addr: str | None = None, token: str | None = None, mount: str = MOUNT, path: str = PATH
    ):
        self._mount, self._path = mount, path
        self._vault = Client(addr, token, mount, path)
        self.place = self._vault.place

    def read(self) -> Stored:
        """The newest version. A version that was deleted is a Fault: what it held is not known."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        try:
            answer = self._vault.ask(
                self._vault.kv.read_secret_version,
                path=self._path,
                mount_point=self._mount,
                raise_on_deleted_version=False,
            )
        except InvalidPath as error:
            answer = error.json if isinstance(error.json, dict) else {}
            if not answer.get("data"):  # else a destroyed version, told by its metadata
                self._check_mount(error)
                return Stored("", {}, 0)
        except InvalidRequest as error:
            raise Fault(f"Vault refuses to read {self.place}: {words_of(error)}", code=2) from None
        try:
            data, version = answer["data"]["data"], answer["data"]["metadata"]["version"]
        except (TypeError, KeyError, AttributeError):
            self._check_mount()
            raise self._vault.stranger() from None
        if data is None:
            raise Fault(
                f"version {version} of {self.place}, the newest, was deleted: bring one back with"
                " `vault kv undelete` or `vault kv rollback`, or start anew with `vault kv metadata delete`"
            )
        text = data.get(FIELD) or ""
        if not isinstance(text, str):
            raise Fault(f"field {FIELD} of {self.place} is no text but something structured")
        return Stored(text, data, version)

    def change(self, edit: Callable[[str], str]) -> Write:
        """Replace the field's text by `edit(text)`, read and written again while another writer is faster.

        `edit` may be called several times. Nothing to change, no new version.
        """
        from hvac.exceptions import InvalidRequest

        tried: tuple[int, str] | None = None  # what a write whose answer was lost may have left
        for attempt in range(CONFLICTS):
            stored = self.read()
            text = edit(stored.text)
            if text == stored.text:
                return Write(tried == (stored.version, text), stored.version)
            tried = (stored.version + 1, text)
            try:
                answer = self._vault.ask(
                    self._vault.kv.create_or_update_secret,
                    path=self._path,
                    mount_point=self._mount,
                    secret={**stored.data, FIELD: text},
                    cas=stored.version,
                )
                return Write(True, answer["data"]["version"])
            except InvalidRequest as error:
                if "check-and-set" not in str(error):
                    raise Fault(f"Vault refuses to write {self.place}: {words_of(error)}", code=2) from None
            except (TypeError, KeyError):
                raise self._vault.stranger() from None
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise Fault(f"{CONFLICTS} times another writer of {self.place} was faster; run it again", code=2)

    def _check_mount(self, error: Any = None) -> None:
        """Raise Fault unless the mount is a KV engine of version 2, for which a 404 means: never written."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        if error is not None and "no handler for route" in words_of(error):
            raise Fault(f"Vault has nothing mounted at {self._mount}/", code=2) from None
        try:
            answer = self._vault.ask(self._vault.get, url=f"/v1/sys/internal/ui/mounts/{self._mount}")
            kind = answer["data"]["type"]
            version = (answer["data"].get("options") or {}).get("version", "1") if kind == "kv" else ""
        except (InvalidPath, InvalidRequest, TypeError, KeyError, AttributeError):
            said = f"{self._vault.addr} does not say what is mounted at {self._mount}/"
            raise Fault(f"{said}; is VAULT_ADDR right, and without a path?", code=2) from None
        if (kind, version) != ("kv", "2"):
            said = f"{self._mount}/ is {kind} {version}".rstrip() + ", not kv 2: no write there is safe"
            upgrade = f"; upgrade it with `vault kv enable-versioning {self._mount}`" if kind == "kv" else ""
            raise Fault(said + upgrade, code=2) from None
