"""The simulated Proxmox: what a machine can be given beside disks, and by whom."""

import pytest
from proxmoxer import ResourceException

from lab import secret
from lab.proxmox import mappings, properties
from tests.helpers.proxmox import BASE, finished, made

CONFIG = f"{BASE}/nodes/node01/qemu/500/config"
UNKNOWN_KEY = "invalid format - invalid key in comma-separated list property: colour"
NOT_ONE_OF = "does not have a value in the enumeration"
# (option, value, part of what is wrong), each a 400 of the schema
WRONG = (
    ("net1", "virtio,bridge=vmbr0,colour=red", UNKNOWN_KEY),
    ("net1", "bridge=vmbr0", "net1.model: property is missing and it is not optional"),
    ("net1", "virtio,bridge=vmbr0,queues=65", "net1.queues: value must have a maximum value of 64"),
    ("net1", "virtio,bridge=vmbr0,mtu=65521", "net1.mtu: value must have a maximum value of 65520"),
    (
        "net1",
        "virtio,bridge=vmbr0,link_down=maybe",
        "net1.link_down: type check ('boolean') failed - got 'maybe'",
    ),
    ("net1", "virtio,bridge=vmbr0,trunks=1,2", "duplicate key in comma-separated list property: model"),
    ("net1", "virtio,bridge=vmbr0,bridge=vmbr1", "duplicate key in comma-separated list property: bridge"),
    ("net32", "virtio,bridge=vmbr0", "property is not defined in schema"),
    ("ide4", "none,media=cdrom", "property is not defined in schema"),
    ("scsi31", "local-lvm:1", "property is not defined in schema"),
    ("ide1", "local-lvm:1,iothread=1", "invalid key in comma-separated list property: iothread"),
    ("virtio1", "local-lvm:1,ssd=1", "invalid key in comma-separated list property: ssd"),
    ("virtio1", "none,media=cdrom", "unable to parse drive options"),
    ("sata0", "local:iso/tools.iso", "explicit 'media=cdrom' is required for iso images"),
    ("scsi1", "pve:1000G,cache=fast", f"scsi1.cache: value 'fast' {NOT_ONE_OF} 'none, writethrough"),
    ("vga", "voodoo", f"vga.type: value 'voodoo' {NOT_ONE_OF}"),
    ("vga", "qxl,memory=1024", "vga.memory: value must have a maximum value of 512"),
    ("vga", "qxl,clipboard=spice", f"vga.clipboard: value 'spice' {NOT_ONE_OF} 'vnc'"),
    ("startup", "order=first", "invalid format - unable to parse startup options"),
    ("startup", "up=5s", "invalid format - unable to parse startup options"),
    ("hostpci0", "mapping=g", "hostpci0.mapping: invalid format - invalid configuration ID 'g'"),
    ("hostpci0", "mapping=gpu,pci=1", "invalid key in comma-separated list property: pci"),
    ("hostpci16", "mapping=gpu", "property is not defined in schema"),
    ("usb0", "mapping=stick,usb4=1", "invalid key in comma-separated list property: usb4"),
    ("usb14", "mapping=stick", "property is not defined in schema"),
    ("virtiofs0", "share,cache=sometimes", f"virtiofs0.cache: value 'sometimes' {NOT_ONE_OF}"),
    ("virtiofs0", "cache=auto", "virtiofs0.dirid: property is missing and it is not optional"),
    ("virtiofs10", "share", "property is not defined in schema"),
    (
        "rng0",
        "/dev/zero",
        f"rng0.source: value '/dev/zero' {NOT_ONE_OF} '/dev/urandom, /dev/random, /dev/hwrng'",
    ),
    ("rng0", "/dev/urandom,max_bytes=many", "rng0.max_bytes: type check ('integer') failed - got 'many'"),
    ("watchdog", "dog", f"watchdog.model: value 'dog' {NOT_ONE_OF} 'i6300esb, ib700'"),
    ("watchdog", "i6300esb,action=bark", f"watchdog.action: value 'bark' {NOT_ONE_OF}"),
    ("cpu", "flags=+aes", "CPU is missing cputype"),
    ("cpu", "pentium9", "Built-in cputype 'pentium9' is not defined (missing 'custom-' prefix?)"),
    ("cpu", "custom-ours", "Custom cputype 'ours' not found"),
    ("cpu", "host,flags=+avx512f", "VM-specific CPU flags must be a subset of: nested-virt, md-clear"),
    ("cpu", "host,flags=aes", "cpu.flags: value does not match the regex pattern"),
    ("numa0", "memory=512", "numa0.cpus: property is missing and it is not optional"),
    (
        "cicustom",
        "user=vendor.yaml",
        "cicustom.user: invalid format - unable to parse volume ID 'vendor.yaml'",
    ),
    ("cicustom", "extra=local:snippets/vendor.yaml", "invalid key in comma-separated list property: extra"),
    ("hotplug", "disk,tape", "invalid format - invalid hotplug feature 'tape'"),
    ("keyboard", "klingon", f"value 'klingon' {NOT_ONE_OF} 'de, de-ch"),
    ("machine", "i440fx", "machine.type: value does not match the regex pattern"),
    ("machine", "pc-q35-latest", "machine.type: value does not match the regex pattern"),
    ("ostype", "linux", f"value 'linux' {NOT_ONE_OF} 'other, wxp"),
    ("bios", "uefi", f"value 'uefi' {NOT_ONE_OF} 'seabios, ovmf'"),
    ("cpulimit", "129", "value must have a maximum value of 128"),
    ("cpuunits", "0", "value must have a minimum value of 1"),
    ("balloon", "-1", "value must have a minimum value of 0"),
    ("efidisk0", "local-lvm:1,efitype=8m", f"efidisk0.efitype: value '8m' {NOT_ONE_OF} '2m, 4m'"),
    ("efidisk0", "local-lvm:1,cache=none", "invalid key in comma-separated list property: cache"),
    ("tpmstate0", "local-lvm:1,version=v3.0", f"tpmstate0.version: value 'v3.0' {NOT_ONE_OF} 'v1.2, v2.0'"),
    ("agent", "type=isa", "agent.enabled: property is missing and it is not optional"),
)
ROOT_ONLY = "only root can set '{}' config"
# (option, value, status, part of the reason or of the errors) for the lab's token
FORBIDDEN = (
    *((key, value, 500, ROOT_ONLY.format(key)) for key, value in (
        ("args", "-no-reboot"), ("lock", "backup"), ("affinity", "0-3"), ("hugepages", "2"), ("arch", "x86_64"),
        ("keephugepages", "1"), ("vmgenid", "1"), ("parallel0", "/dev/parport0"), ("ivshmem", "size=32"),
    )),
    ("hookscript", "local:snippets/none.sh", 400, "script 'local:snippets/none.sh' does not exist"),
    ("hookscript", "local:snippets/vendor.yaml", 400, "is not executable"),
    ("hookscript", "local:iso/tools.iso", 400, "'local:iso/tools.iso' is not in the snippets directory"),
    ("hostpci0", "0000:01:00.0", 500, "only root can set 'hostpci0' config for non-mapped devices"),
    ("hostpci0", "pcie=1", 500, "either 'host' or 'mapping' must be set."),
    ("hostpci0", "mapping=gpu", 403, "(/mapping/pci/gpu, Mapping.Use)"),
    ("usb0", "1234:abcd", 500, "only root can set 'usb0' config for real devices"),
    ("usb0", "mapping=stick", 403, "(/mapping/usb/stick, Mapping.Use)"),
    ("virtiofs0", "share", 403, "(/mapping/dir/share, Mapping.Use)"),
    ("rng0", "/dev/hwrng", 403, "(/mapping/hwrng, Mapping.Use)"),
    ("serial1", "/dev/ttyS0", 500, "only root can set 'serial1' config for real devices"),
    ("startup", "order=1", 403, "Permission check failed (/, Sys.Modify)"),
    ("ide3", "cdrom", 403, "(/, Sys.Console)"),
    ("scsi1", "/dev/sdb", 500, "Only root can pass arbitrary filesystem paths."),
    ("scsi1", "local-lvm:vm-9000-disk-7", 500, "volume 'local-lvm:vm-9000-disk-7' does not exist"),
)  # fmt: skip
# (option, value, part of the reason) that the values themselves contradict
CONTRADICTIONS = (
    ({"balloon": 4096}, "balloon value too large (must be smaller than assigned memory)"),
    ({"vga": "serial0,clipboard=vnc"}, "vga type serial0 is not compatible with VNC clipboard"),
    ({"machine": "pc,viommu=intel"}, "to use Intel vIOMMU please set the machine type to q35"),
    ({"boot": "order=scsi0;ide3"}, "invalid bootorder: device 'ide3' does not exist'"),
    ({"ide0": "local-lvm:cloudinit"}, "ide0 - cloud-init drive is already attached at 'ide2'"),
    ({"scsi1": "local-lvm:1,format=qcow2"}, "unsupported format 'qcow2'"),
    ({"ide3": "local:iso/none.iso,media=cdrom"}, "volume 'local:iso/none.iso' does not exist"),
    ({"ide3": "local:tools.iso,media=cdrom"}, "unable to parse directory volume name 'tools.iso'"),
    ({"scsi1": "none:1"}, "storage 'none' does not exist"),
)
# (as sent, as stored): what a token may set
TAKEN = (
    ({"net1": "virtio=BC:24:11:00:00:01,queues=4,bridge=vmbr0,link_down=yes,mtu=1400,trunks=2;5-7"},
     {"net1": "virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1,mtu=1400,queues=4,trunks=2;5-7"}),
    ({"vga": "type=qxl,memory=32,clipboard=vnc"}, {"vga": "type=qxl,memory=32,clipboard=vnc"}),
    ({"rng0": "source=/dev/urandom,period=1000,max_bytes=512"},
     {"rng0": "source=/dev/urandom,period=1000,max_bytes=512"}),
    ({"watchdog": "model=ib700,action=reset"}, {"watchdog": "model=ib700,action=reset"}),
    ({"cpu": "cputype=x86-64-v2-AES,flags=+aes;-pcid,hidden=1"},
     {"cpu": "cputype=x86-64-v2-AES,flags=+aes;-pcid,hidden=1"}),
    ({"numa": 1, "numa0": "cpus=0-1,memory=512"}, {"numa": 1, "numa0": "cpus=0-1,memory=512"}),
    ({"cpulimit": "1.5", "cpuunits": 20000, "vcpus": 1}, {"cpulimit": "1.5", "cpuunits": 10000, "vcpus": 1}),
    ({"keyboard": "de-ch", "tablet": 0, "hotplug": "disk,network"},
     {"keyboard": "de-ch", "tablet": 0, "hotplug": "disk,network"}),
    ({"machine": "q35,viommu=intel"}, {"machine": "q35,viommu=intel"}),
    ({"bios": "ovmf", "balloon": 512}, {"bios": "ovmf", "balloon": 512}),
    ({"usb0": "spice,usb3=1"}, {"usb0": "spice,usb3=1"}),
    ({"cicustom": "vendor=local:snippets/none.yaml"}, {"cicustom": "vendor=local:snippets/none.yaml"}),
    ({"ostype": "win11"}, {"ostype": "win11", "machine": "pc-i440fx-10.0+pve1"}),
    ({"ostype": "win11", "machine": "q35"}, {"ostype": "win11", "machine": "q35"}),
    ({"ide3": "local:iso/tools.iso,media=cdrom"},
     {"ide3": "local:iso/tools.iso,media=cdrom,size=374K", "boot": "order=scsi0;ide3"}),
    ({"ide3": "none,media=cdrom", "boot": "order=scsi0"}, {"ide3": "none,media=cdrom", "boot": "order=scsi0;ide3"}),
    ({"cdrom": "none"}, {"ide2": "none,media=cdrom", "boot": "order=scsi0;ide2"}),
)  # fmt: skip


@pytest.fixture(scope="module")
def machine(hypervisor):
    """A stopped machine that all cases of this file share; what one sets is undone."""
    from proxmoxer import ProxmoxAPI

    name, _, value = secret("proxmox_token").partition("=")
    user, _, token = name.partition("!")
    api = ProxmoxAPI("192.168.1.1", user=user, token_name=token, token_value=value)
    yield from made(api, 500)


@pytest.fixture
def put(session, machine):
    """Change the machine as the lab's token; the status and all that the answer says."""

    def change(fields, sender=session):
        answer = sender.put(CONFIG, data=fields)
        errors = [f"{key}: {value}" for key, value in answer.json().get("errors", {}).items()]
        return answer.status_code, " ".join([answer.reason, *errors])

    before = machine.config.get()
    yield change
    after = machine.config.get()
    if new := after.keys() - before.keys():
        assert session.put(CONFIG, data={"delete": ",".join(new)}).status_code == 200
    changed = {key: before[key] for key in before.keys() - {"digest"} if after.get(key) != before[key]}
    if changed:
        assert session.put(CONFIG, data=changed).status_code == 200


@pytest.fixture
def may_map(root):
    """The lab's token may use every mapped device, beside its own rights."""
    root.post(f"{BASE}/access/roles", data={"roleid": "Mapper", "privs": "Mapping.Use"})
    acl = {"path": "/", "roles": "Mapper", "users": "terraform@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
    yield
    assert root.put(f"{BASE}/access/acl", data=acl | {"delete": 1}).status_code == 200


@pytest.fixture
def mapped(hypervisor):
    """What the devices' tests map: a card of this node and one of the other."""
    mappings.write("pci", "gpu", ["node=node01,path=0000:01:00.0,id=10de:1eb8"])
    mappings.write("pci", "far", ["node=node02,path=0000:01:00.0,id=10de:1eb8"])
    mappings.write("dir", "share", ["node=node01,path=/srv"])
    yield
    for kind in mappings.KINDS:
        for name in mappings.read(kind):
            mappings.write(kind, name, None)


@pytest.mark.parametrize(("key", "value", "text"), WRONG)
def test_what_fits_no_schema(put, machine, key, value, text):
    before = machine.config.get()["digest"]
    status, words = put({key: value, "tags": "must-not-arrive"})
    assert (status, text in words) == (400, True), words
    assert machine.config.get()["digest"] == before


@pytest.mark.parametrize(("key", "value", "status", "text"), FORBIDDEN)
def test_what_the_token_may_not(put, machine, key, value, status, text):
    before = machine.config.get()["digest"]
    found, words = put({key: value})
    assert (found, text in words) == (status, True), words
    assert machine.config.get()["digest"] == before


@pytest.mark.parametrize(("fields", "text"), CONTRADICTIONS)
def test_what_contradicts_itself(put, fields, text):
    status, words = put(fields)
    assert (status, text in words) == (500, True), words


@pytest.mark.parametrize(("fields", "stored"), TAKEN)
def test_what_is_taken_and_how_it_is_written(put, machine, fields, stored):
    if "cdrom" in fields:
        assert put({"delete": "ide2"})[0] == 200
    assert put(fields)[0] == 200
    config = machine.config.get()
    assert {key: config[key] for key in stored} == stored
    if "cdrom" in fields:
        assert put({"delete": "ide2"})[0] == 200
        assert machine.config.get()["boot"] == "order=scsi0"
        assert put({"ide2": "local-lvm:cloudinit"})[0] == 200


def test_a_password_is_told_by_no_request(session, put, machine):
    assert put({"cipassword": "secret"})[0] == 200
    for path in ("config", "pending", "cloudinit"):
        answer = session.get(f"{BASE}/nodes/node01/qemu/500/{path}").text
        assert ("secret" in answer, "**********" in answer) == (False, True)


def test_root_may_what_a_token_may_not_and_then_no_token_takes_it_away(put, root, machine):
    assert put({"hostpci0": "0000:01:00.0", "affinity": "0-3", "usb1": "1-2.3"}, root)[0] == 200
    for key, text in (
        ("hostpci0", "for non-mapped devices"),
        ("affinity", "config"),
        ("usb1", "for real devices"),
    ):
        status, words = put({"delete": key})
        assert (status, f"only root can set '{key}'" in words, text in words) == (500, True, True), words
    assert machine.config.get()["hostpci0"] == "0000:01:00.0"
    assert put({"delete": "hostpci0,affinity,usb1"}, root)[0] == 200


def test_a_clone_asks_for_the_rights_of_its_devices_and_copies_the_rest(
    api, session, put, root, machine, mapped
):
    assert session.get(f"{BASE}/cluster/mapping/pci").json()["data"] == [], "nothing to use, nothing to see"
    assert put({"hostpci0": "mapping=gpu", "args": "-no-reboot", "startup": "order=3"}, root)[0] == 200
    with pytest.raises(ResourceException, match=r"/mapping/pci/gpu, Mapping\.Use"):
        machine.clone.post(newid=520, full=1)
    assert put({"delete": "hostpci0"}, root)[0] == 200
    assert finished(api, machine.clone.post(newid=520, full=1)) == "OK"
    copied = api.nodes("node01").qemu(520).config.get()
    assert (copied["args"], copied["startup"]) == ("-no-reboot", "order=3")
    assert finished(api, api.nodes("node01").qemu(520).delete()) == "OK"
    assert put({"delete": "args,startup"}, root)[0] == 200


def test_mapped_devices_are_found_out_at_the_start(api, session, put, machine, may_map, mapped):
    listed = session.get(f"{BASE}/cluster/mapping/pci").json()["data"]
    assert {item["id"]: item["map"] for item in listed} == {
        "gpu": ["node=node01,path=0000:01:00.0,id=10de:1eb8"],
        "far": ["node=node02,path=0000:01:00.0,id=10de:1eb8"],
    }
    assert session.get(f"{BASE}/cluster/mapping/pci/none").reason == "mapping 'none' not found"
    for value, text in (
        ({"hostpci0": "mapping=none"}, "PCI device mapping not found for 'none'"),
        ({"hostpci0": "mapping=far"}, "PCI device mapping not found for 'far'"),
        ({"hostpci0": "mapping=gpu,pcie=1"}, "q35 machine model is not enabled"),
        ({"usb0": "mapping=none"}, "USB device mapping not found for 'none'"),
        ({"virtiofs0": "none"}, "Directory ID none does not exist."),
        (
            {"cicustom": "user=local:snippets/none.yaml"},
            "can't open '/var/lib/vz/snippets/none.yaml' - No such file",
        ),
        ({"cicustom": "user=local:iso/tools.iso"}, "local:iso/tools.iso is not in the snippets directory"),
    ):
        assert put(value)[0] == 200
        assert text in finished(api, machine.status.start.post())
        assert put({"delete": next(iter(value))})[0] == 200
    assert put({"virtiofs0": "share,expose-acl=1"})[0] == 200
    assert finished(api, machine.status.start.post()) == "OK"
    assert finished(api, machine.status.stop.post()) == "OK"
    assert put({"delete": "virtiofs0"})[0] == 200


def test_two_machines_with_one_device(api, machine, may_map, mapped):
    machine.config.put(hostpci0="mapping=gpu")
    for other in made(api, 521):
        other.config.put(hostpci0="mapping=gpu")
        assert finished(api, machine.status.start.post()) == "OK"
        used = "PCI device '0000:01:00.0' already in use by VMID '500'"
        assert finished(api, other.status.start.post()) == used
        mappings.write("pci", "gpu", [f"node=node01,path=0000:0{n}:00.0,id=10de:1eb8" for n in (1, 2)])
        assert finished(api, other.status.start.post()) == "OK", "the mapping's second device"
    assert finished(api, machine.status.stop.post()) == "OK"
    machine.config.put(delete="hostpci0")


def test_uefi_variables_and_a_tpm_are_volumes_of_their_own(api, machine):
    machine.config.put(
        bios="ovmf", efidisk0="local-lvm:1,efitype=4m,pre-enrolled-keys=1", tpmstate0="local:1,version=v2.0"
    )
    config = machine.config.get()
    efi = "local-lvm:vm-500-disk-1,efitype=4m,ms-cert=2023k,pre-enrolled-keys=1,size=4M"
    assert config["efidisk0"] == efi, "on a thin pool, whole extents"
    assert config["tpmstate0"] == "local:500/vm-500-disk-0.raw,size=4M,version=v2.0"
    with pytest.raises(ResourceException, match="cannot change TPM state version after creation"):
        machine.config.put(tpmstate0="local:500/vm-500-disk-0.raw,version=v1.2")
    assert finished(api, machine.clone.post(newid=522, full=1, storage="local")) == "OK"
    copied = api.nodes("node01").qemu(522)
    assert copied.config.get()["efidisk0"].startswith("local:522/vm-522-disk-")
    assert copied.config.get()["efidisk0"].endswith("size=528K")
    assert len(api.nodes("node01").storage("local").content.get(vmid=522)) == 4
    assert finished(api, copied.delete()) == "OK"
    assert api.nodes("node01").storage("local").content.get(vmid=522) == []
    machine.config.put(delete="efidisk0,tpmstate0")
    config = machine.config.get()
    assert {config["unused0"], config["unused1"]} == {
        "local-lvm:vm-500-disk-1",
        "local:500/vm-500-disk-0.raw",
    }
    machine.config.put(efidisk0="local:1", delete="unused0,unused1")
    assert machine.config.get()["efidisk0"].endswith("vm-500-disk-0.raw,size=128K")
    machine.config.put(scsi1="local:1,format=qcow2", delete="efidisk0")
    assert machine.config.get()["scsi1"] == "local:500/vm-500-disk-1.qcow2,size=1G"
    machine.config.put(delete="scsi1")
    machine.config.put(delete="unused0,unused1,bios")
    assert not [key for key in machine.config.get() if properties.UNUSED.fullmatch(key)]


def test_a_template_with_uefi_variables_and_a_tpm(api):
    for vm in made(api, 523):
        vm.config.put(efidisk0="local-lvm:1,efitype=4m", tpmstate0="local-lvm:1,version=v2.0")
        assert finished(api, vm.template.post()) == "OK"
        assert vm.config.get()["tpmstate0"] == "local-lvm:base-523-disk-2,size=4M,version=v2.0"
        assert finished(api, vm.clone.post(newid=524, full=0)) == "OK"
        linked = api.nodes("node01").qemu(524)
        drives = {key: linked.config.get()[key] for key in ("efidisk0", "scsi0", "tpmstate0")}
        names = {text.split(",")[0] for text in drives.values()}
        assert names == {f"local-lvm:vm-524-disk-{n}" for n in range(3)}
        assert finished(api, linked.delete()) == "OK"


def test_uefi_without_its_disk_starts_with_a_warning(api, machine):
    machine.config.put(bios="ovmf")
    assert finished(api, machine.status.start.post()) == "WARNINGS: 1"
    # What a running machine takes at once, and what waits for its next start.
    machine.config.put(
        net1="virtio,bridge=vmbr0", balloon=512, cpulimit=1, vga="std", usb0="spice", ide3="none,media=cdrom",
        rng0="/dev/urandom", tablet=0, machine="q35", cores=2, onboot=1,
    )  # fmt: skip
    waiting = {item["key"] for item in machine.pending.get() if "pending" in item}
    assert waiting == {"balloon", "vga", "ide3", "rng0", "machine", "cores", "boot"}
    machine.config.put(hotplug="0")
    machine.config.put(delete="net1,vga,tablet")
    config, waiting = machine.config.get(current=1), machine.pending.get()
    assert "net1" in config
    assert {item["key"] for item in waiting if "delete" in item} == {"net1", "vga", "tablet"}
    assert finished(api, machine.status.stop.post()) == "OK"
    machine.config.put(delete="bios,rng0,usb0,ide3,cpulimit,machine,onboot,hotplug,net1,tablet")
