"""No playbook writes to a disk without `mount:`; tests/playbooks/test_storage.py shows it on a machine."""

import re
import subprocess

import yaml

from fleet.paths import PLAYBOOKS_DIR, ROOT
from fleet.terraform import outputs

STORAGE = PLAYBOOKS_DIR / "roles/storage"
# What makes, changes or mounts file systems, partitions and volumes, by module or by program.
WRITES = re.compile(
    r"\b(community\.general\.(filesystem|parted|lvg|lvol|zfs\w*)|ansible\.posix\.mount|mkfs\S*|mkswap|sgdisk|parted"
    r"|fdisk|pvcreate|vgcreate|lvcreate|zpool|wipefs|blkdiscard|dd|ceph-volume)(?=[\s:,\]])"
)
# Reading, comments, and two messages that tell a person what to do.
READS = re.compile(r"\[wipefs, --no-act,|^\s*#|mkfs -t ' ~ storage_filesystem|by hand \(wipefs --all\)")


def test_only_the_role_storage_writes_to_disks():
    files = [path for path in PLAYBOOKS_DIR.rglob("*") if path.suffix in (".yml", ".sh", ".j2", ".py")]
    writing = {
        path.relative_to(PLAYBOOKS_DIR).as_posix()
        for path in files
        for line in path.read_text().splitlines()
        if WRITES.search(line) and not READS.search(line)
    }
    assert writing == {"roles/storage/tasks/filesystem.yml", "roles/storage/tasks/mount.yml"}


def test_each_task_that_writes_gets_its_disk_from_the_list_of_mounts():
    """Every loop of the role begins at `storage_disks`, or at what a loop over it has registered."""
    from_mounts, loops = {"storage_disks"}, []
    for name in ("inspect", "filesystem", "mount"):
        for task in yaml.safe_load((STORAGE / f"tasks/{name}.yml").read_text()):
            loops.append((task["name"], re.findall(r"\w+", task["loop"])[0]))
            from_mounts |= {task["register"]} if "register" in task else set()
    derived = yaml.safe_load((STORAGE / "vars/main.yml").read_text())["storage_grow_unmounted"]
    assert derived.split()[1].startswith("storage_made.")
    assert [task for task, source in loops if source not in from_mounts | {"storage_grow_unmounted"}] == []


def test_a_disk_without_mount_is_not_in_that_list():
    disks = {"scsi1": "/mnt/storage", "scsi2": None, "scsi3": ""}
    machine = {"address": "192.168.1.61", "user": "suporte", "mounts": disks}
    found = outputs.machines(
        {"ansible_inventory": {"value": {"app": machine, "ceph-1": machine | {"mounts": {}}}}}
    )
    assert found["app"].variables()["disk_mounts"] == "scsi1:/mnt/storage"
    assert "disk_mounts" not in found["ceph-1"].variables()
    argv = [ROOT / ".venv/bin/ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "var=storage_disks", "-e",
            f"@{STORAGE / 'defaults/main.yml'}"]  # fmt: skip
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r'"storage_disks": \[\]', done.stdout)
