"""The environment in which production's files work on this lab."""

import hashlib
import os
import sys
from pathlib import Path

from lab import (
    CHARTS_URL,
    FORGE_URL,
    GATEWAY,
    INSTALLER_URL,
    PROXMOX_URL,
    VAULT_URL,
    builds,
    lab_dir,
    postgres,
    secret,
    terraform,
)

# What of the environment is secret: on GitHub, secrets of the repository.
SECRET_NAMES = ("PROXMOX_VE_API_TOKEN", "PG_CONN_STR", "VAULT_TOKEN", "SSH_PRIVATE_KEY", "GITHUB_TOKEN")


def control_path_dir() -> Path:
    """The folder of the sockets of Ansible's SSH connections, short wherever the lab is."""
    return Path("/run") / f"lab-ssh-{hashlib.sha256(str(lab_dir()).encode()).hexdigest()[:8]}"


def environment() -> dict[str, str]:
    """The environment in which the production files work on this lab, added to the caller's own."""
    env = {
        **os.environ,
        "LAB_DIR": str(lab_dir()),
        "PATH": os.pathsep.join(
            [str(lab_dir() / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
        "PROXMOX_GITOPS_ENV": os.environ.get("PROXMOX_GITOPS_ENV")
        or str(lab_dir() / ".env"),  # not a developer's own
        "PROXMOX_VE_ENDPOINT": PROXMOX_URL,
        "PROXMOX_VE_API_TOKEN": secret("proxmox_token"),
        "PROXMOX_VE_INSECURE": "false",
        # For the one boot of a template's build; no machine has it.
        "PROXMOX_SEAL_IPCONFIG": f"ip=192.168.1.9/24,gw={GATEWAY}",
        "PROXMOX_IMAGES": str(lab_dir() / "images/images.yml"),
        "PG_CONN_STR": postgres.connection_string(),
        "VAULT_ADDR": VAULT_URL,
        "VAULT_TOKEN": secret("vault_token"),
        "SSH_PRIVATE_KEY": secret("ssh_key") + "\n",
        "GITHUB_TOKEN": secret("github_token"),
        "GITHUB_API_URL": FORGE_URL,
        "CHART_MIRROR": CHARTS_URL,
        "K3S_INSTALL_URL": INSTALLER_URL,
        "TERRAFORM": terraform.program(),
        "TF_CLI_CONFIG_FILE": str(lab_dir() / "terraform.tfrc"),
        "CHECKPOINT_DISABLE": "1",
        # A socket's path takes 108 bytes, of which a checkout's own path may leave too few.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control_path_dir()),
        "KUBECTL": str(builds.entry("kubernetes") / "kubectl"),
    }
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        env[name] = str(lab_dir() / "tls" / "bundle.pem")
    for name in ("http_proxy", "https_proxy", "all_proxy"):  # nothing of the lab is behind a proxy
        env.pop(name, None)
        env.pop(name.upper(), None)
    return env
