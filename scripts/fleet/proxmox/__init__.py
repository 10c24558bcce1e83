"""Proxmox VE's API: the client, ids, what is checked before an apply."""
