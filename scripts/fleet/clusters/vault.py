"""One field of a secret in Vault's KV version 2, changed by check-and-set: no writer's work is lost."""

import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fleet.findings import Fault, printable

MOUNT = "kv"
PATH = "cluster-secret-store/secrets/KUBECONFIG"
FIELD = "KUBECONFIG"
TIMEOUT = (5, 15)  # seconds to connect and to answer
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # between the tries of a request that may pass the next time
CONFLICTS = 60  # times that another writer may be faster


class Stored(NamedTuple):
    text: str  # empty: there is no secret yet, or the field is missing
    data: dict[str, Any]  # all fields
    version: int  # 0: never written


class Change(NamedTuple):
    changed: bool
    version: int


class Store:
    """A secret of a Vault server. Every method raises Fault for what no retry has mended."""

    def __init__(
        self, addr: str | None = None, token: str | None = None, mount: str = MOUNT, path: str = PATH
    ):
        import hvac

        self.place = f"{mount}/{path}"
        self._mount, self._path = mount, path
        self._addr = _checked_addr(addr or os.environ.get("VAULT_ADDR"))
        self._client = hvac.Client(
            self._addr,
            _checked_token(token or os.environ.get("VAULT_TOKEN")),
            verify=os.environ.get("VAULT_CACERT") or True,
            timeout=TIMEOUT,
            namespace=os.environ.get("VAULT_NAMESPACE"),
            allow_redirects=False,  # another host would get the token, and on a write the whole secret
        )
        self._status = 0  # of the last answer; not all of hvac's exceptions tell it
        self._client.session.hooks["response"].append(self._note_status)

    def read(self) -> Stored:
        """The newest version. A version that was deleted is a Fault: what it held is not known."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        try:
            answer = self._ask(
                self._client.secrets.kv.v2.read_secret_version,
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
            raise Fault(f"Vault refuses to read {self.place}: {_said(error)}", code=2) from None
        try:
            data, version = answer["data"]["data"], answer["data"]["metadata"]["version"]
        except (TypeError, KeyError, AttributeError):
            self._check_mount()
            raise self._stranger() from None
        if data is None:
            raise Fault(
                f"version {version} of {self.place}, the newest, was deleted: bring one back with"
                " `vault kv undelete` or `vault kv rollback`, or start anew with `vault kv metadata delete`"
            )
        text = data.get(FIELD) or ""
        if not isinstance(text, str):
            raise Fault(f"field {FIELD} of {self.place} is no text but something structured")
        return Stored(text, data, version)

    def change(self, edit: Callable[[str], str]) -> Change:
        """Replace the field's text by `edit(text)`, read and written again while another writer is faster.

        `edit` may be called several times. Nothing to change, no new version.
        """
        from hvac.exceptions import InvalidRequest

        tried: tuple[int, str] | None = None  # what a write whose answer was lost may have left
        for attempt in range(CONFLICTS):
            stored = self.read()
            text = edit(stored.text)
            if text == stored.text:
                return Change(tried == (stored.version, text), stored.version)
            tried = (stored.version + 1, text)
            try:
                answer = self._ask(
                    self._client.secrets.kv.v2.create_or_update_secret,
                    path=self._path,
                    mount_point=self._mount,
                    secret={**stored.data, FIELD: text},
                    cas=stored.version,
                )
                return Change(True, answer["data"]["version"])
            except InvalidRequest as error:
                if "check-and-set" not in str(error):
                    raise Fault(f"Vault refuses to write {self.place}: {_said(error)}", code=2) from None
            except (TypeError, KeyError):
                raise self._stranger() from None
            time.sleep(random.uniform(0, min(1.0, 0.02 * 2**attempt)))
        raise Fault(f"{CONFLICTS} times another writer of {self.place} was faster; run it again", code=2)

    def _ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """One request with its retries; InvalidPath and InvalidRequest are left to the caller."""
        import requests
        from hvac import exceptions

        for pause in (*PAUSES, None):
            try:
                return call(**arguments)
            except exceptions.VaultError as error:
                said = self._judged(error)
            except requests.exceptions.SSLError as error:
                said = f"its certificate is not trusted, {_reason(error)}; set VAULT_CACERT"
                if "WRONG_VERSION_NUMBER" in said:
                    said = "it does not speak TLS; is it http://?"
                raise Fault(f"{self._addr}: {said}", code=2) from None
            except requests.RequestException as error:
                said = f"{self._addr} cannot be reached: {_reason(error)}"
            except OSError as error:  # requests, when there is no such file
                raise Fault(f"VAULT_CACERT: {_reason(error)}", code=2) from None
            except (TypeError, ValueError, AttributeError):  # hvac, when an error is no JSON of Vault's
                said = f"{self._stranger()}"
            if pause is None:
                raise Fault(f"{said}; tried {len(PAUSES) + 1} times", code=2)
            print(f"{said}; again in {pause} s", file=sys.stderr)
            time.sleep(pause * random.uniform(0.75, 1.25))

    def _judged(self, error: Exception) -> str:
        """What is wrong, when trying again may help; raises what no retry mends."""
        said, status = _said(error), self._status
        if status == 400 and "Upgrading from non-versioned" in said:
            return f"{self._mount}/ is just becoming KV version 2"
        if status in (400, 404):
            raise error
        if status in (401, 403):
            raise Fault(
                f"Vault does not let this token read and write {self.place}: it is wrong or has ended, or its"
                f" policy lacks create, read and update on {self._mount}/data/{self._path}",
                code=2,
            ) from None
        if re.search("exceeds allowed length|value being too large", said):  # a 500, but for good
            limits = "max_json_string_value_length of its listener or max_entry_size of its storage"
            raise Fault(f"{self.place} would be longer than Vault takes ({said}): raise {limits}") from None
        if status in (412, 429, 472, 473) or status >= 500:
            return f"Vault at {self._addr} is not ready ({status}): {said}"
        raise Fault(f"Vault refuses ({status}): {said}", code=2) from None

    def _check_mount(self, error: Any = None) -> None:
        """Raise Fault unless the mount is a KV engine of version 2, for which a 404 means: never written."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        if error is not None and "no handler for route" in _said(error):
            raise Fault(f"Vault has nothing mounted at {self._mount}/", code=2) from None
        try:
            answer = self._ask(self._client.adapter.get, url=f"/v1/sys/internal/ui/mounts/{self._mount}")
            kind = answer["data"]["type"]
            version = (answer["data"].get("options") or {}).get("version", "1") if kind == "kv" else ""
        except (InvalidPath, InvalidRequest, TypeError, KeyError, AttributeError):
            said = f"{self._addr} does not say what is mounted at {self._mount}/"
            raise Fault(f"{said}; is VAULT_ADDR right, and without a path?", code=2) from None
        if (kind, version) != ("kv", "2"):
            said = f"{self._mount}/ is {kind} {version}".rstrip() + ", not kv 2: no write there is safe"
            upgrade = f"; upgrade it with `vault kv enable-versioning {self._mount}`" if kind == "kv" else ""
            raise Fault(said + upgrade, code=2) from None

    def _stranger(self) -> Fault:
        return Fault(f"{self._addr} answers ({self._status}), but not as Vault does", code=2)

    def _note_status(self, response: Any, *_: Any, **__: Any) -> None:
        self._status = response.status_code
        if 300 <= self._status < 400:
            target = printable(response.headers.get("Location", "")).partition("?")[0][:200] or "nowhere"
            raise Fault(
                f"Vault at {self._addr} redirects to {target} ({self._status}), which is not followed: the"
                " token is sent to VAULT_ADDR only; set it to the address of Vault's active node",
                code=2,
            )


def _checked_addr(addr: str | None) -> str:
    if not addr:
        raise Fault("no Vault given: set VAULT_ADDR, for example https://vault.example.com", code=2)
    try:
        url = urlsplit(addr.strip())
        sound = url.scheme in ("http", "https") and url.hostname and not url.username
    except ValueError:
        sound = False
    if not sound:
        raise Fault("VAULT_ADDR is no URL; expected https://HOST:PORT", code=2)
    return addr.strip().rstrip("/")


def _checked_token(token: str | None) -> str:
    file = Path("~/.vault-token").expanduser()  # where `vault login` leaves it
    if not token and file.is_file():
        token = file.read_text(errors="replace")
    token = (token or "").strip()
    if not token:
        raise Fault("no token for Vault: set VAULT_TOKEN", code=2)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Fault("VAULT_TOKEN holds characters that no token has; was a whole file pasted?", code=2)
    return token


def _said(error: Exception) -> str:
    """Vault's own words in one line; they name paths and states, never what a secret holds."""
    errors = getattr(error, "errors", None) or [str(error)]
    return " ".join(" ".join(str(part) for part in errors).split())[:300] or type(error).__name__


def _reason(error: Exception) -> str:
    """The innermost cause: requests wraps it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
