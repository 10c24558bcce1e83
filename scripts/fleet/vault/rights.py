"""What the automation's token needs at Vault to register clusters, beside its rights on secrets."""

from collections.abc import Mapping

from fleet.vault import policy

MOUNT = "sys/auth/clusters/+"  # + is the name of a cluster
CONFIG = "auth/clusters/+/config"
ROLE = "auth/clusters/+/role/external-secrets"
# What the policy in docs/install.md, step 4, gives.
RIGHTS = {
    MOUNT: ("create", "read", "update", "delete", "sudo"),
    CONFIG: ("create", "read", "update"),
    ROLE: ("create", "read", "update"),
    policy.PATH: ("read",),
}
WAY_OUT = "add what docs/install.md, step 4, has for these paths, by `vault policy write gitops gitops.hcl`"
NO_RIGHTS = 77  # EX_NOPERM: the exit status where the token lacks them


def lacking(told: Mapping[str, list[str]], needed: Mapping[str, tuple[str, ...]]) -> str:
    """Which of the rights `needed` the capabilities `told` by Vault lack, as "lacks read on PATH"; "" when none."""
    lacks = {path: {*rights} - {*told[path]} for path, rights in needed.items() if "root" not in told[path]}
    said = "; ".join(f"{', '.join(sorted(rights))} on {path}" for path, rights in lacks.items() if rights)
    return said and f"lacks {said}"
