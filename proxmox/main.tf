# Endpoint and token come from PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN.
provider "proxmox" {}

locals {
  # Machines differ in the fields that they have, so that a conditional has no type for them.
  vms = try({ for name, vm in var.vms : name => vm }, {})

  # scripts/generate_tfvars.py hashes in the same way.
  source_files = sort(fileset("${path.module}/${var.vms_dir}", "*.yaml"))
  source_hash = sha1(join("", concat(
    [for file in local.source_files : "${file} ${filesha1("${path.module}/${var.vms_dir}/${file}")}\n"],
    [for file in fileset(path.module, "authorized_keys") : "${file} ${filesha1("${path.module}/${file}")}\n"],
  )))
}

module "vm" {
  source = "./modules/vm"

  vms       = local.vms
  passwords = var.passwords
}

import {
  for_each = var.services

  to = module.vm.proxmox_haresource.this[each.key]
  id = each.value
}

import {
  for_each = var.imports

  to = module.vm.proxmox_virtual_environment_vm.this[each.key]
  id = each.value
}
