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
  # Names are not unique in Proxmox: a rebuilt template takes over the name of the one before it. Padded, the VMIDs
  # are sorted as numbers. scripts/fleet/preflight/offered.py chooses in the same way.
  offered = [
    for template in data.proxmox_virtual_environment_vms.templates.vms : {
      name = template.name
      node = template.node_name
      id   = format("%09d", template.vm_id)
    } if length(setintersection(coalesce(template.tags, []), ["building", "retired"])) == 0 &&
    !endswith(template.name, "-building")
  ]
  places = {
    for name, vm in var.vms : name => {
      here  = sort([for one in local.offered : "${one.id} ${one.node}" if one.name == vm.clone && one.node == vm.target_node])
      there = [for one in local.offered : "${one.id} ${one.node}" if one.name == vm.clone && one.node != vm.target_node]
    }
  }

  # "VMID node": on the machine's own node the newest, else the only one elsewhere, else "".
  templates = {
    for name, found in local.places : name => concat(
      length(found.here) > 0 ? reverse(found.here) : length(found.there) == 1 ? found.there : [], [""]
    )[0]
  }

  # The further cards in the order of their slots, and the addresses of each, by which the provider counts.
  cards = {
    for name, vm in var.vms : name => concat([vm.network], [
      for slot in [for n in range(1, 32) : "net${n}"] : vm.hardware.net[slot]
      if lookup(vm.hardware.net, slot, null) != null
    ])
  }
  ipconfigs = {
    for name, vm in var.vms : name => concat([vm.ipconfig0], [
      for n in range(1, max(1, [for slot, _ in vm.hardware.ipconfig : tonumber(trimprefix(slot, "ipconfig")) + 1]...)) :
      lookup(vm.hardware.ipconfig, "ipconfig${n}", { ip = null, gw = null, ip6 = null, gw6 = null })
    ])
  }

  # Null for a machine without cloud-init. The provider's default is the storage local-lvm, wherever the disks are.
  cloudinit = {
    for name, vm in var.vms : name => try(vm.hardware.cloudinit.slot, "ide2") == null ? null : {
      slot = try(vm.hardware.cloudinit.slot, "ide2")
      storage = coalesce(try(vm.hardware.cloudinit.storage, null), concat(
        [for disk in vm.disks : disk.storage if contains(vm.boot, disk.slot)],
        vm.disks[*].storage,
      )[0])
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

  dynamic "clone" {
    for_each = each.value.clone == "none" ? [] : [each.value]

    content {
      # Existing machines ignore this block, so a template that is gone must not stop their plan; a new machine
      # fails with this id, and generate_tfvars.py says so before.
      vm_id     = try(tonumber(split(" ", local.templates[each.key])[0]), 999999999)
      node_name = try(split(" ", local.templates[each.key])[1], each.value.target_node)
      full      = each.value.full_clone
      # With more, an id that is taken would be adopted: the second "already exists" counts as done.
      retries = 1
    }
  }

  bios            = each.value.hardware.bios
  machine         = each.value.hardware.machine
  hotplug         = each.value.hardware.hotplug
  keyboard_layout = each.value.hardware.keyboard
  tablet_device   = each.value.hardware.tablet

  cpu {
    cores      = each.value.cores
    sockets    = each.value.sockets
    type       = each.value.cpu_type
    flags      = each.value.hardware.cpu_flags
    limit      = each.value.hardware.cpulimit
    units      = each.value.hardware.cpuunits
    numa       = each.value.hardware.numa
    hotplugged = each.value.hardware.vcpus
  }

  memory {
    dedicated = each.value.memory
    floating  = each.value.hardware.balloon
  }

  # From here to `agent`: stated because what is not stated is not read back, or differs after an import.
  scsi_hardware = each.value.scsihw
  boot_order    = each.value.boot

  operating_system {
    type = coalesce(each.value.hardware.ostype, "l26")
  }

  serial_device {}

  agent {
    enabled = each.value.agent
    trim    = each.value.hardware.fstrim

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
      file_format  = disk.value.format
      serial       = disk.value.serial
      import_from  = disk.value.import_from
      # Proxmox has I/O threads on these controllers only, and on a VirtIO disk no SSD flag.
      iothread = coalesce(disk.value.iothread, startswith(disk.value.slot, "virtio") || (
        startswith(disk.value.slot, "scsi") && each.value.scsihw == "virtio-scsi-single"
      ))
      ssd = coalesce(disk.value.ssd, !startswith(disk.value.slot, "virtio"))
    }
  }

  dynamic "network_device" {
    for_each = local.cards[each.key]

    content {
      bridge       = network_device.value.bridge
      model        = network_device.value.model
      mac_address  = network_device.value.macaddr
      vlan_id      = network_device.value.tag
      mtu          = network_device.value.mtu
      firewall     = network_device.value.firewall
      rate_limit   = network_device.value.rate
      queues       = network_device.value.queues
      disconnected = network_device.value.link_down
    }
  }

  dynamic "initialization" {
    for_each = local.cloudinit[each.key] == null ? [] : [local.cloudinit[each.key]]

    content {
      interface            = initialization.value.slot
      datastore_id         = initialization.value.storage
      user_data_file_id    = try(each.value.hardware.cicustom.user, null)
      network_data_file_id = try(each.value.hardware.cicustom.network, null)
      meta_data_file_id    = try(each.value.hardware.cicustom.meta, null)
      vendor_data_file_id  = try(each.value.hardware.cicustom.vendor, null)

      dynamic "ip_config" {
        for_each = local.ipconfigs[each.key]

        content {
          dynamic "ipv4" {
            for_each = ip_config.value.ip == null ? [] : [ip_config.value]

            content {
              address = ipv4.value.ip
              gateway = ipv4.value.gw
            }
          }

          dynamic "ipv6" {
            for_each = ip_config.value.ip6 == null ? [] : [ip_config.value]

            content {
              address = ipv6.value.ip6
              gateway = ipv6.value.gw6
            }
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

      # A system without users, such as Talos, has none here either.
      dynamic "user_account" {
        for_each = each.value.ciuser == null && length(each.value.sshkeys) == 0 ? [] : [each.value]

        content {
          username = user_account.value.ciuser
          keys     = user_account.value.sshkeys
          password = lookup(var.passwords, each.key, null)
        }
      }
    }
  }

  dynamic "efi_disk" {
    for_each = each.value.hardware.efidisk[*]

    content {
      datastore_id      = efi_disk.value.storage
      type              = efi_disk.value.efitype
      pre_enrolled_keys = efi_disk.value.pre_enrolled_keys
    }
  }

  dynamic "tpm_state" {
    for_each = each.value.hardware.tpmstate[*]

    content {
      datastore_id = tpm_state.value.storage
      version      = tpm_state.value.version
    }
  }

  dynamic "vga" {
    for_each = each.value.hardware.vga[*]

    content {
      type      = vga.value.type
      memory    = vga.value.memory
      clipboard = vga.value.clipboard
    }
  }

  dynamic "startup" {
    for_each = each.value.hardware.startup[*]

    content {
      order      = startup.value.order
      up_delay   = startup.value.up
      down_delay = startup.value.down
    }
  }

  dynamic "cdrom" {
    for_each = each.value.hardware.cdrom[*]

    content {
      file_id   = cdrom.value.file
      interface = cdrom.value.slot
    }
  }

  dynamic "watchdog" {
    for_each = each.value.hardware.watchdog[*]

    content {
      enabled = true
      model   = watchdog.value.model
      action  = watchdog.value.action
    }
  }

  dynamic "hostpci" {
    for_each = { for slot, device in each.value.hardware.hostpci : slot => device if device != null }

    content {
      device   = hostpci.key
      mapping  = hostpci.value.mapping
      pcie     = hostpci.value.pcie
      rombar   = hostpci.value.rombar
      xvga     = hostpci.value.x_vga
      mdev     = hostpci.value.mdev
      id       = hostpci.value.id
      rom_file = hostpci.value.rom_file
    }
  }

  dynamic "usb" {
    for_each = [
      for slot in [for n in range(4) : "usb${n}"] : each.value.hardware.usb[slot]
      if lookup(each.value.hardware.usb, slot, null) != null
    ]

    content {
      mapping = usb.value.mapping
      usb3    = usb.value.usb3
      host    = usb.value.host
    }
  }

  dynamic "virtiofs" {
    for_each = [for share in values(each.value.hardware.virtiofs) : share if share != null]

    content {
      mapping      = virtiofs.value.mapping
      cache        = virtiofs.value.cache
      direct_io    = virtiofs.value.direct_io
      expose_acl   = virtiofs.value.expose_acl
      expose_xattr = virtiofs.value.expose_xattr
    }
  }

  lifecycle {
    # A rebuilt template must not replace the machines made from the old one, and what a VM file cannot say stays as
    # the template or a person has it. In place of an EFI disk or a TPM the provider puts an empty one at many a
    # change; they are made with the machine, and its checks say what to do later. rng0 it neither sends to a clone
    # nor takes away: apply_terraform.py does.
    ignore_changes = [
      clone, acpi, amd_sev, audio_device, hook_script_file_id, kvm_arguments, numa, rng, serial_device, smbios,
      agent[0].type, cpu[0].affinity, cpu[0].architecture, efi_disk, tpm_state,
      initialization[0].user_account[0].password, network_device[0].trunks,
      memory[0].hugepages, memory[0].keep_hugepages, memory[0].shared,
    ]
  }
}

resource "proxmox_haresource" "this" {
  for_each = { for name, vm in var.vms : name => vm.hardware.ha if vm.hardware.ha != null }

  resource_id  = "vm:${proxmox_virtual_environment_vm.this[each.key].vm_id}"
  state        = each.value.state
  group        = each.value.group
  max_restart  = each.value.max_restart
  max_relocate = each.value.max_relocate
}
