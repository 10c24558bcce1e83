variable "vms" {
  description = <<-EOT
    All machines by name, as scripts/generate_tfvars.py wrote them from the VM files. The fields have the names of the VM
    file, whose schema (schemas/vm.schema.json) has their meaning and their defaults: every field is given here, as null
    where it has no value.
  EOT
  type = map(object({
    target_node = string       # Proxmox node
    clone       = string       # name of the template, or none
    full_clone  = bool         # else a linked one
    vmid        = number       # number in Proxmox
    pool        = string       # Proxmox pool, or null
    tags        = list(string) # lower case, sorted, with the project's own
    description = string       # notes in Proxmox; the last line marks the machine as the project's
    protection  = bool         # Proxmox refuses to remove the machine or its disks
    onboot      = bool         # starts with its node
    vm_state    = string       # "running" or "stopped"
    agent       = bool         # QEMU guest agent
    cores       = number       # per socket
    sockets     = number
    cpu_type    = string
    memory      = number       # MiB
    scsihw      = string       # controller of the disks
    boot        = list(string) # devices in order

    # In the order of the slots: by bus, then by number.
    disks = list(object({
      slot    = string # scsi0, virtio0 or sata0
      size    = number # GiB
      storage = string
      mount   = string # where Ansible mounts it, or null

      # Where they are not given, main.tf has what an existing machine is compared with too.
      discard   = optional(bool)
      iothread  = optional(bool)
      ssd       = optional(bool)
      cache     = optional(string)
      backup    = optional(bool)
      replicate = optional(bool)
      aio       = optional(string)
      format    = optional(string)
      serial    = optional(string)

      import_from = optional(string) # volume that the disk is made of, as local:import/debian12.qcow2
    }))

    # The network card.
    network = object({
      bridge   = string
      model    = string
      macaddr  = string # upper case; null: Proxmox makes one
      tag      = number # VLAN, or null
      mtu      = number # bytes, or null
      firewall = bool
      rate     = number # MB/s, or null

      queues    = optional(number)
      link_down = optional(bool)
    })

    # Addresses with prefix length, gateways without; ip also "dhcp", ip6 also "dhcp" or "auto"; null where there is
    # none.
    ipconfig0 = object({
      ip  = string
      gw  = string
      ip6 = string
      gw6 = string
    })

    # The address that the DHCP server reserves, where ipconfig0 says dhcp; null: only the guest agent knows it.
    address = optional(string)

    nameserver   = list(string) # empty: the node's
    searchdomain = string       # null: the node's
    ciuser       = string       # the user that cloud-init creates
    sshkeys      = list(string) # public keys that may log in as that user

    # What is left out here is as the machine has it (scripts/fleet/terraform/unsaid.py), or not there.
    hardware = optional(object({
      bios     = optional(string)
      machine  = optional(string)
      efidisk  = optional(object({ storage = string, efitype = string, pre_enrolled_keys = bool }))
      tpmstate = optional(object({ storage = string, version = string }))
      balloon  = optional(number) # MiB

      cpu_flags = optional(list(string))
      cpulimit  = optional(number)
      cpuunits  = optional(number)
      numa      = optional(bool)
      vcpus     = optional(number)

      vga       = optional(object({ type = string, memory = optional(number), clipboard = optional(string) }))
      startup   = optional(object({ order = optional(number), up = optional(number), down = optional(number) }))
      cdrom     = optional(object({ file = string, slot = string }))
      cloudinit = optional(object({ slot = string, storage = optional(string) })) # no slot: none
      cicustom = optional(object({
        user = optional(string), network = optional(string), meta = optional(string), vendor = optional(string)
      }))
      ostype   = optional(string)
      hotplug  = optional(string)
      keyboard = optional(string)
      tablet   = optional(bool)
      fstrim   = optional(bool) # an option of the agent
      watchdog = optional(object({ model = string, action = string }))
      ha = optional(object({
        state = string, group = optional(string), max_restart = optional(number), max_relocate = optional(number)
      }))

      # By slot, as net1; null: not there.
      net = optional(map(object({
        bridge    = string
        model     = string
        macaddr   = optional(string)
        tag       = optional(number)
        mtu       = optional(number)
        firewall  = bool
        rate      = optional(number)
        queues    = optional(number)
        link_down = optional(bool)
      })), {})
      ipconfig = optional(map(object({
        ip = optional(string), gw = optional(string), ip6 = optional(string), gw6 = optional(string)
      })), {})
      hostpci = optional(map(object({
        mapping = optional(string), pcie = bool, rombar = bool, x_vga = bool, mdev = optional(string),
        id      = optional(string), rom_file = optional(string) # of a device that a person gave it
      })), {})
      usb = optional(map(object({ mapping = optional(string), usb3 = bool, host = optional(string) })), {})
      virtiofs = optional(map(object({
        mapping = string, cache = string, direct_io = bool, expose_acl = bool, expose_xattr = bool
      })), {})
    }), {})
  }))
}

variable "passwords" {
  description = "Passwords of the machines that are made, by name; an existing machine keeps its own."
  type        = map(string)
  default     = {}
  sensitive   = true
}
