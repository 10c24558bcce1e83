"""The repository's secrets and variables, which reach the scripts as environment variables."""

import os
from typing import NamedTuple

from fleet.findings import Fault

# What to say of a PG_CONN_STR that cannot be read: others' words of it quote the password.
NO_CONNECTION = "PG_CONN_STR is no connection string: in a password write % as %25, @ as %40, / as %2F"


class Setting(NamedTuple):
    name: str
    what: str  # what it is, and the step of docs/install.md that makes it
    needed: str = "no"  # "always", "clusters" (only with a machine that has a Kubernetes cluster) or "no"
    secret: bool = True


# A workflow uses no other; a test compares. Their forms are in fleet/secrets/forms.py.
SETTINGS = (
    Setting("PROXMOX_VE_ENDPOINT", "the address of Proxmox, as https://pve.example.org:8006/", "always"),
    Setting("PROXMOX_VE_API_TOKEN", "the API token of Proxmox (docs/install.md, step 1)", "always"),
    Setting("PG_CONN_STR", "the database of Terraform's state (docs/install.md, step 3)", "always"),
    Setting("SSH_PRIVATE_KEY", "the key that Ansible logs in with (docs/install.md, step 6)", "always"),
    Setting("VAULT_ADDR", "the address of Vault (docs/install.md, step 4)", "clusters"),
    Setting("VAULT_TOKEN", "Vault's token (docs/install.md, step 4)", "clusters"),
    Setting("PROXMOX_READ_API_TOKEN", "Proxmox's read-only token for the workflow drift (`make fix-token`)"),
    Setting("DEPLOY_KEY", "the key that pushes to a protected branch (docs/install.md, step 7)"),
    Setting("PROXMOX_VE_INSECURE", "whether any certificate of Proxmox is accepted", secret=False),
    Setting("MAX_CHANGES", "how many machines one apply may change", secret=False),
    Setting("NIGHTLY", "whether terraform-apply runs each night", secret=False),
    Setting("PARALLELISM", "how many machines are made or changed at once", secret=False),
    Setting("CHART_MIRROR", "the one repository that all charts of clusters/ come from", secret=False),
    Setting("K3S_GITHUB_URL", "where K3s itself comes from", secret=False),
    Setting("K3S_INSTALL_URL", "where the install script of K3s comes from", secret=False),
    Setting("K3S_INSTALL_SHA256", "the checksum of the install script of K3s", secret=False),
    Setting("K3S_VERSION", "the version of K3s", secret=False),
    Setting("SSH_TIMEOUT", "seconds to wait for a machine's SSH", secret=False),
)


def strip() -> None:
    """Remove the white space that a paste leaves around a value, for this process and all that it starts."""
    for setting in SETTINGS:
        if (value := os.environ.get(setting.name)) is not None:
            os.environ[setting.name] = value.strip()


def number(name: str, default: int) -> int:
    """A variable that holds a number, or its default. Raises Fault (exit 2)."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise Fault(f"{name} is {text!r}; it must be a number", code=2)
    return int(text)
