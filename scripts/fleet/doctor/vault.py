"""Vault: whether it answers and is unsealed, and what its token may do and for how long.

More than 150 lines because all of it asks one connection.
"""

import datetime
import json
from functools import cached_property
from os import environ
from typing import Any

from fleet.clusters import vault
from fleet.doctor.configured import machines, setting
from fleet.doctor.line import OK, WARNING, Line, red, skipped, warning
from fleet.doctor.proxmox import ahead_of_us
from fleet.findings import Fault, listed
from fleet.vault import access, policy
from fleet.vault import rights as logins_rights
from fleet.vault.access import DAY, REPLACE, SOON
from fleet.vault.client import connect, words_of

TIMEOUT = (4, 6)  # seconds to connect, and to wait for an answer
PLACE = f"{vault.MOUNT}/data/{vault.PATH}"


class Vault:
    """What the checks ask together."""

    def __init__(self) -> None:
        self.ahead: float | None = None  # seconds that its clock is ahead of ours

    @cached_property
    def client(self) -> Any:
        client = connect(access.checked_addr(environ.get("VAULT_ADDR")), "", TIMEOUT)
        client.session.hooks["response"].append(self._note_date)
        return client

    def _note_date(self, answer: Any, *_: Any, **__: Any) -> None:
        self.ahead = ahead_of_us(answer.headers.get("Date"))


def address(one: Vault) -> Line:
    name, wanted = "address", "an answer of Vault's API, over https://"
    if not setting("VAULT_ADDR"):
        return skipped(name, "set VAULT_ADDR once a machine runs Kubernetes (docs/install.md, step 4)")
    try:
        addr = access.checked_addr(setting("VAULT_ADDR"))
    except Fault as fault:
        return red(name, str(fault), "https://HOST:8200", "correct VAULT_ADDR")
    import requests
    from hvac.exceptions import VaultError

    mend = "check VAULT_ADDR, and on Vault's host `systemctl status vault`"
    try:
        one.client.sys.read_seal_status()
    except requests.exceptions.SSLError:
        mend = "set VAULT_CACERT to the file of Vault's CA, or renew its certificate"
        return red(name, f"{addr}: its certificate is not trusted", wanted, mend)
    except (requests.RequestException, VaultError, ValueError) as error:
        return red(name, f"{addr}: {_why(error)}", wanted, mend)
    except OSError as error:  # of requests, for a file that is not there
        return red(name, str(error), wanted, "correct VAULT_CACERT")
    if access.in_clear(addr):
        mend = "give Vault a certificate, and use https://"
        return warning(name, f"{addr}, so the token crosses the network in clear", wanted, mend)
    return Line(name, addr, wanted)


def _why(error: Exception) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT[1]} s"
    if isinstance(error, requests.RequestException):
        while inner := error.__cause__ or error.__context__:
            error = inner
        return " ".join(str(error).split())[:200]
    return words_of(error)


def seal(one: Vault) -> Line:
    name, wanted = "seal", "initialised and unsealed"
    status = one.client.sys.read_seal_status()
    if not status.get("initialized", True):
        return red(name, "not initialised", wanted, "`vault operator init`, then `vault operator unseal`")
    if status["sealed"]:
        keys = f"{status.get('progress', 0)} of {status.get('t', '?')} keys given"
        return red(name, f"sealed, {keys}", wanted, "`vault operator unseal`, once for each key")
    return Line(name, f"unsealed, version {status.get('version', 'unknown')}", wanted)


def token(one: Vault) -> Line:
    name, wanted = "token", f"{SOON} days left or more, and renewable"
    from hvac import exceptions

    try:
        one.client.token = access.checked_token(environ.get("VAULT_TOKEN"))
    except Fault as fault:
        return red(name, str(fault), wanted, REPLACE)
    try:
        about = one.client.auth.token.lookup_self()["data"]
    except (exceptions.Forbidden, exceptions.Unauthorized):
        return red(name, "invalid or expired", wanted, REPLACE)
    policies = ", ".join(about.get("policies") or ["none"])
    if about.get("expire_time") is None and not about["ttl"]:
        mend = REPLACE if "root" in about["policies"] else ""
        return Line(name, f"no end; policies: {policies}", wanted, mend, WARNING if mend else OK)
    days = about["ttl"] / DAY
    left = f"{days:.0f} days left" if days >= 2 else f"{datetime.timedelta(seconds=about['ttl'])} left"
    period = f", each renewal gives {about['period'] // 3600} h" if about.get("period") else ""
    found = f"{left}{period}{'' if about['renewable'] else ', not renewable'}; policies: {policies}"
    if not about["renewable"] or (days < SOON and not about.get("period")):
        return warning(name, found, wanted, REPLACE)
    if days < SOON:
        return warning(name, found, wanted, "`python3 scripts/renew_vault_token.py`")
    return Line(name, found, wanted)


def rights(one: Vault) -> Line:
    """On the kubeconfig, and on the passwords that VM files name by their places."""
    needed = {PLACE: ("create", "read", "update")}
    for place in sorted(filter(None, (machine.hardware.cipassword for machine in machines()))):
        first, _, path = place.partition("#")[0].partition("/")
        needed[f"{first}/data/{path}"] = ("read",)
    name, wanted = "rights", "; ".join(f"{', '.join(rights)} on {place}" for place, rights in needed.items())
    told = one.client.sys.get_capabilities(paths=list(needed))["data"]
    for place, rights in needed.items():
        lacks = [] if "root" in told[place] else sorted({*rights} - {*told[place]})
        if lacks:
            policy = f'path "{place}" {{ capabilities = {json.dumps(rights)} }}'
            mend = f"add to the token's policy, by `vault policy write gitops gitops.hcl`: {policy}"
            return red(name, f"lacks {', '.join(lacks)} on {place}", wanted, mend)
    return Line(name, listed(needed), wanted)


def logins(one: Vault) -> Line:
    """The rights to register clusters, and what registered workloads may read; without workloads nobody needs them."""
    name, wanted = "workloads", f"may register clusters, and the policy {policy.NAME} denies KUBECONFIG"
    needed = {path.replace("+", "NAME"): rights for path, rights in logins_rights.RIGHTS.items()}
    told = one.client.sys.get_capabilities(paths=list(needed))["data"]
    if lacks := logins_rights.lacking(told, needed):
        return warning(name, lacks, wanted, f"if workloads run on a cluster, {logins_rights.WAY_OUT}")
    from hvac.exceptions import InvalidPath

    try:
        policy.check(one.client.adapter.get(f"/v1/{policy.PATH}")["data"]["policy"])
    except InvalidPath:
        return warning(name, f"there is no policy {policy.NAME}", wanted, policy.WAY_OUT)
    except Fault as fault:
        return red(name, str(fault), wanted, f"`vault policy write {policy.NAME} {policy.NAME}.hcl`")
    return Line(name, wanted, wanted)


def mount(one: Vault) -> Line:
    name, wanted = "mount", f"{vault.MOUNT}/ is KV version 2"
    from hvac import exceptions

    try:
        about = one.client.adapter.get(f"/v1/sys/internal/ui/mounts/{vault.MOUNT}")["data"]
    except (exceptions.Forbidden, exceptions.InvalidPath, exceptions.InvalidRequest):
        return red(
            name,
            f"nothing is mounted at {vault.MOUNT}/",
            wanted,
            f"`vault secrets enable -path={vault.MOUNT} kv-v2`",
        )
    version = (about.get("options") or {}).get("version", "1")
    if (about["type"], version) != ("kv", "2"):
        return red(name, f"{about['type']} {version}", wanted, f"`vault kv enable-versioning {vault.MOUNT}`")
    return Line(name, "KV version 2", wanted)
