"""Requests to Vault with retries; address and token come from the environment, errors are explained."""

import os
import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from fleet.findings import Fault, Finding, printable, report
from fleet.vault.access import IN_CLEAR, checked_addr, checked_token, in_clear

TIMEOUT = (5, 15)  # seconds to connect, and to wait for an answer
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds between the attempts at a request


def connect(addr: str, token: str, timeout: tuple[float, float]) -> Any:
    """hvac's client, without retries."""
    import hvac

    return hvac.Client(
        addr,
        token,
        verify=os.environ.get("VAULT_CACERT") or True,
        timeout=timeout,
        namespace=os.environ.get("VAULT_NAMESPACE"),
        allow_redirects=False,  # another host would receive the token, and on a write the whole secret
    )


class Client:
    """A connection to Vault for one secret. Raises Fault for errors that retries do not solve."""

    def __init__(self, addr: str | None, token: str | None, mount: str, path: str):
        self.place = f"{mount}/{path}"
        self._mount = mount
        self.denied = (
            f"to read and write {self.place}: it is invalid or expired, or its policy lacks create, read and update"
            f" on {mount}/data/{path}"
        )  # what a 403 means
        self.addr = checked_addr(addr or os.environ.get("VAULT_ADDR"))
        if in_clear(self.addr):
            report([Finding(IN_CLEAR, level="warning")])
        self._client = connect(self.addr, checked_token(token or os.environ.get("VAULT_TOKEN")), TIMEOUT)
        adapter = self._client.adapter
        self.get, self.post, self.delete = adapter.get, adapter.post, adapter.delete
        self.kv, self.token = self._client.secrets.kv.v2, self._client.auth.token
        self._status = 0  # of the last answer; some of hvac's exceptions lack it
        self._client.session.hooks["response"].append(self._note_status)

    def ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """Make one request, with retries. Raises InvalidPath and InvalidRequest for the caller to handle."""
        import requests
        from hvac import exceptions

        for pause in (*PAUSES, None):
            try:
                return call(**arguments)
            except exceptions.VaultError as error:
                problem = self._transient(error)
            except requests.exceptions.SSLError as error:
                problem = f"the certificate is not trusted ({_reason(error)}); set VAULT_CACERT"
                if "WRONG_VERSION_NUMBER" in problem:
                    problem = "the server does not use TLS; try http://"
                raise Fault(f"{self.addr}: {problem}", code=2) from None
            except requests.RequestException as error:
                problem = f"cannot reach {self.addr}: {_reason(error)}"
            except OSError as error:  # from requests, if the file does not exist
                raise Fault(f"VAULT_CACERT: {_reason(error)}", code=2) from None
            except (
                TypeError,
                ValueError,
                AttributeError,
            ):  # from hvac, if the error is not JSON as Vault writes it
                problem = str(self.not_vault())
            if pause is None:
                raise Fault(f"{problem}; tried {len(PAUSES) + 1} times", code=2)
            print(f"{problem}; retrying in {pause} s", file=sys.stderr)
            time.sleep(pause * random.uniform(0.75, 1.25))

    def _transient(self, error: Exception) -> str:
        """Describe an error that a retry may solve; raise any other."""
        words, status = words_of(error), self._status
        if status == 400 and "Upgrading from non-versioned" in words:
            return f"{self._mount}/ is being upgraded to KV version 2"
        if status in (400, 404):
            raise error
        if status in (401, 403):
            raise Fault(f"Vault does not allow this token {self.denied}", code=2) from None
        if re.search("exceeds allowed length|value being too large", words):  # a 500, but permanent
            limits = "max_json_string_value_length of its listener or max_entry_size of its storage"
            raise Fault(f"{self.place} would exceed Vault's size limit ({words}): raise {limits}") from None
        if status in (412, 429, 472, 473) or status >= 500:
            return f"Vault at {self.addr} is not ready ({status}): {words}"
        raise Fault(f"Vault refused the request ({status}): {words}", code=2) from None

    def not_vault(self) -> Fault:
        return Fault(f"{self.addr} answered ({self._status}), but not like Vault; check VAULT_ADDR", code=2)

    def _note_status(self, response: Any, *_: Any, **__: Any) -> None:
        self._status = response.status_code
        if 300 <= self._status < 400:
            target = printable(response.headers.get("Location", "")).partition("?")[0][:200] or "nowhere"
            raise Fault(
                f"Vault at {self.addr} redirects to {target} ({self._status}); redirects are not followed, because the"
                " token is for VAULT_ADDR only; set VAULT_ADDR to the address of Vault's active node",
                code=2,
            )


def words_of(error: Exception) -> str:
    """Vault's own message on one line. It names paths and states, never the content of a secret."""
    errors = getattr(error, "errors", None) or [str(error)]
    return " ".join(" ".join(str(part) for part in errors).split())[:300] or type(error).__name__


def _reason(error: Exception) -> str:
    """The innermost cause; requests wraps it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
