"""The policy `workloads` at Vault: what the workloads of every cluster may read there, and never may.

An administrator writes it, not the automation: a token that may write a policy may give itself every right. What is
there is a person's, who may narrow or extend it; it only must keep the denials.
"""

import re
from functools import partial
from typing import Any

from fleet.findings import Fault, listed
from fleet.vault.client import Client

NAME = "workloads"
PATH = f"sys/policies/acl/{NAME}"
WAY_OUT = f"save it from docs/install.md, step 4, and run `vault policy write {NAME} {NAME}.hcl`"
TEXT = """\
path "kv/data/cluster-secret-store/secrets/*" { capabilities = ["read"] }
path "kv/metadata/cluster-secret-store/secrets/*" { capabilities = ["read", "list"] }
path "kv/data/cluster-secret-store/secrets/KUBECONFIG" { capabilities = ["deny"] }
path "kv/metadata/cluster-secret-store/secrets/KUBECONFIG" { capabilities = ["deny"] }
path "kv/data/cluster-bootstrap/*" { capabilities = ["deny"] }
path "kv/data/playbooks/*" { capabilities = ["deny"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""
_RULE = re.compile(r'path\s+"([^"]+)"\s*\{([^}]*)\}')


def _denied(text: str) -> set[str]:
    """The paths that a policy denies."""
    plain = re.sub(r"^\s*(#|//).*$", "", text, flags=re.M)
    return {path for path, rule in _RULE.findall(plain) if '"deny"' in rule}


def check(text: str) -> None:
    """Raise Fault for a policy that does not deny what no workload may ever read."""
    if missing := sorted(path for path in _denied(TEXT) - _denied(text) if "/data/" in path):
        lines = " ".join(f'path "{path}" {{ capabilities = ["deny"] }}' for path in missing)
        raise Fault(
            f"Vault's policy {NAME} does not deny {listed(missing)}, so that workloads could read what gives away"
            f" whole clusters; add to it: {lines}"
        )


def ensure(vault: Client, may_write: bool, dry_run: bool) -> bool | None:
    """Whether the policy had to be made; None where it is missing and may not be made. Raises Fault."""
    from hvac.exceptions import InvalidPath

    try:
        found: Any = vault.ask(partial(vault.get, f"/v1/{PATH}"))["data"]["policy"]
    except InvalidPath:
        if not may_write:
            return None
        if not dry_run:
            vault.ask(partial(vault.post, f"/v1/{PATH}", json={"policy": TEXT}))
        return True
    except (TypeError, KeyError):
        raise vault.not_vault() from None
    check(str(found))
    return False
