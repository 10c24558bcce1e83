"""The names and values that people know from elsewhere: Proxmox, and the two Terraform providers for it."""

_ROOT = "Proxmox lets root@pam alone set it, never a token; set it there, and it stays"
_ADDRESS = "no token can give a machine a device by its address; name a mapping of the datacenter"

# Fields that a VM file does not have, and why.
REFUSED = {
    **dict.fromkeys(
        ("args", "affinity", "hookscript", "hook_script", "hook_script_file_id", "hugepages", "kvm_arguments", "lock"),
        _ROOT,
    ),
    **dict.fromkeys(
        ("acpi", "audio0", "audio_device", "ciupgrade", "citype", "kvm", "smbios", "smbios1", "vmgenid"),
        "a VM file cannot say it; what Proxmox has stays",
    ),
    "os_type": "every machine is configured by cloud-init, unless its file says cloudinit: none",
    "initialization": "write its parts as fields: ipconfig0, ciuser, sshkeys, nameserver, searchdomain",
    **{
        name: f"it is an option of a disk; write it there, as scsi0: {{size: 20G, {example}}}"
        for name, example in {
            "ssd": "ssd: true", "discard": "discard: true", "iothread": "iothread: true", "cache": "cache: writeback",
            "storage": "storage: local-lvm", "datastore": "storage: local-lvm", "datastore_id": "storage: local-lvm",
            "size": "storage: local-lvm",
        }.items()
    },
    **{
        name: f"it is an option of a card; write it there, as network: {{{example}}}"
        for name, example in {
            "queues": "queues: 4", "bridge": "bridge: vmbr0", "vlan": "tag: 20", "vlan_id": "tag: 20",
            "vlan_tag": "tag: 20", "macaddr": "macaddr: \"BC:24:11:2E:01:AA\"",
            "mac_address": "macaddr: \"BC:24:11:2E:01:AA\"", "firewall": "firewall: true",
        }.items()
    },
    **dict.fromkeys(("gateway", "gw"), "it is a part of ipconfig0: ip=192.168.1.20/24,gw=192.168.1.1"),
    **dict.fromkeys(
        ("hostpci", "pci", "pcis"), "number the devices: hostpci0: {mapping: gpu}"
    ),
    "usb": "number the devices: usb0: {mapping: stick}",
    "virtiofs": "number the folders: virtiofs0: {mapping: media}",
}  # fmt: skip
# The same inside a device.
REFUSED_OF_DEVICES = dict.fromkeys(
    ("host", "id", "raw_id", "device", "device_id", "romfile", "rom_file"), _ADDRESS
)

REFUSED_OF_DISKS = dict.fromkeys(
    ("file_id", "image", "import_from"), "it is a field of the machine; write it there, as image: debian12"
)

# What a field may be called elsewhere.
_CALLED: dict[str, tuple[str, ...]] = {
    # of the machine
    "address": ("ip_address",),
    "balloon": ("floating", "balloon_min"),
    "bios": ("bios_type", "firmware", "uefi"),
    "boot": ("boot_order", "bootdisk", "boot_disk"),
    "cdrom": ("iso", "ide2", "ide3"),
    "cicustom": ("user_data", "vendor_data", "user_data_file_id", "vendor_data_file_id", "network_data_file_id",
                 "snippets"),
    "ciuser": ("user", "username", "user_account"),
    "clone": ("template", "template_id", "template_name", "template_vm_id"),
    "cloudinit": ("cloudinit_cdrom_storage",),
    "cpu_flags": ("flags",),
    "cpu_type": ("cpu",),
    "cpulimit": ("cpu_limit",),
    "cpuunits": ("cpu_units",),
    "description": ("desc", "notes"),
    "disks": ("nested_disks", "disk", "scsi0", "virtio0", "sata0"),
    "efidisk": ("efidisk0", "efi_disk"),
    "full_clone": ("full", "linked"),
    "ha": ("hastate", "hagroup"),
    "image": ("file_id", "import_from", "cloud_image", "cloud_image_url", "image_name", "os_image"),
    "ipconfig0": ("ip", "ipconfig"),
    "keyboard": ("keyboard_layout",),
    "memory": ("ram", "mem"),
    "nameserver": ("dns", "dns_servers", "dns_server"),
    "network": ("net0", "net", "network_device", "nic"),
    "onboot": ("on_boot", "autostart", "start", "start_at_node_boot"),
    "ostype": ("qemu_os", "os", "operating_system", "guest_os"),
    "playbook_vars": ("vars", "variables", "host_vars", "hostvars", "ansible_vars", "extra_vars"),
    "pool": ("resource_pool", "pool_id"),
    "formerly": ("old_name", "former_name", "renamed_from", "moved_from", "previous_name"),
    "rng0": ("rng",),
    "scsihw": ("scsi_controller", "scsi_hardware"),
    "sshkeys": ("ssh_keys", "ssh_public_keys", "ssh_authorized_keys"),
    "startup": ("start_order",),
    "tablet": ("tablet_device",),
    "target_node": ("node", "node_name"),
    "tpmstate": ("tpmstate0", "tpm_state", "tpm"),
    "vga": ("vga_type", "display"),
    "vm_state": ("started", "state"),
    "vmid": ("vm_id",),
    # of cards, disks and devices
    "down": ("down_delay", "shutdown_timeout"),
    "efitype": ("type",),
    "file": ("file_id", "iso"),
    "format": ("file_format",),
    "fstrim": ("trim", "fstrim_cloned_disks"),
    "link_down": ("disconnected",),
    "macaddr": ("mac", "mac_address"),
    "mapping": ("dirid", "path"),
    "meta": ("meta_data_file_id",),
    "model": ("type",),
    "mount": ("mountpoint", "path"),
    "pcie": ("pci_express",),
    "rate": ("rate_limit",),
    "size": ("disk_size",),
    "slot": ("interface",),
    "ssd": ("emulatessd",),
    "storage": ("datastore_id", "datastore"),
    "tag": ("vlan", "vlan_id", "vlan_tag"),
    "up": ("up_delay", "startup_delay"),
    "user": ("user_data_file_id",),
    "vendor": ("vendor_data_file_id",),
    "x_vga": ("xvga", "x-vga", "primary_gpu"),
}  # fmt: skip
# By what they may be called, the fields that may be meant.
OTHER_NAMES: dict[str, list[str]] = {}
for _field, _others in _CALLED.items():
    for _other in _others:
        OTHER_NAMES.setdefault(_other, []).append(_field)

# Values, by field.
OTHER_VALUES = {
    "bios": {"uefi": "ovmf", "efi": "ovmf"},
    "keyboard": {"en": "en-us"},
    "ostype": {
        "linux": "l26", "ubuntu": "l26", "debian": "l26", "windows": "win11", "win2022": "win11", "win2025": "win11",
        "win2019": "win10", "win2016": "win10",
    },
    "scsihw": {"virtio": "virtio-scsi-single", "virtio-scsi": "virtio-scsi-single"},
    "vm_state": {"started": "running", "on": "running", "off": "stopped"},
}  # fmt: skip
