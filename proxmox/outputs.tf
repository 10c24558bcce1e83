output "vm_ips" {
  description = "IPv4 address of each machine, without its prefix; null where only its guest agent knows it."
  value       = { for name, vm in module.vm.machines : name => vm.address }
}

output "vm_ids" {
  description = "VMID of each machine."
  value       = { for name, vm in module.vm.machines : name => vm.vmid }
}

output "k8s_nodes" {
  description = "The machines that are called k8s-*, with address, node and VMID."
  value = {
    for name, vm in module.vm.machines : name => {
      address = vm.address
      node    = vm.node
      vmid    = vm.vmid
    } if startswith(name, "k8s-")
  }
}

output "ansible_inventory" {
  description = "What the Ansible inventory records of each machine; `mounts` maps a disk's slot to its mount point."
  value       = module.vm.machines
}

output "adopted" {
  description = "Machines that somebody else made and an apply took over; each run passes them on to the next."
  value       = var.adopted
}

output "templates" {
  description = "The template that each machine was cloned from as \"node/vmid\", null for an imported one."
  value       = module.vm.templates
}
