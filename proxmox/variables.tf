variable "vms" {
  description = "The machines by name, as scripts/generate_tfvars.py wrote them from the VM files."
  type = map(object({
    vmid        = number
    node        = string
    template    = string
    full_clone  = optional(bool, true)
    description = string
    tags        = list(string)
    pool        = optional(string)
    protection  = optional(bool, false)
    on_boot     = optional(bool, true)
    started     = optional(bool, true)
    agent       = optional(bool, true)

    cores         = number
    sockets       = optional(number, 1)
    cpu_type      = optional(string, "host")
    memory        = number
    scsi_hardware = optional(string, "virtio-scsi-single")
    boot_order    = optional(list(string), ["scsi0"])

    disks = list(object({
      slot    = string
      size    = number
      storage = string
      mount   = optional(string)
    }))

    network = object({
      bridge   = string
      model    = string
      mac      = optional(string)
      vlan     = optional(number)
      mtu      = optional(number)
      firewall = optional(bool, false)
      rate     = optional(number)
    })

    ipv4     = object({ address = string, gateway = optional(string) })
    ipv6     = optional(object({ address = string, gateway = optional(string) }))
    dns      = optional(object({ domain = optional(string), servers = optional(list(string), []) }))
    user     = string
    ssh_keys = list(string)
  }))
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
