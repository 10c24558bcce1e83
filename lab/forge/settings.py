"""What a repository has as secrets and variables, and what its runner has as environment."""

import json
from pathlib import Path

# What of the lab's environment a repository keeps as secrets, and what as variables; the rest of it that
# production needs besides belongs to the runner itself.
SECRETS = (
    "PROXMOX_VE_ENDPOINT",
    "PROXMOX_VE_API_TOKEN",
    "PG_CONN_STR",
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "SSH_PRIVATE_KEY",
)
VARIABLES = ("PROXMOX_VE_INSECURE", "CHART_MIRROR", "K3S_INSTALL_URL", "K3S_VERSION")
RUNNER = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "TERRAFORM",
    "TF_CLI_CONFIG_FILE",
    "CHECKPOINT_DISABLE",
    "KUBECTL",
    "ANSIBLE_SSH_CONTROL_PATH_DIR",
)


def read(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """The repository's secrets and variables and the runner's environment; settings.json may change each."""
    found = {
        "secrets": {name: environment[name] for name in SECRETS if name in environment},
        "vars": {name: environment[name] for name in VARIABLES if name in environment},
        "env": {name: environment[name] for name in RUNNER if name in environment},
    }
    changes = folder / "settings.json"
    for kind, values in (json.loads(changes.read_text()) if changes.exists() else {}).items():
        for name, value in values.items():
            if value is None:
                found.setdefault(kind, {}).pop(name, None)
            else:
                found.setdefault(kind, {})[name] = value
    return found
