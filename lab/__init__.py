"""The lab: an embedded Proxmox, Vault, PostgreSQL, forge and Kubernetes, for the demo and the tests.

Its state is kept in LAB_DIR (default: .lab in the checkout). What it builds goes into a cache outside the
checkout, by version, so a second checkout builds nothing. Nothing under scripts/ imports it: see README.md.
"""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# One network of its own, the same in every lab, since every lab has a network namespace of its own.
BRIDGE = "vmbr0"
GATEWAY = "192.168.1.1"
PREFIX = 24
PROXMOX_URL = f"https://{GATEWAY}:8006/"
VAULT_URL = "http://127.0.0.1:8200"
POSTGRES_PORT = 5432
FORGE_URL = "http://127.0.0.1:3000"
IMAGES_URL = f"https://{GATEWAY}"
INSTALLER_URL = f"http://{GATEWAY}:8080/install.sh"
CHARTS_URL = f"http://{GATEWAY}:8081"


# Files in LAB_DIR/secrets that are not secret.
PUBLIC = (".pub",)


class LabError(Exception):
    """An error that is shown to a person without a traceback."""


def lab_dir() -> Path:
    """Where this lab keeps its state."""
    return Path(os.environ.get("LAB_DIR") or ROOT / ".lab").resolve()


def lab_id() -> str:
    """Six digits that distinguish this lab's namespace, cgroups and machines from another's."""
    return hashlib.sha1(str(lab_dir()).encode()).hexdigest()[:6]


def cache_dir() -> Path:
    """Where built programs are kept, by version; shared by all checkouts of this user."""
    given = os.environ.get("PROXMOX_GITOPS_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given).resolve() if given else base / "proxmox-gitops"


def secrets_dir() -> Path:
    return lab_dir() / "secrets"


def secret(name: str) -> str:
    """The text of one secret file, without the line break at its end; empty if there is none."""
    path = secrets_dir() / name
    return path.read_text().rstrip("\n") if path.exists() else ""


def secrets() -> dict[str, str]:
    """Every secret value that the lab made, by where it came from: what no log may ever contain.

    Keys of many lines count line by line; of a connection string or an API token, the secret part counts.
    """
    found = {}
    for path in sorted(secrets_dir().glob("*")):
        if not path.is_file() or path.suffix in PUBLIC:
            continue
        lines = path.read_text().split("\n")
        for number, line in enumerate(lines, 1):
            value = line.rpartition("=")[2] if path.name == "proxmox_token" else line.strip()
            if len(value) >= 12 and not value.startswith("-----"):
                found[f"{path.name}:{number}"] = value
    return found
