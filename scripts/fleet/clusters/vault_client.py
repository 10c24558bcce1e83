"""A Vault server, asked with retries: its address and token from the environment, its errors in words."""

import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fleet.findings import Fault

TIMEOUT = (5, 15)  # seconds to connect and to answer
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # between the tries of a request that may pass the next time


class Client:
    """A Vault server that is asked for one secret. Every method raises Fault for what no retry has mended."""

    def __init__(self, addr: str | None, token: str | None, mount: str, path: str):
        import hvac

        self.place = f"{mount}/{path}"
        self._mount, self._path = mount, path
        self.addr = _checked_addr(addr or os.environ.get("VAULT_ADDR"))
        self._client = hvac.Client(
            self.addr,
            _checked_token(token or os.environ.get("VAULT_TOKEN")),
            verify=os.environ.get("VAULT_CACERT") or True,
            timeout=TIMEOUT,
            namespace=os.environ.get("VAULT_NAMESPACE"),
        )
        self.get, self.kv = self._client.adapter.get, self._client.secrets.kv.v2
        self._status = 0  # of the last answer; not all of hvac's exceptions tell it
        self._client.session.hooks["response"].append(self._note_status)

    def ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
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
                raise Fault(f"{self.addr}: {said}", code=2) from None
            except requests.RequestException as error:
                said = f"{self.addr} cannot be reached: {_reason(error)}"
            except OSError as error:  # requests, when there is no such file
                raise Fault(f"VAULT_CACERT: {_reason(error)}", code=2) from None
            except (TypeError, ValueError, AttributeError):  # hvac, when an error is no JSON of Vault's
                said = f"{self.stranger()}"
            if pause is None:
                raise Fault(f"{said}; tried {len(PAUSES) + 1} times", code=2)
            print(f"{said}; again in {pause} s", file=sys.stderr)
            time.sleep(pause * random.uniform(0.75, 1.25))

    def _judged(self, error: Exception) -> str:
        """What is wrong, when trying again may help; raises what no retry mends."""
        said, status = words_of(error), self._status
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
            return f"Vault at {self.addr} is not ready ({status}): {said}"
        raise Fault(f"Vault refuses ({status}): {said}", code=2) from None

    def stranger(self) -> Fault:
        return Fault(f"{self.addr} answers ({self._status}), but not as Vault does", code=2)

    def _note_status(self, response: Any, *_: Any, **__: Any) -> None:
        self._status = response.status_code


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


def words_of(error: Exception) -> str:
    """Vault's own words in one line; they name paths and states, never what a secret holds."""
    errors = getattr(error, "errors", None) or [str(error)]
    return " ".join(" ".join(str(part) for part in errors).split())[:300] or type(error).__name__


def _reason(error: Exception) -> str:
    """The innermost cause: requests wraps it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
