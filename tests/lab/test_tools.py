"""The commands of docs/tools.md one after the other, as a person types them in a checkout with nothing but `.env`."""

import getpass
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import dotenv
from fleet.config.write import set_value
from fleet.paths import ROOT
from lab import PROXMOX_URL, lab_dir, network, secret
from lab.environment import environment
from lab.proxmox.state import BRIDGE
from tests.helpers.hollow import hollow_proxmox
from tests.helpers.sshd import Server

ADDRESS = (
    "192.168.1.61"  # the first machine is empty, and this computer's OpenSSH server answers in its place
)
MACHINES = {
    "VM_NAMES": "ceph-1 ceph-2 ceph-3",
    "VM_TEMPLATE": "ubuntu24-template",
    "VM_OS_SIZE": "5G",
    "VM_DATA_DISKS": "4",
    "VM_DATA_SIZE": "1000G",
    "VM_DATA_STORAGE": "tank",
    "VM_MON_SIZE": "100G",
    "VM_ADDRESSES": f"{ADDRESS}/24 192.168.1.62/24 192.168.1.63/24",
    "VM_GATEWAY": "192.168.1.1",
    "VM_USER": getpass.getuser(),
}


class Checkout:
    def __init__(self, folder: Path):
        self.folder = folder
        for name in subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines():
            if not name.startswith(("tests/", "lab/", "docs/", "bench/")) and (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self.output = ""

    def run(self, command: str, code: int = 0, **more: str) -> str:
        """What the command printed. Nothing of Proxmox is in its environment."""
        kept = {
            name: value
            for name, value in environment().items()
            if name not in dotenv.KNOWN
            and not name.startswith(("ANSIBLE_", "GITHUB_", "MAKE", "MFLAGS", "PROXMOX_", "SSH_"))
        }
        argv = network.inside_argv(["sh", "-c", command])
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**kept, "ANSIBLE_NOCOLOR": "1", **more},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        self.output += done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Iterator[Checkout]:
    with hollow_proxmox(tmp_path):
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", BRIDGE], check=True)
        server = Server(tmp_path / "sshd", 22, ADDRESS).start()
        (tmp_path / "checkout").mkdir()
        found = Checkout(tmp_path / "checkout")
        (found.folder / "proxmox/authorized_keys").write_text(server.key_file.with_suffix(".pub").read_text())
        try:
            yield found
        finally:
            server.stop()


def changed(output: str) -> int:
    return sum(map(int, re.findall(r"changed=(\d+)", output)))


def without_ssh(folder: Path) -> str:
    """A PATH with what `make` needs, and no SSH client."""
    folder.mkdir()
    for name in ("env", "sh", "make", "sed", "nsenter"):
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def test_the_commands_of_the_page(checkout, tmp_path):
    run, file = checkout.run, checkout.folder / ".env"
    run("cp .env.example .env")
    for name, value in {"PROXMOX_VE_ENDPOINT": PROXMOX_URL, **MACHINES}.items():
        set_value(file, name, value)
    set_value(file, "SSL_CERT_FILE", str(lab_dir() / "tls/bundle.pem"))
    password = lab_dir() / "secrets/proxmox_root_password"
    token = ".venv/bin/python scripts/proxmox_token.py --yes --rotate --password-file"
    run(f"{token} {password}")
    assert file.stat().st_mode & 0o777 == 0o600

    lines = {(line["group"], line["name"]): line["state"] for line in json.loads(run("make doctor JSON=1"))}
    assert "red" not in lines.values()
    assert lines["Proxmox", "token"] == lines["Proxmox", "may make machines"] == "ok"

    assert run("make generate-config").count("written") == 2
    assert run("make generate-config").count("unchanged") == 2

    assert "not there" in run("make cleanup-vms")
    assert changed(run("make deploy", PATH=without_ssh(tmp_path / "bin"))) >= 3
    assert changed(run("make deploy")) == 0

    assert run("python3 scripts/proxmox_get_vm_ip.py --name ceph-1 --wait 120") == f"{ADDRESS}\n"
    assert run("make vm-ip NAME=ceph-2") == "192.168.1.62\n"
    key = {"ANSIBLE_PRIVATE_KEY_FILE": str(tmp_path / "sshd/login")}
    # Of the three machines only one has an SSH server here; `make generate-inventory` would wait for the others.
    said = run(".venv/bin/python scripts/generate_inventory.py --timeout 1", code=1, **key)
    assert "added: ceph-1" in said and "ceph-2: SSH at 192.168.1.62" in said
    python = f"-e ansible_python_interpreter={sys.executable}"  # this computer has others, which need not run
    ping = f". .venv/bin/activate; ansible -i proxmox/inventory-vms.ini ceph-1 -m ping {python}"
    assert '"ping": "pong"' in run(ping, **key)

    assert "3 machines" in run("make cleanup-vms", code=2)
    assert changed(run("make remove CONFIRM_DELETE=true"))
    assert "all machines of this configuration are gone" in run("make cleanup-vms CONFIRM_DELETE=true")

    for value in (dotenv.read(file)["PROXMOX_VE_API_TOKEN"].value, secret("proxmox_root_password")):
        assert value.rpartition("=")[2] not in checkout.output
        for place in (checkout.folder / "proxmox").rglob("*"):
            assert not place.is_file() or value.rpartition("=")[2].encode() not in place.read_bytes()
