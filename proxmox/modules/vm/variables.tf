variable "vms" {
  description = "The machines by name; see the root module's variable of the same name for the meaning."
  type = map(object({
    vmid          = number
    node          = string
    template      = string
    full_clone    = bool
    description   = string
    tags          = list(string)
    pool          = optional(string)
    protection    = bool
    on_boot       = bool
    started       = bool
    agent         = bool
    cores         = number
    sockets       = number
    cpu_type      = string
    memory        = number
    scsi_hardware = string
    boot_order    = list(string)
    disks         = list(object({ slot = string, size = number, storage = string }))
    network = object({
      bridge   = string
      model    = string
      mac      = optional(string)
      vlan     = optional(number)
      mtu      = optional(number)
      firewall = bool
      rate     = optional(number)
    })
    ipv4     = object({ address = string, gateway = optional(string) })
    ipv6     = optional(object({ address = string, gateway = optional(string) }))
    dns      = optional(object({ domain = optional(string), servers = list(string) }))
    user     = string
    ssh_keys = list(string)
  }))
}
