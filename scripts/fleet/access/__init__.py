"""Who may do what in Proxmox: roles, users, tokens and access lists, and which rights an operation needs."""
