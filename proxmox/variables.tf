variable "vms" {
  description = "All machines by name, as scripts/generate_tfvars.py wrote them from the VM files."
  # The module has the type: it is stated once.
  type    = any
  default = null

  validation {
    condition     = var.vms != null
    error_message = "There is no vms.auto.tfvars.json yet: run `make tfvars`, which writes it from vms/*.yaml."
  }
}

variable "imports" {
  description = "Machines that an interrupted apply left in Proxmox without a state: name to \"node/vmid\"."
  type        = map(string)
  default     = {}
}

variable "services" {
  description = "What the HA manager looks after already: machine to \"vm:ID\"."
  type        = map(string)
  default     = {}
}

variable "passwords" {
  description = "Passwords of the machines that are made, by name; apply_terraform.py reads them from Vault."
  type        = map(string)
  default     = {}
  sensitive   = true
}

variable "adopted" {
  description = "Machines that somebody else made and an apply took over, so that no play waits for them."
  type        = list(string)
  default     = []
}

variable "source_hash" {
  description = "Hash of the VM files from which vms was made, so that a stale input is noticed."
  type        = string
  default     = ""

  validation {
    # Without vms the message above is the one to read.
    condition     = var.vms == null || var.source_hash == local.source_hash
    error_message = "The VM files changed since vms.auto.tfvars.json was written: run `make tfvars` again."
  }
}

variable "vms_dir" {
  description = "Where the VM files are, relative to this directory."
  type        = string
  default     = "vms"
}
