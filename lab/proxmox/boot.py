"""What a node does when it boots: it registers the template and starts its machines."""

import os
from pathlib import Path

from lab import lab_dir, template
from lab.proxmox import allocation, config, guests, machines, properties, state, tasks, volumes

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
FILES = {
    "local:iso/tools.iso": bytes(374 << 10),
    "local:snippets/vendor.yaml": b"#cloud-config\nwrite_files:\n- {path: /etc/vendor, content: here}\n",
}
CLUSTER_NODE = state.NODES[0]


def register_template() -> None:
    """Make the template from the built root file system unless it exists; its volume is a hard link."""
    if guests.find(state.TEMPLATE_ID) or (state.root() / "registered").exists():
        return  # a template that a person destroyed is not made again
    _put_files()
    volid = f"local-lvm:base-{state.TEMPLATE_ID}-disk-0"
    file = volumes.path(CLUSTER_NODE, volid)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if os.environ.get("LAB_PROXMOX_HOLLOW"):
        with file.open("wb") as stream:
            stream.truncate(template.SIZE)
    else:
        image = template.prepare()
        try:
            os.link(image, file)
        except OSError:  # another file system
            allocation.copy_file(image, file)
    cloudinit = allocation.allocate_cloudinit(CLUSTER_NODE, "local-lvm", state.TEMPLATE_ID)
    options = {
        "name": state.TEMPLATE_NAME,
        "description": template.DESCRIPTION,
        "template": 1,
        "tags": "template",
        "ostype": "l26",
        "cores": 1,
        "sockets": 1,
        "cpu": "host",
        "memory": "1024",
        "balloon": 0,
        "numa": 0,
        "agent": "enabled=1",
        "boot": "order=scsi0",
        "scsihw": "virtio-scsi-single",
        "serial0": "socket",
        "vga": "serial0",
        "scsi0": f"{volid},discard=on,iothread=1,size={properties.show_size(template.SIZE)},ssd=1",
        "ide2": f"{cloudinit},media=cdrom,size=4M",
        "net0": f"virtio={properties.new_mac()},bridge={state.BRIDGE}",
    }
    config.identity(options)
    guests.Guest(state.TEMPLATE_ID, CLUSTER_NODE, options).save()
    state.write_json(state.root() / "registered", state.TEMPLATE_ID)


def _put_files() -> None:
    """An ISO image and a snippet on each node, as a person uploads them."""
    for node in state.NODES:
        for volid, content in FILES.items():
            file = volumes.path(node, volid)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def start_machines() -> None:
    """Start machines that have onboot or ran before; nothing if only the API was restarted."""
    resume = machines.to_resume()
    marker = lab_dir() / "run" / "proxmox.booted"  # all files there go when the lab is stopped
    if state.read_json(marker, "") == BOOT_ID.read_text():
        return
    state.write_json(marker, BOOT_ID.read_text())
    for guest in guests.all_guests():
        wanted = guest.vmid in resume or guest.config.get("onboot")
        if wanted and not guest.template and "lock" not in guest.config and not machines.running(guest.vmid):
            tasks.start(
                guest.node, "qmstart", guest.vmid, "root@pam", "start", node=guest.node, vmid=guest.vmid
            )
