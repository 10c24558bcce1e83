terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    proxmox = {
      source = "bpg/proxmox"
      # Exact: the provider is not stable below 1.0, its handling of power and disks changed between releases.
      version = "= 0.111.1"
    }
  }
}
