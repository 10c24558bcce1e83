locals {
  # Proxmox makes cloud-init's instance from these; another instance means new SSH host keys at the next boot. The
  # inventory records the hash, so its form must not change.
  instances = {
    for name, vm in var.vms : name => substr(sha1(jsonencode([
      proxmox_virtual_environment_vm.this[name].network_device[0].mac_address,
      { address = vm.ipconfig0.ip, gateway = vm.ipconfig0.gw },
      vm.ipconfig0.ip6 == null ? null : { address = vm.ipconfig0.ip6, gateway = vm.ipconfig0.gw6 },
      local.dns[name],
      vm.ciuser,
      vm.sshkeys,
    ])), 0, 12)
  }
}

output "machines" {
  description = "Each machine: address (null: only the guest agent knows it), user, node, VMID, MAC address, cloud-init's instance, mount points by disk slot, whether plays may run."
  # Of the input's machines only: a refresh may find others in the state, such as one that was never finished.
  value = {
    for name, vm in var.vms : name => {
      address  = vm.ipconfig0.ip == "dhcp" ? vm.address : try(split("/", vm.ipconfig0.ip)[0], null)
      user     = vm.ciuser
      node     = proxmox_virtual_environment_vm.this[name].node_name
      vmid     = proxmox_virtual_environment_vm.this[name].vm_id
      mac      = proxmox_virtual_environment_vm.this[name].network_device[0].mac_address
      instance = local.instances[name]
      mounts   = { for disk in vm.disks : disk.slot => disk.mount if disk.mount != null }
      plays    = contains(["l24", "l26"], coalesce(vm.hardware.ostype, "l26")) && local.cloudinit[name] != null
    }
  }
}

output "templates" {
  description = "The template that each machine was cloned from as \"node/vmid\", null for an imported one."
  value = {
    for name, vm in proxmox_virtual_environment_vm.this :
    name => length(vm.clone) == 0 ? null : "${vm.clone[0].node_name}/${vm.clone[0].vm_id}"
  }
}
