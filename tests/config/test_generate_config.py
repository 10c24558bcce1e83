"""generate_config.py: its files, that it writes each only when it changes, and that no secret gets anywhere."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import generate_config
from fleet import dotenv
from fleet.config import generated
from fleet.findings import Fault
from fleet.lifecycle import spec
from fleet.paths import ROOT
from fleet.variables import VARIABLES
from tests.helpers.machines import KEY

SSH = {
    "PROXMOX_SNIPPETS": "ssh",
    "PROXMOX_SNIPPETS_STORAGE": "local",
    "PROXMOX_SNIPPETS_DIR": "/var/lib/vz/snippets",
    "PROXMOX_SSH_USER": "gitops",
    "PROXMOX_SSH_HOSTS": "node02=192.168.1.12, node01=192.168.1.11, node03=[fd00::3]:2222",
}
SECRETS = {one.name: f"c0ffee-{number}-$ecret" for number, one in enumerate(VARIABLES) if one.secret}
ROLE = ROOT / "proxmox/playbooks/roles/proxmox_vm/meta/argument_specs.yml"


@pytest.fixture
def run(tmp_path, capsys):
    """A function that runs the script in a folder of its own: (exit status, standard output, standard error)."""
    folder = tmp_path / "proxmox"
    folder.mkdir()

    def call(*options: str) -> tuple[int, str, str]:
        code = generate_config.main(["--dir", str(folder), *options])
        out, err = capsys.readouterr()
        return code, out.replace(f"{tmp_path}/", ""), err.replace(f"{tmp_path}/", "")

    return call


def machines(tmp_path) -> list[dict]:
    return yaml.safe_load((tmp_path / "proxmox/vars/vm_config.yml").read_text())["deploy_machines"]


def test_the_files_are_written_and_then_unchanged(env, run, tmp_path):
    env(SSH)
    files = ["proxmox/vars/vm_config.yml", "proxmox/inventory.ini"]
    assert run() == (0, "".join(f"{name}: written\n" for name in files), "")
    written = [(tmp_path / name).stat().st_mtime_ns for name in files]
    assert run() == (0, "".join(f"{name}: unchanged\n" for name in files), "")
    assert [(tmp_path / name).stat().st_mtime_ns for name in files] == written
    env({**SSH, "VM_CORES": "8"})
    assert run() == (0, "proxmox/vars/vm_config.yml: written\nproxmox/inventory.ini: unchanged\n", "")


def test_check_shows_the_difference_and_writes_nothing(env, run, tmp_path):
    env(SSH)
    code, out, _ = run("--check")
    assert code == 1 and "\n+deploy_machines:\n" in out
    assert out.endswith("proxmox/inventory.ini: would be written\n")
    assert list((tmp_path / "proxmox").iterdir()) == []
    run()
    assert run("--check")[0] == 0
    env({**SSH, "VM_MEMORY": "16384"})
    code, out, _ = run("--check")
    assert code == 1
    changes = re.findall(r"^([-+]) +proxmox_vm_memory: (\d+)$", out, re.M)
    assert sorted(changes) == [("+", "16384")] * 3 + [("-", "8192")] * 3


def test_the_machines_are_variables_of_the_role(env, run, tmp_path):
    (tmp_path / "id.pub").write_text(KEY)
    env(
        {
            "VM_SSH_KEYS_FILE": "id.pub",
            "VM_DNS": "9.9.9.9",
            "VM_DOMAIN": "example.org",
            "VM_USER": "ada",
            "VM_VLAN": "7",
        }
    )
    run()
    options = yaml.safe_load(ROLE.read_text())["argument_specs"]["main"]["options"]
    found = machines(tmp_path)
    assert set().union(*found) <= set(options)
    one = spec.read({name.removeprefix(spec.PREFIX): value for name, value in found[0].items()})
    assert (one.name, one.vmid, one.node, one.template_name, one.linked) == (
        "ceph-1", 501, "node01", "debian12-template", False,
    )  # fmt: skip
    assert (one.cores, one.memory, one.disk_storage, one.bridge, one.vlan) == (
        4,
        8192,
        "local-lvm",
        "vmbr0",
        7,
    )
    assert one.agent is True and found[0]["proxmox_vm_start"] is True
    assert [(disk.slot, disk.size, disk.storage) for disk in one.disks] == [
        ("scsi0", 50, ""), ("scsi1", 1000, "tank"), ("scsi2", 1000, "tank"), ("scsi3", 1000, "tank"),
        ("scsi4", 1000, "tank"), ("scsi5", 100, ""),
    ]  # fmt: skip
    assert one.cloud_init.ipconfig == "ip=192.168.1.61/24,gw=192.168.1.1"
    assert (one.cloud_init.nameserver, one.cloud_init.searchdomain) == ("9.9.9.9", "example.org")
    assert one.cloud_init.user == "ada" and len(one.cloud_init.keys) == 1


def test_an_image_replaces_the_template(env, run, tmp_path):
    image = {"VM_IMAGE_URL": "https://example.org/a.qcow2", "VM_IMAGE_CHECKSUM": f"sha256:{'a' * 64}"}
    env({"VM_TEMPLATE": "", **image})
    run()
    one = spec.read({name.removeprefix(spec.PREFIX): value for name, value in machines(tmp_path)[0].items()})
    assert (one.image.url, one.image.checksum, one.template_name) == (*image.values(), "")


def test_vendor_data_is_named(env, run, tmp_path):
    (tmp_path / "agent.yaml").write_text("#cloud-config\n")
    env({"VM_VENDOR_DATA_FILE": "agent.yaml"})
    run()
    assert machines(tmp_path)[0]["proxmox_vm_vendor_data_file"] == str(tmp_path / "agent.yaml")


def test_without_machines_there_is_an_empty_list(env, run, tmp_path):
    env({"VM_NAMES": ""})
    assert run()[0] == 0
    assert machines(tmp_path) == []
    assert (tmp_path / "proxmox/inventory.ini").read_text() == f"{generated.MARK}\n"


def ansible(path: Path) -> dict:
    program = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run([program, "-i", path, "--list"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_ansible_reads_the_nodes(env, run, tmp_path):
    env(SSH)
    run()
    found = ansible(tmp_path / "proxmox/inventory.ini")
    assert found["proxmox"]["hosts"] == ["node01", "node02", "node03"]
    names = ("ansible_host", "ansible_user", "ansible_port")
    hosts = {node: [one.get(name) for name in names] for node, one in found["_meta"]["hostvars"].items()}
    assert hosts == {
        "node01": ["192.168.1.11", "gitops", None],
        "node02": ["192.168.1.12", "gitops", None],
        "node03": ["fd00::3", "gitops", 2222],
    }


@pytest.mark.parametrize("way", ["", "none", "mounted"])
def test_without_ssh_there_are_no_nodes(env, run, tmp_path, way):
    env({**SSH, "PROXMOX_SNIPPETS": way})
    assert run()[0] == 0
    assert (tmp_path / "proxmox/inventory.ini").read_text() == f"{generated.MARK}\n"


SNIPPETS = {
    "way": ({"PROXMOX_SNIPPETS": "scp"}, "16: PROXMOX_SNIPPETS is scp, which is not none, mounted or ssh"),
    "folder": ({"PROXMOX_SNIPPETS_DIR": "/a b;rm"}, "18: PROXMOX_SNIPPETS_DIR is /a b;rm, which is not an"),
    "host": ({"PROXMOX_SSH_HOSTS": "node01"}, "20: PROXMOX_SSH_HOSTS has node01, which is not of the form"),
    "two": (
        {"PROXMOX_SSH_HOSTS": "a=192.168.1.1 a=192.168.1.2"},
        "20: PROXMOX_SSH_HOSTS gives a two addresses, 192.168.1.1 and 192.168.1.2; remove one of them",
    ),
}


@pytest.mark.parametrize(("changes", "told"), SNIPPETS.values(), ids=SNIPPETS)
def test_what_is_wrong_with_snippets_is_told(env, run, tmp_path, changes, told):
    env({**SSH, **changes})
    code, out, err = run()
    assert (code, out) == (1, "") and err.startswith(f".env:{told}")
    assert list((tmp_path / "proxmox").iterdir()) == []


def test_mistakes_of_the_reader_and_of_the_machines_are_told_together(env, run):
    env({"VM_CORES": "x", "VM_OSSIZE": "50G"})
    code, _, err = run("--format", "json")
    assert code == 1
    assert [(one["line"], one["message"].split()[0]) for one in json.loads(err)] == [
        (16, "VM_OSSIZE"),
        (5, "VM_CORES"),
    ]


def test_without_a_file_the_way_to_one_is_told(tmp_path, monkeypatch, run):
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(tmp_path / ".env"))
    assert run() == (1, "", ".env: does not exist; `cp .env.example .env`, then fill it in\n")


@pytest.mark.parametrize("name", ["vars/vm_config.yml", "inventory.ini"])
def test_a_file_of_somebody_else_stays(env, run, tmp_path, name):
    env(SSH)
    path = tmp_path / "proxmox" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("# mine\n")
    code, out, err = run()
    assert (code, out) == (1, "") and err.startswith(
        f"proxmox/{name}:1: was not written by generate_config.py"
    )
    files = [one for one in (tmp_path / "proxmox").rglob("*") if one.is_file()]
    assert files == [path] and path.read_text() == "# mine\n"


# What is broken, with all secrets in the file.
FAULTS = {
    "nothing": {},
    "open quote": {"PG_CONN_STR": f"'{SECRETS['PG_CONN_STR']}"},
    "text after a quote": {"VAULT_TOKEN": f'"{SECRETS["VAULT_TOKEN"]}" x'},
    "line break": {"GITHUB_TOKEN": f'"{SECRETS["GITHUB_TOKEN"]}\\nx"'},
    "cannot be seen": {"GITHUB_TOKEN": f"{SECRETS['GITHUB_TOKEN']}\u200b"},
    "a secret as a name": {SECRETS["VAULT_TOKEN"]: ""},
    "a secret as a known name": {f"VAULT_TOKEN_{SECRETS['VAULT_TOKEN']}": "1"},
    "two tokens": {"PROXMOX_API_USER": "a@pve!b", "PROXMOX_API_PASSWORD": f"{SECRETS['VAULT_TOKEN']}"},
    "a user": {"PROXMOX_VE_API_TOKEN": "", "PROXMOX_API_USER": "a@pam", "PROXMOX_API_PASSWORD": SECRETS["VAULT_TOKEN"]},
    "half a pair": {"PROXMOX_VE_API_TOKEN": "", "PROXMOX_API_PASSWORD": SECRETS["VAULT_TOKEN"]},
    "a wrong machine": {"VM_CORES": "x", "VM_ADDRESSES": "a b"},
}  # fmt: skip


READABLE = ("nothing", "a wrong machine")


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_is_in_a_file_a_message_or_a_traceback(env, run, tmp_path, fault, mode):
    path = env({**SSH, **SECRETS, **FAULTS[fault]})
    path.chmod(mode)
    code, out, err = run()
    assert (code == 0) == (fault == "nothing" and mode == 0o600)
    texts = [out, err, *(one.read_text() for one in (tmp_path / "proxmox").rglob("*") if one.is_file())]
    for option in ("--check", "--format=github", "--format=json"):
        texts += run(option)[1:]
    unguarded = [sys.executable, "-X", "dev", "-c", "from fleet import dotenv; dotenv.read()"]
    done = subprocess.run(unguarded, capture_output=True, text=True, cwd=ROOT / "scripts", check=False)
    assert ("Traceback" in done.stderr) == (fault not in READABLE or mode != 0o600)
    texts += [done.stdout, done.stderr]
    assert [name for name, secret in SECRETS.items() for text in texts if secret in text] == []


@pytest.mark.parametrize("changes", FAULTS.values(), ids=FAULTS)
def test_no_secret_is_in_what_is_raised(env, changes):
    env({**SECRETS, **changes})
    try:
        dotenv.load({})
    except Fault as fault:
        assert fault.__cause__ is None
        assert [secret for secret in SECRETS.values() if secret in f"{fault!r} {fault.__context__!r}"] == []
