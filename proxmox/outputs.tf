locals {
  # Proxmox makes cloud-init's instance from these; another instance means new SSH host keys at the next boot.
  instances = {
    for name, vm in local.vms : name => substr(sha1(jsonencode([
      module.vm.machines[name].mac, vm.ipv4, vm.ipv6, vm.dns, vm.user, vm.ssh_keys,
    ])), 0, 12)
  }
}

output "vm_ips" {
  description = "IPv4 address of each machine, without its prefix."
  value       = { for name, vm in local.vms : name => split("/", vm.ipv4.address)[0] }
}

output "vm_ids" {
  description = "VMID of each machine."
  value       = { for name, vm in module.vm.machines : name => vm.vmid }
}

output "k8s_nodes" {
  description = "The machines that are called k8s-*, with address, node and VMID."
  value = {
    for name, vm in local.vms : name => {
      address = split("/", vm.ipv4.address)[0]
      node    = module.vm.machines[name].node
      vmid    = module.vm.machines[name].vmid
    } if startswith(name, "k8s-")
  }
}

output "ansible_inventory" {
  description = "What the Ansible inventory says of each machine; `mounts` maps a disk's slot to its mount point."
  value = {
    for name, vm in local.vms : name => {
      address  = split("/", vm.ipv4.address)[0]
      user     = vm.user
      node     = module.vm.machines[name].node
      vmid     = module.vm.machines[name].vmid
      mac      = module.vm.machines[name].mac
      instance = local.instances[name]
      mounts   = { for disk in vm.disks : disk.slot => disk.mount if disk.mount != null }
    }
  }
}

output "templates" {
  description = "The template that each machine was cloned from as \"node/vmid\", null for an imported one."
  value       = module.vm.templates
}
