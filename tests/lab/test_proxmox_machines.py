"""The simulated Proxmox: its machines from outside and inside."""

import contextlib
import os
import signal
import subprocess

import pytest
from proxmoxer import ResourceException

from lab import cgroup, daemons, leftovers, process
from lab.images import builds as images
from lab.proxmox import faults, machines, properties, volumes
from tests.helpers.proxmox import finished, host_key, keys, made, ssh, wait_for

BY_ID = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"


def test_a_machines_life(api, vm):
    """Boot, disks while it runs, restarts from inside and outside, a new instance, migration, death."""
    address = "192.168.1.20"
    vm.config.put(
        ciuser="suporte", sshkeys=keys(), ipconfig0=f"ip={address}/24,gw=192.168.1.1", scsi1="local-lvm:1"
    )
    assert finished(api, vm.resize.put(disk="scsi0", size="5G")) == "OK"
    assert finished(api, vm.status.start.post()) == "OK"
    assert ssh(address, "hostname; whoami; sudo id -u").split() == ["vm-500", "suporte", "0"]
    assert finished(api, vm.status.start.post()) == "VM 500 already running"
    assert "status: done" in ssh(address, "cloud-init status --wait")
    assert int(ssh(address, "df --output=size -B1G / | tail -1")) >= 4, "grown at boot"
    assert ssh(address, "systemctl --failed --quiet") == ""
    mac = properties.parse_net("net0", vm.config.get()["net0"])["macaddr"]
    assert ssh(address, "cat /sys/class/net/eth0/address").strip().upper() == mac

    # The guest agent's answer comes from inside.
    interfaces = vm.agent("network-get-interfaces").get()["result"]
    eth0 = next(item for item in interfaces if item["name"] == "eth0")
    assert eth0["hardware-address"].upper() == mac
    assert {"ip-address": address, "prefix": 24, "ip-address-type": "ipv4"} in eth0["ip-addresses"]

    # A file system on the extra disk, mounted by UUID; the disk grows while it is in use.
    fstab = f"UUID=$(sudo blkid -o value -s UUID {BY_ID}) /mnt/storage ext4 defaults 0 2"
    ssh(address, f"sudo mkfs.ext4 -q {BY_ID} && sudo mkdir /mnt/storage")
    ssh(address, f"echo {fstab} | sudo tee -a /etc/fstab && sudo mount /mnt/storage")
    ssh(address, "sudo touch /mnt/storage/kept")
    assert finished(api, vm.resize.put(disk="scsi1", size="2G")) == "OK"
    assert ssh(address, f"lsblk -bno SIZE {BY_ID}").strip() == str(2 << 30)

    # A disk is plugged in and out.
    vm.config.put(scsi2="local-lvm:1")
    assert ssh(address, f"lsblk -bno SIZE {BY_ID.replace('scsi1', 'scsi2')}").strip() == str(1 << 30)
    vm.config.put(delete="scsi2")
    assert ssh(address, "ls /dev/disk/by-id").split() == [
        f"scsi-0QEMU_QEMU_HARDDISK_drive-scsi{n}" for n in (0, 1)
    ]
    assert vm.config.get()["unused0"] == "local-lvm:vm-500-disk-2"

    # Memory waits for a start from outside.
    vm.config.put(memory=768, tags="now")
    assert vm.config.get()["memory"] == "768"
    assert vm.config.get(current=1)["memory"] == "1024"
    pending = [item for item in vm.pending.get() if "pending" in item]
    assert pending == [{"key": "memory", "value": "1024", "pending": "768"}]
    before, key = machines.running(500), host_key(address)
    with contextlib.suppress(AssertionError):
        ssh(address, "sudo systemctl reboot")
    wait_for(lambda: machines.running(500)["leader"] not in (None, before["leader"]))
    assert ssh(address, "ls /mnt/storage").split() == ["kept", "lost+found"], "mounted again"
    assert vm.config.get(current=1)["memory"] == "1024", "a restart from inside changes nothing"
    assert host_key(address) == key
    assert finished(api, vm.status.reboot.post()) == "OK"
    assert vm.config.get(current=1)["memory"] == "768"
    assert ssh(address, "ls /mnt/storage").split() == ["kept", "lost+found"]
    assert host_key(address) == key, "the same instance"

    # Another name server makes another instance, and that other host keys.
    vm.config.put(nameserver="192.168.1.1")
    assert finished(api, vm.status.shutdown.post(timeout=30)) == "OK"
    assert vm.status.current.get()["status"] == "stopped"
    assert finished(api, vm.status.start.post()) == "OK"
    ssh(address, "true")
    assert host_key(address) != key

    # The API dies and comes back; the machine does not notice. Nor does it notice that it moves.
    leader = machines.running(500)["leader"]
    process.kill("proxmox")
    daemons.up(["proxmox"])
    with pytest.raises(ResourceException, match="can't migrate running VM without --online"):
        vm.migrate.post(target="node02")
    assert finished(api, vm.migrate.post(target="node02", online=1)) == "OK"
    assert machines.running(500)["leader"] == leader
    there = api.nodes("node02").qemu(500)
    assert there.status.current.get()["status"] == "running"
    with pytest.raises(ResourceException, match="VM 500 is running - destroy failed"):
        there.delete()
    assert finished(api, there.status.stop.post()) == "OK"
    assert finished(api, there.delete(purge=1)) == "OK"
    assert "vm500" not in cgroup.names()
    assert not [name for name in leftovers.loops() if name]


def test_a_package_is_installed_without_a_mirror(api, vm):
    vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.21/24")
    assert finished(api, vm.status.start.post()) == "OK"
    ssh("192.168.1.21", "sudo cloud-init status --wait; ! dpkg -s haproxy && sudo apt-get -qq update")
    out = ssh(
        "192.168.1.21",
        "sudo apt-get -qq install -y haproxy >&2; systemctl is-active haproxy; sudo haproxy -v",
    )
    assert out.startswith("active\nHAProxy version 2.6")


def test_a_guest_agent_that_is_installed_later(api, vm):
    """Most cloud images have none; once it is installed it answers, and after each restart."""
    disk = volumes.path("node01", vm.config.get()["scsi0"].partition(",")[0])
    subprocess.run(["qemu-img", "convert", "-O", "raw", images.image("A"), disk], check=True)
    vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.26/24")
    assert finished(api, vm.status.start.post()) == "OK"
    assert ssh("192.168.1.26", "cat /etc/image-build").strip() == "A"
    with pytest.raises(ResourceException, match="QEMU guest agent is not running"):
        vm.agent.ping.post()
    ssh("192.168.1.26", "sudo apt-get -qq install -y qemu-guest-agent >&2")
    assert vm.agent.ping.post() == {"result": {}}
    assert vm.agent("get-osinfo").get()["result"]["pretty-name"] == "Debian GNU/Linux 12 (bookworm)"
    assert (
        ssh("192.168.1.26", "systemctl --failed --quiet; sudo systemctl -q mask --runtime ssh.socket") == ""
    )
    assert finished(api, vm.status.reboot.post()) == "OK"
    ssh("192.168.1.26", "until systemctl -q is-active qemu-guest-agent; do sleep 0.1; done")
    assert vm.agent.ping.post() == {"result": {}}
    vm.config.put(agent=0)
    assert finished(api, vm.status.reboot.post()) == "OK"
    ssh("192.168.1.26", "true")
    with pytest.raises(ResourceException, match="QEMU guest agent is not running"):
        vm.agent.ping.post()
    vm.config.put(delete="agent")
    assert finished(api, vm.status.reboot.post()) == "OK"
    with pytest.raises(ResourceException, match="No QEMU guest agent configured"):
        vm.agent.ping.post()


def test_a_cloud_init_drive_elsewhere_with_a_snippet_and_a_second_card(api, vm):
    vm.config.put(
        ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.25/24", ipconfig1="ip=10.0.0.5/24",
        net1="virtio,bridge=vmbr0", cicustom="vendor=local:snippets/vendor.yaml", delete="ide2",
    )  # fmt: skip
    vm.config.put(scsi5="local:cloudinit", ide3="local:iso/tools.iso,media=cdrom")
    assert vm.config.get()["scsi5"] == "local:500/vm-500-cloudinit.qcow2,media=cdrom"
    assert finished(api, vm.status.start.post()) == "OK"
    assert ssh("192.168.1.25", "cloud-init status --wait >&2; cat /etc/vendor; ip -br -4 address").startswith(
        "here"
    )
    assert "10.0.0.5/24" in ssh("192.168.1.25", "ip -br -4 address show eth1")
    assert ssh("192.168.1.25", "ls /dev/disk/by-id").split() == ["scsi-0QEMU_QEMU_HARDDISK_drive-scsi0"]


def test_a_machine_that_never_answers(api, vm):
    with faults.injected({"no_boot": 500}):
        assert finished(api, vm.status.start.post()) == "OK"
        assert vm.status.current.get()["status"] == "running"
        with pytest.raises(ResourceException, match="QEMU guest agent is not running"):
            vm.agent("network-get-interfaces").get()
        timeout = finished(api, vm.status.shutdown.post(timeout=1))
        assert timeout == "VM quit/powerdown failed - got timeout"
        assert finished(api, vm.status.shutdown.post(timeout=1, forceStop=1)) == "OK"


def test_machines_come_back_with_the_lab(api, hypervisor):
    for vm in made(api, 505):
        vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.22/24")
        assert finished(api, vm.status.start.post()) == "OK"
        ssh("192.168.1.22", "true")
        machines.stop_all()
        assert not machines.alive()
        process.kill("proxmox")
        (hypervisor / "run" / "proxmox.booted").unlink()  # as when the lab is stopped
        daemons.up(["proxmox"])
        wait_for(lambda: machines.running(505))
        ssh("192.168.1.22", "true")
        # Its process was killed: it counts as off, and the next start ends what is left of it.
        os.kill(machines.running(505)["pid"], signal.SIGKILL)
        wait_for(lambda: not machines.running(505))
        assert vm.status.current.get()["status"] == "stopped"
        assert finished(api, vm.status.start.post()) == "OK"
        ssh("192.168.1.22", "true")
