output "machines" {
  description = "VMID, node and MAC address of each machine."
  value = {
    for name, vm in proxmox_virtual_environment_vm.this : name => {
      vmid = vm.vm_id
      node = vm.node_name
      mac  = vm.network_device[0].mac_address
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
