"""How a cluster's workloads log in at Vault: with tokens that the cluster signs for one of its ServiceAccounts.

Each cluster has a mount of its own, auth/clusters/CLUSTER, with its public keys: all clusters of K3s have the same
issuer, so that in a common mount one could pass for another. A mount that somebody else made is never touched.
"""

import re
from functools import partial
from typing import Any, NamedTuple

from fleet.findings import Fault, printable
from fleet.vault import policy
from fleet.vault.client import Client, words_of
from fleet.vault.rights import CONFIG, MOUNT, NO_RIGHTS, RIGHTS, ROLE, WAY_OUT, lacking

MARK = "proxmox-gitops"  # how the description of our mounts begins
WANTED = {
    "role_type": "jwt",
    "bound_audiences": ["vault"],
    "bound_subject": "system:serviceaccount:external-secrets:external-secrets",
    "user_claim": "sub",
    "token_policies": [policy.NAME],
    "token_no_default_policy": True,
    "token_ttl": 20 * 60,
    "token_max_ttl": 20 * 60,
}
OTHER = {"jwks_url": "", "jwks_pairs": [], "oidc_discovery_url": ""}  # the other sources of keys, all unused


class Keys(NamedTuple):
    """By what a cluster's tokens are recognised."""

    issuer: str
    pems: tuple[str, ...]  # public keys; several while they are being changed
    algorithms: tuple[str, ...]  # such as RS256


class Login:
    """A cluster's login at Vault. Every method raises Fault for errors that retries do not solve."""

    def __init__(self, cluster: str, addr: str | None = None, token: str | None = None):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", cluster):
            raise Fault(f"{printable(cluster)!r} is not the name of a cluster", code=2)
        self._cluster, self.place = cluster, f"auth/clusters/{cluster}"
        self._vault = Client(addr, token, "auth", f"clusters/{cluster}")
        self._vault.denied = (
            f"what it needs for {self.place}: it is invalid or expired, or its policy allows other parameters than"
            " the one in docs/install.md, step 4"
        )

    def register(self, keys: Keys, dry_run: bool = False) -> list[str]:
        """Bring mount, keys, role and policy to what they should be; which of them had to change.

        Raises Fault with the code NO_RIGHTS where the token may not do it.
        """
        told = self._rights()
        if lacks := lacking(told, {self._path(path): rights for path, rights in RIGHTS.items()}):
            raise Fault(f"the token may not register {self._cluster}: it {lacks}; {WAY_OUT}", code=NO_RIGHTS)
        known = self._mount()
        if known is False:
            raise Fault(
                f"{self.place} in Vault is somebody else's: its type is not jwt, or its description does not begin with"
                f" {MARK}; move it with `vault auth move`, or give the cluster another name"
            )
        may_write = not {"root", "create", "update"}.isdisjoint(told[policy.PATH])
        made = policy.ensure(self._vault, may_write, dry_run)
        changed = ["policy"] if made else []
        if known is None:
            changed.append("mount")
            about = {"type": "jwt", "description": f"{MARK}: workloads of {self._cluster}"}
            self._write(MOUNT, about, dry_run)
        wanted = {
            "jwt_validation_pubkeys": sorted(keys.pems),
            "jwt_supported_algs": sorted(keys.algorithms),
            "bound_issuer": keys.issuer,
        }
        # A policy can allow one text as the value of a parameter, but not one list.
        role = WANTED | {"token_policies": policy.NAME}
        parts = (("keys", CONFIG, wanted | OTHER, wanted), ("role", ROLE, WANTED, role))
        for what, path, goal, sent in parts:
            found = (self._read(path) if known else None) or {}
            if any((found.get(key) or type(value)()) != value for key, value in goal.items()):
                changed.append(what)
                self._write(path, sent, dry_run)
        if made is None:
            raise Fault(
                f"{self._cluster} is registered, but its workloads cannot read anything: Vault has no policy"
                f" {policy.NAME}, and this token may not write one; {policy.WAY_OUT}",
                code=NO_RIGHTS,
            )
        return changed

    def remove(self, dry_run: bool = False) -> bool:
        """Take the mount away, and with it what was logged in; False where there is none of ours.

        A token that may not ask has never made one, so that there is none then.
        """
        if lacking(self._rights(), {self._path(MOUNT): RIGHTS[MOUNT]}) or not self._mount():
            return False
        if not dry_run:
            self._vault.ask(partial(self._vault.delete, f"/v1/{self._path(MOUNT)}"))
        return True

    def _mount(self) -> bool | None:
        """Whether the mount is ours; None where there is none."""
        if (found := self._read(MOUNT)) is None:
            return None
        return found.get("type") == "jwt" and str(found.get("description")).startswith(MARK)

    def _path(self, path: str) -> str:
        return path.replace("+", self._cluster)

    def _rights(self) -> dict[str, list[str]]:
        body = {"paths": [self._path(path) for path in RIGHTS]}
        try:
            told = self._vault.ask(partial(self._vault.post, "/v1/sys/capabilities-self", json=body))["data"]
            return {path: list(told[path]) for path in body["paths"]}
        except (TypeError, KeyError):
            raise self._vault.not_vault() from None

    def _read(self, path: str) -> dict[str, Any] | None:
        """What Vault has at a path, None where it has nothing."""
        from hvac.exceptions import InvalidPath, InvalidRequest

        try:
            return self._vault.ask(partial(self._vault.get, f"/v1/{self._path(path)}"))["data"]
        except InvalidPath:
            return None
        except InvalidRequest as error:
            if path == MOUNT:  # 400 "No auth engine at …"
                return None
            raise Fault(f"Vault refused to read {self._path(path)}: {words_of(error)}", code=2) from None
        except (TypeError, KeyError):
            raise self._vault.not_vault() from None

    def _write(self, path: str, body: dict[str, Any], dry_run: bool) -> None:
        from hvac.exceptions import InvalidRequest

        if dry_run:
            return
        try:
            self._vault.ask(partial(self._vault.post, f"/v1/{self._path(path)}", json=body))
        except InvalidRequest as error:
            if (
                path == MOUNT and self._mount()
            ):  # made by another play in between, or by a try whose answer was lost
                return
            raise Fault(f"Vault refused to write {self._path(path)}: {words_of(error)}", code=2) from None
