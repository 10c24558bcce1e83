terraform {
  # The same as proxmox/: 1.9 has all that is used here (mock_provider in tests is from 1.8), in Terraform and OpenTofu.
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    helm = {
      source = "hashicorp/helm"
      # Exact: the guard knows how this one reads releases, and its syntax changed from 2 to 3.
      version = "= 3.1.2"
    }
  }
}
