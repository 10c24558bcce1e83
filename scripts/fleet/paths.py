"""Where things are in the repository; every script's options default to these."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROXMOX_DIR = ROOT / "proxmox"
VMS_DIR = PROXMOX_DIR / "vms"
INVENTORY = PROXMOX_DIR / "k8s.ini"
QUEUE = PROXMOX_DIR / "new_hosts.txt"
KNOWN_HOSTS = PROXMOX_DIR / "known_hosts"
PLAYBOOKS_DIR = PROXMOX_DIR / "playbooks"
TFVARS = PROXMOX_DIR / "vms.auto.tfvars.json"
IMAGES = PROXMOX_DIR / "images.yml"
CLUSTERS_DIR = ROOT / "clusters"
AUTHORIZED_KEYS = PROXMOX_DIR / "authorized_keys"
SCHEMA = Path(__file__).with_name("vm.schema.json")  # a link to schemas/, so that it is installed too


def shown(path: str | Path) -> str:
    """The path as a person at the current directory would type it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
