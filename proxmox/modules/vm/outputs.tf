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
  description = "The template found for each machine as \"node/vmid\", null when there is none."
  value = {
    for name, template in local.templates :
    name => template == null ? null : "${template.node_name}/${template.vm_id}"
  }
}
