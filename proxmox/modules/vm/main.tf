# One request per node and plan, however many machines there are.
data "proxmox_virtual_environment_vms" "templates" {
  filter {
    name   = "template"
    values = ["true"]
  }

  filter {
    name   = "name"
    values = distinct([for vm in var.vms : vm.clone])
  }
}

locals {
  # Names are not unique in Proxmox. The sort key puts templates on the machine's own node last, and of these
  # the highest VMID, which is the newest.
  candidates = {
    for name, vm in var.vms : name => sort([
      for template in data.proxmox_virtual_environment_vms.templates.vms :
      format("%d %09d %s", template.node_name == vm.target_node ? 1 : 0, template.vm_id, template.node_name)
      if template.name == vm.clone
    ])
  }

  templates = {
    for name, found in local.candidates : name => length(found) == 0 ? null : {
      vm_id     = tonumber(split(" ", element(found, length(found) - 1))[1])
      node_name = split(" ", element(found, length(found) - 1))[2]
    }
  }

  dns = {
    for name, vm in var.vms : name => length(vm.nameserver) == 0 && vm.searchdomain == null ? null : {
      domain  = vm.searchdomain
      servers = vm.nameserver
    }
  }
}

resource "proxmox_virtual_environment_vm" "this" {
  for_each = var.vms

  name        = each.key
  vm_id       = each.value.vmid
  node_name   = each.value.target_node
  description = each.value.description
  tags        = each.value.tags
  pool_id     = each.value.pool
  protection  = each.value.protection
  on_boot     = each.value.onboot
  started     = each.value.vm_state == "running"

  # A machine that was moved by hand or by HA is moved back alive; without this it would be made anew.
  migrate = true
  # No apply cuts a machine's power. The plan guard says which machines need a restart.
  reboot_after_update                  = false
  stop_on_destroy                      = true
  delete_unreferenced_disks_on_destroy = false

  clone {
    # Existing machines ignore this block, so a template that is gone must not stop their plan; a new machine
    # fails with this id, and generate_tfvars.py says so before.
    vm_id     = try(local.templates[each.key].vm_id, 999999999)
    node_name = try(local.templates[each.key].node_name, each.value.target_node)
    full      = each.value.full_clone
    # With more, an id that is taken would be adopted: the second "already exists" counts as done.
    retries = 1
  }

  cpu {
    cores   = each.value.cores
    sockets = each.value.sockets
    type    = each.value.cpu_type
  }

  memory {
    dedicated = each.value.memory
  }

  # From here to `agent`: stated because what is not stated is not read back, or differs after an import.
  scsi_hardware = each.value.scsihw
  boot_order    = each.value.boot

  operating_system {
    type = "l26"
  }

  serial_device {}

  agent {
    enabled = each.value.agent

    # Addresses are known from the VM file; without this every plan waits for a guest that does not answer.
    wait_for_ip {
      disabled = true
    }
  }

  # A list in the order of the slots: the provider matches volumes by position.
  dynamic "disk" {
    for_each = each.value.disks

    content {
      interface    = disk.value.slot
      size         = disk.value.size
      datastore_id = disk.value.storage
      discard      = coalesce(disk.value.discard, true) ? "on" : "ignore"
      cache        = disk.value.cache
      backup       = disk.value.backup
      replicate    = disk.value.replicate
      aio          = disk.value.aio
      # Proxmox has I/O threads on these controllers only, and on a VirtIO disk no SSD flag.
      iothread = coalesce(disk.value.iothread, startswith(disk.value.slot, "virtio") || (
        startswith(disk.value.slot, "scsi") && each.value.scsihw == "virtio-scsi-single"
      ))
      ssd = coalesce(disk.value.ssd, !startswith(disk.value.slot, "virtio"))
    }
  }

  network_device {
    bridge      = each.value.network.bridge
    model       = each.value.network.model
    mac_address = each.value.network.macaddr
    vlan_id     = each.value.network.tag
    mtu         = each.value.network.mtu
    firewall    = each.value.network.firewall
    rate_limit  = each.value.network.rate
  }

  initialization {
    # The provider's default is local-lvm, wherever the machine's disks are.
    datastore_id = concat(
      [for disk in each.value.disks : disk.storage if contains(each.value.boot, disk.slot)],
      each.value.disks[*].storage,
    )[0]
    interface = "ide2"

    ip_config {
      ipv4 {
        address = each.value.ipconfig0.ip
        gateway = each.value.ipconfig0.gw
      }

      dynamic "ipv6" {
        for_each = each.value.ipconfig0.ip6 == null ? [] : [each.value.ipconfig0]

        content {
          address = ipv6.value.ip6
          gateway = ipv6.value.gw6
        }
      }
    }

    dynamic "dns" {
      for_each = local.dns[each.key] == null ? [] : [local.dns[each.key]]

      content {
        domain  = dns.value.domain
        servers = dns.value.servers
      }
    }

    user_account {
      username = each.value.ciuser
      keys     = each.value.sshkeys
    }
  }

  lifecycle {
    # A rebuilt template must not replace the machines made from the old one, and what a VM file cannot say
    # stays as the template or a person has it, also in a machine that was imported.
    ignore_changes = [
      clone, acpi, amd_sev, audio_device, bios, cdrom, efi_disk, hook_script_file_id, hostpci, hotplug,
      keyboard_layout, kvm_arguments, machine, numa, operating_system, rng, serial_device, smbios, startup,
      tablet_device, tpm_state, usb, vga, virtiofs, watchdog,
      agent[0].trim, agent[0].type,
      cpu[0].affinity, cpu[0].architecture, cpu[0].flags, cpu[0].hotplugged, cpu[0].limit, cpu[0].numa,
      cpu[0].units,
      initialization[0].user_account[0].password,
      memory[0].floating, memory[0].hugepages, memory[0].keep_hugepages, memory[0].shared,
      network_device[0].disconnected, network_device[0].queues, network_device[0].trunks,
    ]
  }
}
