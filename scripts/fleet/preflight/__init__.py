"""What must be in Proxmox before a machine is made or changed: told before the apply, with the way out."""
