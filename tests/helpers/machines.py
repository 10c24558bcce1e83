"""VM files and the cluster that they are made on, for tests of several rooms."""

import json

from fleet.proxmox.client import Guest
from fleet.rules import file as rules
from fleet.vms.files import load_text
from fleet.vms.machine import Machine, machine

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f fleet"


def text(name: str, address: str = "192.168.1.20", /, **fields) -> str:
    """A VM file; `fields` come on top of those that a file must have, None takes one out."""
    values = {
        "name": name,
        "target_node": "node01",
        "cores": 2,
        "memory": 2048,
        "clone": "ubuntu24-template",
        "ipconfig0": f"ip={address}/24,gw=192.168.1.1",
        "ciuser": "suporte",
        "disks": {"scsi0": {"size": "20G", "storage": "local-lvm"}},
    } | fields
    return "".join(f"{field}: {json.dumps(value)}\n" for field, value in values.items() if value is not None)


def made(name: str, **fields) -> Machine:
    """The machine of a VM file, which must be valid."""
    found, findings = load_text(f"{name}.yaml", text(name, **fields))
    assert findings + rules.check(found) == []
    return machine(found)


class Cluster:
    """What a Client answers, from tables: machines, and configurations by VMID."""

    user = "terraform@pve!gitops"

    def __init__(self, machines=(), configs=None, hidden=(), told=None):
        self.list, self.configs, self.hidden = list(machines), configs or {}, set(hidden)
        self.told, self.asked = told or {}, []  # the entries by path, and the paths that were asked
        self.working = True

    def guests(self):
        return self.list

    def config(self, node, vmid):
        found = self.configs.get(vmid, {})
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, Exception):
            raise found
        return found

    def if_told(self, path, **params):
        self.asked.append(path)
        return self.told.get(path)

    def get(self, path, **params):
        self.asked.append(path)
        found = self.told[path]
        if isinstance(found, Exception):
            raise found
        return found

    def nodes(self):
        return {"node01": True, "node02": False}

    def storages(self, node):
        return {"local": {"content": "iso,backup"}, "local-lvm": {"content": "images,rootdir"}}

    def bridges(self, node):
        return {"vmbr0"}

    def is_working(self, node):
        return self.working

    def is_free(self, vmid):
        return vmid not in self.hidden


TEMPLATE = Guest(9000, "ubuntu24-template", "node01", True, "stopped", "")
TEMPLATE_CONFIG = {9000: {"scsi0": "local-lvm:base-9000-disk-0,size=3584M"}}
