"""Cloud-init's vendor data on a storage for snippets, the one thing that Proxmox's API cannot write."""
