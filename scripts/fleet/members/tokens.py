"""The tokens of a K3s cluster of several machines, in Vault: kv/cluster-bootstrap/CLUSTER.

`token` is made here and written before the first server starts, and `starter` says which machine that is: of two
runs at once one writes, and both go by what was written. `server_token`, with the hash of the cluster's CA, is added
when the first server is up. The token also encrypts what K3s keeps of itself in etcd: without it no snapshot can be
restored.
"""

import re
import secrets
from typing import Any, NamedTuple

from fleet.findings import Fault
from fleet.vault.secret import Secret

FOLDER = "cluster-bootstrap"
_FULL = re.compile(r"K10([0-9a-f]{64})::server:(\S+)")


class Tokens(NamedTuple):
    token: str  # "" if nobody has made one yet
    server_token: str  # K10<hash of the CA>::server:<token>; "" until the first server was up
    starter: str  # the control plane that starts the cluster; "" once that has been

    @property
    def authority(self) -> str:
        """The hash of the cluster's CA; "" while it is not known."""
        found = _FULL.fullmatch(self.server_token)
        return found[1] if found else ""

    @property
    def password(self) -> str:
        found = _FULL.fullmatch(self.server_token)
        return found[2] if found else self.token


def retire(cluster: str) -> bool:
    """Empty what Vault keeps of a cluster that is gone, so that another can take its name; whether that changed it.

    Vault keeps the earlier versions: the cluster's snapshots can only be restored with its token. Raises Fault.
    """
    return Secret(f"{FOLDER}/{cluster}").change(lambda _: {}).changed


class Store:
    """A cluster's tokens in Vault. Every method raises Fault for errors that retries do not solve."""

    def __init__(self, cluster: str, addr: str | None = None, token: str | None = None):
        self._secret = Secret(f"{FOLDER}/{cluster}", addr, token)
        self.place = self._secret.place

    def read(self) -> Tokens:
        return self._tokens(self._secret.read().data)

    def claim(self, starter: str, instead: str = "", anew: bool = False) -> Tokens:
        """Note that `starter` is to start the cluster, and make a token if there is none; what is true then.

        Somebody else's note holds, unless it names `instead`, a machine that is gone. `anew`: the cluster is to be
        started again with its old token, and the CA that was is no more.
        """

        def edited(data: dict[str, Any]) -> dict[str, Any]:
            found = self._tokens(data)
            if found.server_token and not anew:
                return data
            if found.token and found.starter not in ("", instead) and not found.server_token:
                return data
            kept = {key: value for key, value in data.items() if key != "server_token"}
            return kept | {"token": found.password or secrets.token_hex(32), "starter": starter}

        self._secret.change(edited)
        return self.read()

    def keep(self, server_token: str) -> bool:
        """Add the full token that the first server has made; whether that changed anything. Raises Fault."""
        found = _FULL.fullmatch(server_token)
        if not found:
            raise Fault("the server's token is not one of K3s, of the form K10<hash>::server:<password>")

        def edited(data: dict[str, Any]) -> dict[str, Any]:
            known = self._tokens(data)
            if known.server_token == server_token and not known.starter:
                return data
            if known.password != found[2]:
                raise Fault(
                    f"the server's token is not the one in Vault ({self.place}): K3s was started with another. If"
                    " Vault's was overwritten, restore it with `vault kv rollback`"
                )
            if known.authority and known.authority != found[1]:
                raise Fault(
                    f"the server belongs to another cluster than the one in Vault ({self.place}): its CA is another"
                )
            return {key: value for key, value in data.items() if key != "starter"} | {
                "server_token": server_token
            }

        return self._secret.change(edited).changed

    def _tokens(self, data: dict[str, Any]) -> Tokens:
        values = {field: data.get(field) or "" for field in Tokens._fields}
        if wrong := [field for field, value in values.items() if not isinstance(value, str)]:
            raise Fault(f"field {wrong[0]} of {self.place} is not a string")
        found = Tokens(**values)
        if found.server_token and not _FULL.fullmatch(found.server_token):
            raise Fault(
                f"field server_token of {self.place} is not a token of K3s, of the form K10<hash>::server:<password>;"
                " restore it with `vault kv rollback`"
            )
        if found.token and not re.fullmatch(r"[!-~]+", found.token):
            raise Fault(f"field token of {self.place} contains white space or other characters no token has")
        return found
