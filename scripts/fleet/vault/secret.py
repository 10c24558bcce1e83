"""One secret of Vault's KV version 2, read and written by check-and-set: no writer's change is lost."""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from fleet.findings import Fault
from fleet.vault.client import Client, words_of

MOUNT = "kv"
CONFLICTS = 60  # attempts before giving up because other writers were faster


class Stored(NamedTuple):
    data: dict[str, Any]  # all fields; empty if there is no secret yet
    version: int  # 0 if the secret was never written


class Write(NamedTuple):
    changed: bool
    version: int


class Secret:
    """A secret in Vault. Every method raises Fault for errors that retries do not solve."""

    def __init__(self, path: str, addr: str | None = None, token: str | None = None, mount: str = MOUNT):
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
                return Stored({}, 0)
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
        return Stored(data, version)

    def write(self, data: dict[str, Any], version: int) -> int | None:
        """Store all fields if `version` is still the newest one; the new version, or None: a writer was faster."""
        from hvac.exceptions import InvalidRequest

        try:
            answer = self._vault.ask(
                self._vault.kv.create_or_update_secret,
                path=self._path,
                mount_point=self._mount,
                secret=data,
                cas=version,
            )
            return answer["data"]["version"]
        except InvalidRequest as error:
            if "check-and-set parameter did not match" in words_of(error):
                return None
            raise Fault(f"Vault refused to write {self.place}: {words_of(error)}", code=2) from None
        except (TypeError, KeyError):
            raise self._vault.not_vault() from None

    def change(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Write:
        """Replace the fields by `edit(fields)`; repeat both if another writer was faster.

        `edit` may be called several times. If it changes nothing, no version is written.
        """
        tried: tuple[int, dict[str, Any]] | None = None  # what a write may have stored, its answer being lost
        for attempt in range(CONFLICTS):
            stored = self.read()
            data = edit(stored.data)
            if data == stored.data:
                return Write(tried == (stored.version, data), stored.version)
            tried = (stored.version + 1, data)
            if (version := self.write(data, stored.version)) is not None:
                return Write(True, version)
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
