"""Building a template, stage by stage: each file is one stage, or a part of it, of the role proxmox_template."""
