"""Vendor data written and removed, in a folder that is mounted and by SSH to real servers."""

import getpass
import shutil

import pytest

from fleet import paths
from fleet.proxmox import tasks
from fleet.snippets import remove, write
from lab.proxmox import faults
from tests.helpers.sshd import keygen, servers
from tests.snippets.conftest import VENDOR

FILE = "gitops-web-1-vendor.yaml"
BY_SSH = pytest.mark.parametrize("mode", ["ssh"], indirect=True)
VOLUME = f"local:snippets/{FILE}"


@pytest.fixture(params=["mounted", "ssh"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Two SSH servers, as of two nodes; their folders are one."""
    with servers(tmp_path_factory.mktemp("sshd"), 2) as found:
        yield found


@pytest.fixture
def ready(lab, nodes, mode, tmp_path, monkeypatch):
    """The lab with one way to write, whose host keys are known."""
    known = tmp_path / "known hosts"
    known.write_text("".join(f"[127.0.0.1]:{one.port} ssh-ed25519 {one.host_key}\n" for one in nodes))
    monkeypatch.setattr(paths, "KNOWN_HOSTS", known)
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(nodes[0].key_file))
    for other in nodes[1:]:
        shutil.copy(nodes[0].folder / "login.pub", other.folder / "login.pub")
    hosts = " ".join(f"node0{number}=127.0.0.1:{one.port}" for number, one in enumerate(nodes, 1))
    lab.use(mode, PROXMOX_SSH_HOSTS=hosts, PROXMOX_SSH_USER=getpass.getuser())
    lab.known, lab.write = known, {"name": "web-1", "node": "node01", "vendor_data_file": str(lab.vendor)}
    return lab


def test_it_is_written_once_changed_and_removed(ready, mode):
    file = ready.folder / FILE
    checked = ready.step(write, check=True, **ready.write)
    assert checked.changed and not file.exists()
    made = ready.step(write, **ready.write)
    assert made.changed and made.facts == {"vendor_snippet": VOLUME}
    assert file.read_text() == VENDOR
    assert len(made.after) == (1 if mode == "mounted" else 2)
    assert not ready.step(write, **ready.write).changed
    ready.vendor.write_text(VENDOR + "timezone: UTC\n")
    assert ready.step(write, **ready.write).changed
    assert "a machine that has booted keeps what it was given" in " ".join(ready.said)
    assert file.read_text() == VENDOR + "timezone: UTC\n"
    assert [one.name for one in ready.folder.glob("*gitops*")] == [FILE]
    assert ready.step(remove, check=True, name="web-1").changed and file.exists()
    assert ready.step(remove, name="web-1").changed and not file.exists()
    again = ready.step(remove, name="web-1")
    assert not again.changed and again.message == f"{FILE} is not there"


def test_the_stage_check_writes_nothing(ready):
    assert ready.step(write, **ready.write | {"stage": "check"}).facts == {"vendor_snippet": VOLUME}
    assert not (ready.folder / FILE).exists()


@pytest.mark.parametrize("name", ["x$(touch {0})", "x;touch {0};", "../../x", "x y", "-x", "x\ny"])
def test_a_name_that_is_no_host_name_reaches_neither_a_shell_nor_a_folder(ready, tmp_path, name):
    """The stage check comes before anything has looked at the name."""
    trace = tmp_path / "trace"
    given = name.format(trace)
    for stage in ({"stage": "check"}, {}):
        said = ready.refused(write, **ready.write | {"name": given} | stage)
        assert "is not a host name, so no snippet is named after it" in said
    assert "is not a host name" in ready.refused(remove, name=given)
    assert not trace.exists()


def test_a_folder_that_is_not_the_storage_s_is_found_out(ready, tmp_path, monkeypatch):
    """Where the token may list snippets."""
    monkeypatch.setattr("fleet.proxmox.rights.missing", lambda api, wanted: [])
    ready.use("mounted", tmp_path)
    assert "but storage local on node01 does not show it: make PROXMOX_SNIPPETS_DIR" in ready.refused(
        write, **ready.write
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"PROXMOX_SNIPPETS": "none"},
            "PROXMOX_SNIPPETS is none and Proxmox's API writes no snippets: set it to",
        ),
        (
            {"PROXMOX_SNIPPETS_STORAGE": "share"},
            "storage share on node01 has no content snippets: `pvesm set share",
        ),
        ({"PROXMOX_SNIPPETS_STORAGE": "nope"}, "node node01 has no storage nope"),
    ],
)
def test_settings_that_do_not_fit(ready, monkeypatch, given, words):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert words in ready.refused(write, **ready.write | {"stage": "check"})


SSH = [
    ("unknown key", "the host key of node01 (127.0.0.1) is not known, or has changed"),
    ("changed key", "the host key of node01 (127.0.0.1) is not known, or has changed"),
    ("login", "node01 lets me not in"),
    ("host", "PROXMOX_SSH_HOSTS lacks node02: add node02=ADDRESS"),
    ("down", "is out of reach by SSH: ssh: connect to host 127.0.0.1 port 9: Connection refused"),
    ("folder", "cannot write to /nowhere: tee: /nowhere/gitops-web-1-vendor.yaml.new: No such file"),
    ("no ssh", "ssh is not installed"),
]


@pytest.mark.parametrize(("fault", "words"), SSH, ids=[fault for fault, _ in SSH])
@BY_SSH
def test_ssh_that_does_not_work(ready, nodes, tmp_path, monkeypatch, fault, words):
    if fault == "unknown key":
        ready.known.write_text("")
    elif fault == "changed key":
        keygen(tmp_path / "other")
        other = (tmp_path / "other.pub").read_text().split()[1]
        ready.known.write_text(f"[127.0.0.1]:{nodes[0].port} ssh-ed25519 {other}\n")
    elif fault == "login":
        keygen(tmp_path / "other")
        monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(tmp_path / "other"))
        monkeypatch.setenv("SSH_AUTH_SOCK", "")
    elif fault == "host":
        monkeypatch.setenv("PROXMOX_SSH_HOSTS", f"node01=127.0.0.1:{nodes[0].port}")
    elif fault == "down":
        monkeypatch.setenv("PROXMOX_SSH_HOSTS", "node01=127.0.0.1:9 node02=127.0.0.1:9")
    elif fault == "folder":
        ready.use("ssh", "/nowhere")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    said = ready.refused(write, **ready.write).replace(f"lets {getpass.getuser()}@127.0.0.1", "lets me")
    assert words in said
    assert not (ready.folder / FILE).exists()


@BY_SSH
def test_a_shared_storage_gets_it_once(ready, monkeypatch):
    about = ready.api.storages("node01")["local"] | {"shared": 1}
    monkeypatch.setattr(ready.api, "storages", lambda node: {"local": about})
    assert list(ready.step(write, **ready.write | {"node": "node02"}).after) == [f"node02 {FILE}"]


@BY_SSH
def test_a_node_that_is_offline_is_named(ready):
    faults.inject({"offline": "node02"})
    assert list(ready.step(write, **ready.write).after) == [f"node01 {FILE}"]
    assert any(f"node02 cannot be reached and has no {FILE}" in line for line in ready.said)
    assert f"{FILE} stays on node02, which cannot be reached" in ready.step(remove, name="web-1").message


def test_a_folder_of_one_node_alone_is_said(ready, mode):
    ready.step(write, **ready.write)
    told = [
        line for line in ready.said if "local is not shared: node02 has no gitops-web-1-vendor.yaml" in line
    ]
    assert len(told) == (1 if mode == "mounted" else 0)


@pytest.mark.parametrize("mode", ["mounted"], indirect=True)
def test_a_mounted_folder_needs_no_ssh(ready, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ready.step(write, **ready.write).changed


def test_what_the_removal_leaves_is_said(lab):
    lab.use("none")
    result = lab.step(remove, name="web-1")
    assert not result.changed and "stays on its storage: PROXMOX_SNIPPETS is none" in result.message


def test_the_machine_of_a_name_is_asked_for_its_node(ready):
    made = ready.api.post("nodes/node02/qemu", vmid=790, name="web-1")
    tasks.wait(ready.api, made, pause=0.1)
    try:
        given = {"name": "web-1", "vendor_data_file": str(ready.vendor)}
        assert ready.step(write, **given).facts == {"vendor_snippet": VOLUME}
        assert ready.step(write, **given | {"name": "", "vmid": 790}).facts == {"vendor_snippet": VOLUME}
    finally:
        tasks.wait(ready.api, ready.api.delete("nodes/node02/qemu/790"), pause=0.1)
