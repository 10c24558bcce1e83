"""The role storage on a machine with an extra disk: what a person left there is never hidden or replaced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.plays import Machine, Play, device, running

DISK = device()
K8S = Machine("k8s-disks", "192.168.1.24", 124, {"scsi1": "/mnt/storage", "scsi2": ""})


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("storage"), [K8S], ["proxmox"]) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(home: Path):
    """The machine as it was new: empty disks, no mounts, no folders."""
    yield
    K8S.ssh(
        "findmnt -rno TARGET | grep -E '^/(mnt|srv|data)' | sort -r | xargs -rn1 sudo umount;"
        " sudo sed -i '/mnt/d' /etc/fstab; sudo rm -rf /mnt/* /srv/* /etc/fstab.*~; sudo rm -rf /run/disk;"
        f" for disk in {DISK} {device('scsi2')}; do"
        " sudo dd if=/dev/zero of=$disk bs=1M count=8 conv=notrunc status=none; done"
    )


def play(home: Path) -> Play:
    return Play(home, "k8s", K8S.name, "--tags=storage")


def seen() -> str:
    """The content of the disks that nothing writes to, what is mounted where, and what a mount could hide."""
    return K8S.ssh(
        f"for disk in {DISK} {device('scsi2')}; do"
        " findmnt -rno TARGET $disk || sudo head -c 8M $disk | sha256sum; done;"
        " cat /etc/fstab; findmnt -rno SOURCE,TARGET | grep -E ' /(mnt|srv)'; sudo find /mnt /srv -ls"
    )


WRITE = "| sudo dd of={disk} conv=notrunc status=none"
PARTITIONS = "(head -c 446 /dev/zero; printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\010\\0\\0\\0\\020\\0\\0';"
PARTITIONS += f" head -c 48 /dev/zero; printf '\\125\\252') {WRITE}"
FSTAB = "/mnt/storage ext4 nofail 0 0 | sudo tee -a /etc/fstab"

# name: what a person did, what the refusal says
REFUSED = {
    "partition-table": (
        PARTITIONS,
        "Disk scsi1 of k8s-disks is not empty and holds no file system that can be mounted (dos)",
    ),
    "swap": ("sudo mkswap -q {disk}", "(swap)"),
    "lvm": (
        # The label of an LVM2 physical volume, with the checksum that its readers verify.
        'python3 -c "import sys; from binascii import crc32;'
        "body = b'\\x20\\0\\0\\0LVM2 001' + b'a' * 32 + bytes(452);"
        "crc = ~crc32(body, ~0xf597a6cf & 0xffffffff) & 0xffffffff;"
        "sys.stdout.buffer.write(bytes(512) + b'LABELONE' + (1).to_bytes(8, 'little')"
        " + crc.to_bytes(4, 'little') + body)\" " + WRITE,
        "(LVM2_member)",
    ),
    "mounted-elsewhere": (
        "sudo mkfs.ext4 -q {disk}; sudo mkdir /srv/data; sudo mount {disk} /srv/data",
        "Disk scsi1 of k8s-disks is mounted at /srv/data, and disk_mounts (the VM file's mount) wants it at /mnt/",
    ),
    "other-mount": (
        "sudo mkdir /mnt/storage; sudo mount -t tmpfs by-hand /mnt/storage",
        "/mnt/storage of k8s-disks is a mount of by-hand already",
    ),
    "other-disk": (
        "sudo mkfs.xfs -q {other}; sudo mkdir /mnt/storage; sudo mount {other} /mnt/storage",
        "/mnt/storage of k8s-disks is a mount of /dev/",
    ),
    "fstab-nfs": (
        "echo 'nas:/export /mnt/storage nfs noauto 0 0' | sudo tee -a /etc/fstab",
        "/etc/fstab of k8s-disks mounts nas:/export at /mnt/storage",
    ),
    "fstab-other-disk": (
        "sudo mkfs.ext4 -q -L by-hand {other}; echo LABEL=by-hand " + FSTAB,
        "/etc/fstab of k8s-disks mounts /dev/",
    ),
    "folder-with-files": (
        "sudo mkdir /mnt/storage; echo data | sudo tee /mnt/storage/file",
        "/mnt/storage of k8s-disks is not empty, and disk scsi1 mounted over it would hide what it holds.",
    ),
    "hidden-file": (
        "sudo mkdir /mnt/storage; sudo touch /mnt/storage/.keep",
        "/mnt/storage of k8s-disks is not empty",
    ),
    "symbolic-link": ("sudo ln -s /srv /mnt/storage", "/mnt/storage of k8s-disks is a symbolic link"),
    "file": ("sudo touch /mnt/storage", "/mnt/storage of k8s-disks is not a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_person_made_is_refused_and_stays(case: str, home: Path):
    made, said = REFUSED[case]
    K8S.ssh(made.format(disk=DISK, other=device("scsi2")))
    before = seen()
    assert said in play(home).refused()
    assert seen() == before


ACCEPTED = {
    "empty-folder": "sudo mkdir /mnt/storage",
    "no-folder": "true",
    "file-system-with-data": "sudo mkfs.xfs -q {disk}; sudo mount {disk} /mnt; sudo touch /mnt/data; sudo umount /mnt",
    "mounted-by-hand": "sudo mkfs.ext4 -q {disk}; sudo mkdir /mnt/storage; sudo mount {disk} /mnt/storage;"
    " sudo touch /mnt/storage/data",
    "fstab-by-device": "sudo mkfs.ext4 -q {disk}; echo {disk} " + FSTAB,
    "fstab-of-a-disk-that-is-gone": "echo UUID=0b5ac7a0-0000-4000-8000-000000000000 " + FSTAB,
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_loses_nothing_is_mounted(case: str, home: Path):
    K8S.ssh(ACCEPTED[case].format(disk=DISK))
    before = K8S.ssh("cat /etc/fstab")
    assert play(home).changed() > 0
    assert K8S.ssh("findmnt -rno SOURCE --mountpoint /mnt/storage") == K8S.ssh(f"realpath {DISK}")
    assert K8S.ssh("grep -c mnt/storage /etc/fstab") == "1"
    if "data" in ACCEPTED[case]:
        assert K8S.ssh("ls /mnt/storage | grep data") == "data"
    if "fstab" in case:
        assert K8S.ssh("cat /etc/fstab.*~") == before
    assert play(home).changed() == 0


def test_the_way_out_of_a_folder_with_files(home: Path):
    """The commands of the refusal, as they stand there."""
    K8S.ssh("sudo mkdir /mnt/storage; echo data | sudo tee /mnt/storage/file")
    said = play(home).refused()
    commands = said[said.index("mkfs -t ") : said.index(" and run the play again")]
    K8S.ssh(f"sudo sh -ec '{commands}'")
    assert play(home).changed() > 0
    assert K8S.ssh("cat /mnt/storage/file /mnt/storage.old/file") == "data\ndata"
    assert K8S.ssh("findmnt -rno SOURCE --mountpoint /mnt/storage") == K8S.ssh(f"realpath {DISK}")


def test_the_disk_of_the_system_is_refused(home: Path):
    hosts = home / "k8s.ini"
    text = hosts.read_text()
    hosts.write_text(text.replace("scsi1:/mnt/storage", "scsi0:/mnt/storage"))
    try:
        assert "Disk scsi0 of k8s-disks is mounted at /, and" in play(home).refused()
    finally:
        hosts.write_text(text)


def test_a_disk_without_a_mount_stays_raw(home: Path):
    """Such as those of a Ceph node: whatever the play does to its neighbour, and however often it runs."""
    raw = f"sudo sha256sum {device('scsi2')}"
    before = K8S.ssh(raw)
    for _ in range(2):
        assert play(home).code == 0
        assert K8S.ssh(f"findmnt -rno TARGET {DISK}") == "/mnt/storage"
        assert K8S.ssh(raw) == before
