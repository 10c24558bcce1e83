"""A valid VM file, as Proxmox has its machine, adopted again: the same machine.

What Proxmox would print is written down here once more, from the machine and not from adopt's tables.
"""

from typing import Any
from urllib.parse import quote

from hypothesis import assume, given, settings
from hypothesis import strategies as some

from fleet.adopt.candidate import candidate
from fleet.proxmox import properties
from fleet.proxmox.guest import Guest
from fleet.rules import file as rules
from fleet.terraform import tfvars
from fleet.vms.files import load_text
from fleet.vms.machine import machine
from fleet.vms.values import disk_defaults
from tests.helpers.machines import KEY, text

FLAG = some.booleans()
STORAGES = some.sampled_from(["local", "local-lvm", "tank"])
WORDS = some.text(
    some.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("C", "Z")), max_size=12
)
LINES = some.lists(WORDS, max_size=4).map(lambda lines: "\n".join(lines).strip())
CARD = some.fixed_dictionaries(
    {"bridge": some.sampled_from(["vmbr0", "vmbr1", "1e3"]), "macaddr": some.just("BC:24:11:00:00:01")},
    optional={"tag": some.integers(1, 4094), "firewall": FLAG, "rate": some.sampled_from([1, 12.5]),
              "link_down": some.just(True),
              "model": some.sampled_from(["e1000", "virtio", "vmxnet3"])},
)  # fmt: skip
DISK = some.fixed_dictionaries(
    {"size": some.integers(1, 4096).map("{}G".format), "storage": STORAGES},
    optional={"discard": FLAG, "backup": FLAG, "replicate": FLAG,
              "aio": some.sampled_from(["native", "threads", "io_uring"]),
              "cache": some.sampled_from(["none", "writeback", "unsafe"])},
)  # fmt: skip
FIELDS = some.fixed_dictionaries(
    {"cores": some.integers(1, 64), "memory": some.integers(512, 99999), "network": CARD, "vmid": some.just(105),
     "disks": some.dictionaries(some.sampled_from(["scsi1", "scsi10", "virtio0", "sata3"]), DISK, max_size=3)
     .flatmap(lambda more: DISK.map(lambda first: {"scsi0": first} | more))},
    optional={
        "sockets": some.integers(1, 4), "cpu_type": some.sampled_from(["host", "kvm64", "486", "custom-x"]),
        "onboot": FLAG, "agent": FLAG, "protection": FLAG, "vm_state": some.sampled_from(["running", "stopped"]),
        "scsihw": some.sampled_from(["virtio-scsi-single", "virtio-scsi-pci", "lsi"]), "net1": CARD,
        "boot": some.sampled_from(["order=scsi0", "order=scsi0;ide3;net0"]), "description": LINES,
        "tags": some.lists(some.sampled_from(["a", "1e3", "yes", "x.y", "0755"]), unique=True, min_size=1),
        "nameserver": some.sampled_from(["9.9.9.9", "9.9.9.9 ::1"]), "searchdomain": some.sampled_from(["lan", "no"]),
        "pool": some.sampled_from(["web", "1/2", "on"]), "balloon": some.integers(0, 512), "numa": FLAG, "tablet": FLAG,
        "cpu_flags": some.just("+aes;-pcid"), "cpulimit": some.sampled_from([0.5, 2]), "cpuunits": some.integers(1, 99),
        "bios": some.just("ovmf"), "machine": some.sampled_from(["q35", "pc-q35-9.2+pve1"]),
        "keyboard": some.sampled_from(["de", "no"]), "hotplug": some.sampled_from(["0", "1", "disk,network"]),
        "ostype": some.sampled_from(["l24", "win11", "other"]), "ipconfig1": some.sampled_from(["ip=dhcp", "ip6=auto"]),
        "efidisk": some.fixed_dictionaries({"storage": STORAGES, "pre_enrolled_keys": FLAG}),
        "tpmstate": some.fixed_dictionaries({"storage": STORAGES, "version": some.sampled_from(["v1.2", "v2.0"])}),
        "startup": some.fixed_dictionaries({"order": some.integers(0, 9)}, optional={"up": some.integers(0, 9)}),
        "rng0": some.sampled_from(["/dev/urandom", {"source": "/dev/hwrng", "max_bytes": 9}]),
        "vga": some.sampled_from(["qxl", {"type": "virtio", "memory": 64}]), "cdrom": some.just("none"),
        "watchdog": some.just({"model": "ib700", "action": "reset"}),
        "usb0": some.just({"mapping": "zb", "usb3": True}),
        "cloudinit": some.fixed_dictionaries({"storage": STORAGES}, optional={"slot": some.just("sata1")}),
    },
)  # fmt: skip


def flags(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def volume(storage: str, number: int, **options: Any) -> str:
    return properties.render(
        {"file": f"{storage}:vm-105-disk-{number}"} | {k: flags(v) for k, v in options.items()}
    )


def printed(data: dict[str, Any], hardware: dict[str, Any]) -> dict[str, Any]:
    """What Proxmox answers of a machine with this input of Terraform's."""
    config: dict[str, Any] = {
        "name": "k8s-dev", "cores": data["cores"], "sockets": data["sockets"], "memory": str(data["memory"]),
        "onboot": int(data["onboot"]), "protection": int(data["protection"]), "agent": str(int(data["agent"])),
        "scsihw": data["scsihw"], "ciuser": data["ciuser"], "sshkeys": quote("\n".join(data["sshkeys"]), safe=""),
        "cpu": ",flags=".join([data["cpu_type"], *filter(None, [";".join(hardware.get("cpu_flags", ()))])]),
        "ipconfig0": "ip=192.168.1.20/24,gw=192.168.1.1", "tags": ";".join(set(data["tags"]) - {"proxmox-gitops"}),
        "ostype": hardware.get("ostype", "l26"), "smbios1": "uuid=1", "digest": "x",
    }  # fmt: skip
    if data["boot"]:
        config["boot"] = "order=" + ";".join(data["boot"])
    if notes := data["description"].removesuffix("proxmox-gitops: k8s-dev").strip():
        config["description"] = notes + "\n"
    if data["nameserver"]:
        config["nameserver"] = " ".join(data["nameserver"])
    if data["searchdomain"]:
        config["searchdomain"] = data["searchdomain"]
    for number, card in enumerate([data["network"], *hardware.get("net", {}).values()]):
        options = {key: card.get(key) for key in ("tag", "rate", "link_down", "firewall") if card.get(key)}
        config[f"net{number}"] = properties.render(
            {"first": f"{card['model']}={card['macaddr']}", "bridge": card["bridge"]}
            | {k: flags(v) for k, v in options.items()},
            "first",
        )
    for number, disk in enumerate(data["disks"]):
        options = disk_defaults(disk["slot"], data["scsihw"])
        options |= {key: value for key, value in disk.items() if key in options}
        options["discard"] = "on" if options["discard"] else "ignore"
        if disk["slot"].startswith("virtio"):
            del options["ssd"]
        config[disk["slot"]] = volume(disk["storage"], number, size=f"{disk['size']}G", **options)
    drive = hardware.get("cloudinit", {})
    system = next(
        (disk["storage"] for disk in data["disks"] if disk["slot"] in data["boot"]),
        data["disks"][0]["storage"],
    )
    config[drive.get("slot", "ide2")] = (
        f"{drive.get('storage') or system}:vm-105-cloudinit,media=cdrom,size=4M"
    )
    same = ("bios", "machine", "balloon", "cpulimit", "cpuunits", "numa", "keyboard", "tablet", "hotplug")
    config |= {key: str(flags(hardware[key])) for key in same if key in hardware}
    groups = {"vga": "type", "startup": "order", "rng0": "source", "watchdog": "model"}
    config |= {
        key: properties.render(hardware[key], first) for key, first in groups.items() if key in hardware
    }
    if efi := hardware.get("efidisk"):
        keys = {"efitype": efi["efitype"], "pre-enrolled-keys": int(efi["pre_enrolled_keys"])}
        config["efidisk0"] = volume(efi["storage"], 8, **keys, size="4M")
    if tpm := hardware.get("tpmstate"):
        config["tpmstate0"] = volume(tpm["storage"], 9, version=tpm["version"], size="4M")
    for slot, device in hardware.get("usb", {}).items():
        config[slot] = f"mapping={device['mapping']},usb3={int(device['usb3'])}"
    if "cdrom" in hardware:
        config["ide3"] = f"{hardware['cdrom']['file']},media=cdrom"
    for slot, address in hardware.get("ipconfig", {}).items():
        config[slot] = ",".join(f"{key}={value}" for key, value in address.items())
    return config


@settings(max_examples=300, deadline=None)
@given(FIELDS)
def test_a_machine_is_adopted_as_what_it_is(fields):
    vm, findings = load_text("vms/k8s-dev.yaml", text("k8s-dev", sshkeys=[KEY], **fields))
    assume(not [one for one in findings + rules.check(vm) if one.level == "error"])
    data = tfvars.as_data(machine(vm))
    hardware = data.pop("hardware", {})
    status = "running" if data["vm_state"] == "running" else "stopped"
    guest = Guest(105, "k8s-dev", "node01", False, status, "", pool=data["pool"] or "")
    config = printed(data, hardware)
    found = candidate(guest, config, [guest], {}, None, "vms")
    assert (found.refused, found.unsaid, found.kept) == ([], [], []), config
    again = tfvars.as_data(machine(found.vm))
    more = again.pop("hardware", {})
    for one in (data, again):  # what the file says though it is the default is the same unsaid
        one["disks"] = [disk_defaults(disk["slot"], one["scsihw"]) | disk for disk in one["disks"]]
    assert again | {"clone": data["clone"]} == data, found.text
    # Said now though it went without saying: the system, and where cloud-init's drive is if that is elsewhere.
    hardware.setdefault("ostype", "l26")
    drive = hardware.pop("cloudinit", {})
    assert more.pop("cloudinit", {}) in (
        {},
        {"slot": drive.get("slot", "ide2"), "storage": drive.get("storage")},
    )
    assert more == hardware, found.text
