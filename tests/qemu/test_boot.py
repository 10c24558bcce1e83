"""One clone of a template from an image, booted by QEMU with its own disk, seed and agent: `make test-qemu`.

The lab's machines are containers, so that three things are never seen there: that a kernel finds the disk by the
names that the playbooks use, that cloud-init reads the drive and grows the file system, and that Debian's own unit
starts the guest agent on its virtio port. QEMU computes each instruction: it takes minutes, not seconds.
"""

import contextlib
import re
import subprocess

import pytest

from lab import BRIDGE, daemons, secret
from lab.proxmox import accounts, agent_channel, cloudinit, guests, properties, volumes
from tests.helpers.proxmox import finished, host_key, keys, ssh

ADDRESS = "192.168.1.40"
ROCKY = "pub/rocky/9/images/x86_64/Rocky-9-GenericCloud-Base.latest.x86_64.qcow2"


@pytest.fixture
def clone(boot, api):
    """A clone, made as Proxmox is asked for it: from the image with the agent, by way of a template."""
    daemons.up(["images"])
    accounts.grant("/", ["Administrator"], secret("proxmox_token").partition("!")[0], None, True, False)
    node = api.nodes("node01")
    fetch = node.storage("local")("download-url")
    upid = fetch.post(url=f"http://192.168.1.1/{ROCKY}", filename="rocky9.qcow2", content="import")
    assert finished(api, upid) == "OK"
    made = node.qemu.post(
        vmid=9100, name="rocky9-template", memory=1024, scsihw="virtio-scsi-single", agent=1, serial0="socket",
        net0="virtio,bridge=vmbr0", scsi0="local-lvm:0,import-from=local:import/rocky9.qcow2",
        ide2="local-lvm:cloudinit", boot="order=scsi0",
    )  # fmt: skip
    assert finished(api, made) == "OK"
    assert finished(api, node.qemu(9100).template.post()) == "OK"
    assert finished(api, node.qemu(9100).clone.post(newid=540, name="app", full=1)) == "OK"
    vm = node.qemu(540)
    assert finished(api, vm.resize.put(disk="scsi0", size="5G")) == "OK"
    vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0=f"ip={ADDRESS}/24,gw=192.168.1.1", ciupgrade=0)
    return guests.find(540)


@contextlib.contextmanager
def booted(guest, place, folder):
    """The machine as `qm start` would start it, but for the kernel, which its disk does not have."""
    seed = folder / "seed"
    seed.mkdir()
    for name, text in cloudinit.seed(guest.config, guest.vmid, guest.node).items():
        (seed / name).write_text(text)
    iso, agent = folder / "seed.iso", agent_channel.folder(guest.vmid)
    subprocess.run(["genisoimage", "-quiet", "-R", "-V", "cidata", "-o", iso, seed], check=True)
    agent.mkdir(parents=True, exist_ok=True)
    disk = volumes.path(guest.node, properties.parse_drive("scsi0", guest.config["scsi0"])["file"])
    mac, tap = properties.parse_net("net0", guest.config["net0"])["macaddr"], f"tap{guest.vmid}i0"
    for command in (f"tuntap add {tap} mode tap", f"link set {tap} master {BRIDGE} up"):
        subprocess.run(["ip", *command.split()], check=True)
    argv = [
        "qemu-system-x86_64", "-name", guest.name, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
        "-nographic", "-nodefaults", "-serial", f"file:{folder}/console",
        "-kernel", place / "vmlinuz", "-initrd", place / "initrd",
        "-append", "console=ttyS0 net.ifnames=0",
        "-device", "virtio-scsi-pci,id=virtioscsi0",
        "-drive", f"file={disk},format=raw,if=none,id=drive-scsi0",
        "-device", "scsi-hd,bus=virtioscsi0.0,drive=drive-scsi0,id=scsi0",
        "-drive", f"file={iso},format=raw,if=none,id=drive-ide2,media=cdrom,readonly=on",
        "-device", "ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2",
        "-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no",
        "-device", f"virtio-net-pci,netdev=net0,mac={mac}",
        "-chardev", f"socket,path={agent / agent_channel.SOCKET},server=on,wait=off,id=qga0",
        "-device", "virtio-serial", "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
    ]  # fmt: skip
    with subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL) as process:
        try:
            yield
        except BaseException:
            print((folder / "console").read_text(errors="replace")[-5000:])
            raise
        finally:
            process.kill()


def test_a_clone_boots_with_its_own_disk(boot, clone, tmp_path):
    with booted(clone, boot, tmp_path):
        assert ssh(ADDRESS, "hostname; whoami", timeout=300).split() == ["app", "suporte"]
        assert "status: done" in ssh(ADDRESS, "cloud-init status --wait", timeout=120)
        assert ssh(ADDRESS, "cloud-id").strip() == "nocloud"
        assert int(ssh(ADDRESS, "df --output=size -B1G / | tail -1")) >= 4, "grown from inside"
        assert "virtio" in ssh(ADDRESS, "readlink -f /sys/class/net/eth0/device/driver")
        by_id = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0"
        assert ssh(ADDRESS, f"readlink -f {by_id}; findmnt -no SOURCE /").split() == ["/dev/sda"] * 2
        assert ssh(ADDRESS, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1] == host_key(ADDRESS)
        # The agent on its virtio port, started by Debian's own unit.
        interfaces = agent_channel.ask(clone.vmid, "guest-network-get-interfaces")
        eth0 = next(item for item in interfaces if item["name"] == "eth0")
        assert ADDRESS in [address["ip-address"] for address in eth0["ip-addresses"]]
        system = agent_channel.ask(clone.vmid, "guest-get-osinfo")
        assert re.fullmatch(r"6\..*-cloud-amd64", system["kernel-release"])
        assert "/lib/systemd/system/qemu-guest-agent.service" in ssh(
            ADDRESS, "systemctl status qemu-guest-agent"
        )
        assert ssh(ADDRESS, "systemctl --failed --quiet") == ""
