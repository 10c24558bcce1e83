"""Guests that exist in Proxmox, as the VM files that say what they are."""
