"""Change one field of a secret in Vault's KV version 2 by check-and-set: no writer's change is lost."""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from fleet.clusters.vault_client import Client, words_of
from fleet.findings import Fault

MOUNT = "kv"
PATH = "cluster-secret-store/secrets/KUBECONFIG"
FIELD = "KUBECONFIG"
CONFLICTS = 60  # attempts before giving up because other writers were faster


class Stored(NamedTuple):
    text: str  # empty if there is no secret yet, or no such field
    data: dict[str, Any]  # all fields
    version: int  # 0 if the secret was never written


class Write(NamedTuple):
    changed: bool
    version: int


class Store:
    """A secret in Vault. Every method raises Fault for errors that retries do not solve."""

    def __init__(
        self, addr: str | None = None, token: str | None = None, mount: str = MOUNT, path: str = PATH
    ):
        self._mount, self._path = mount, path
        self._vault = Client(addr, token, mount, path)
        self.place = self._vault.place

    def read(self) -> Stored:
        """Read the newest version. Raises Fault if it was deleted, because its content is unknown."""
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
            if not answer.get("data"):  # otherwise the metadata of a deleted version
                self._check_mount(error)
                return Stored("", {}, 0)
        except InvalidRequest as error:
            raise Fault(f"Vault refused to read {self.place}: {words_of(error)}", code=2) from None
        try:
            data, version = answer["data"]["data"], answer["data"]["metadata"]["version"]
        except (TypeError, KeyError, AttributeError):
            self._check_mount()
            raise self._vault.not_vault() from None
        if data is None:
            raise Fault(
                f"the newest version of {self.place}, {version}, was deleted: restore one with"
                " `vault kv undelete` or `vault kv rollback`, or start from scratch with"
                " `vault kv metadata delete`"
            )
        text = data.get(FIELD) or ""
        if not isinstance(text, str):
            raise Fault(f"field {FIELD} of {self.place} is not a string; store the kubeconfig as text")
        return Stored(text, data, version)

    def change(self, edit: Callable[[str], str]) -> Write:
        """Replace the field's text by `edit(text)`; repeat both if another writer was faster.

        `edit` may be called several times. If it changes nothing, no version is written.
        """
        from hvac.exceptions import InvalidRequest

        tried: tuple[int, str] | None = None  # what a write may have stored although its answer was lost
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
                if "check-and-set parameter did not match" not in words_of(
                    error
                ):  # not: another writer was faster
                    raise Fault(f"Vault refused to write {self.place}: {words_of(error)}", code=2) from None
            except (TypeError, KeyError):
                raise self._vault.not_vault() from None
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise Fault(
            f"another writer of {self.place} was faster {CONFLICTS} times in a row; run the command again",
            code=2,
        )

    def _check_mount(self, error: Any = None) -> None:
        """Raise Fault unless the mount is KV version 2, where a 404 means that the secret does not exist."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        if error is not None and "no handler for route" in words_of(error):
            raise Fault(f"nothing is mounted at {self._mount}/ in Vault", code=2) from None
        try:
            answer = self._vault.ask(self._vault.get, url=f"/v1/sys/internal/ui/mounts/{self._mount}")
            kind = answer["data"]["type"]
            version = (answer["data"].get("options") or {}).get("version", "1") if kind == "kv" else ""
        except (InvalidPath, InvalidRequest, TypeError, KeyError, AttributeError):
            unknown = f"{self._vault.addr} does not report what is mounted at {self._mount}/"
            raise Fault(f"{unknown}; check that VAULT_ADDR is right and has no path", code=2) from None
        if (kind, version) != ("kv", "2"):
            engine = f"{self._mount}/ is {kind} {version}".rstrip()
            upgrade = f"; upgrade it with `vault kv enable-versioning {self._mount}`" if kind == "kv" else ""
            raise Fault(f"{engine}, not kv 2, so writing there is not safe{upgrade}", code=2) from None
