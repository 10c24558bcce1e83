"""What Ansible really uses for a managed machine: an error when its line says something else."""

import json

import pytest

import update_inventory
from fleet.hosts.targets import targets

LINE = "k8s-a ansible_host=10.0.0.1 ansible_user=ops  # terraform mac=BC:24:11:00:00:01 instance=a1\n"
MACHINE = {"address": "10.0.0.1", "user": "ops", "mac": "BC:24:11:00:00:01", "instance": "a1", "mounts": {}}
OUTPUTS = {"ansible_inventory": {"value": {"k8s-a": MACHINE}}}

# What follows the machine's line, files beside it, the finding's line, and what it says.
OTHERWISE = [
    ("[k3s]\nk8s-a ansible_ssh_host=10.0.0.9\n", {}, 3, "is at 10.0.0.9 here, but at 10.0.0.1 on line 1"),
    ("[k3s]\nk8s-a ansible_ssh_user=root\n", {}, 3, "ansible_user=root for k8s-a, set here"),
    ("[k3s]\nk8s-a ansible_user=root\n", {}, 3, "ansible_user=root for k8s-a, set here"),
    ("[k3s]\nk8s-[a:b] ansible_user=root\n", {}, 3, "ansible_user=root for k8s-a, set here"),
    ("[k3s]\nk8s-a\n[k3s:vars]\nansible_ssh_host = 10.0.0.9\n", {}, 5, "ansible_host=10.0.0.9"),
    ("[k3s]\nk8s-a\n[all:vars]\nansible_ssh_user='root' # all\n", {}, 5, "set here for its group"),
    ("[k3s]\nk8s-a\n[k3s:vars]\nansible_ssh_host=\"{{ x }}\"\n", {}, 5, "{{ x }}"),
    ("[k3s]\nk8s-a\n", {"group_vars/k3s.yml": "ansible_ssh_host: 10.0.0.9"}, 1, "set in group_vars or host_vars"),
    ("[k3s]\nk8s-a\n", {"group_vars/all/x.yml": "ansible_ssh_user: é"}, 1, "ansible_user=é"),
    ("[k3s]\nk8s-a\n", {"host_vars/k8s-a.yml": "ansible_host: 10.0.0.9"}, 1, "ansible_host=10.0.0.9"),
    ("[k3s]\nk8s-a\n", {"playbooks/host_vars/k8s-a.yml": "ansible_user: root"}, 1, "ansible_user=root"),
]  # fmt: skip
AS_SAID = [
    ("[k3s]\nk8s-a ansible_ssh_host=10.0.0.1\n[all:vars]\nansible_user=root\nansible_host=10.0.0.9\n", {}),
    ("[k3s]\nk8s-a ansible_port=2222 ansible_ssh_common_args='-J jump'\n", {}),
    ("[k3s]\nk8s-a\n", {"group_vars/k3s.yml": "ansible_host: 10.0.0.9\nansible_user: root"}),
    ("[k3s]\nk8s-a\n", {"host_vars/other.yml": "ansible_host: 10.0.0.9"}),
]


def write(folder, rest, files):
    (folder / "k8s.ini").write_text(LINE + rest)
    (folder / "outputs.json").write_text(json.dumps(OUTPUTS))
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")


def run(folder) -> int:
    files = {"outputs": "outputs.json", "inventory": "k8s.ini", "queue": "new_hosts.txt"}
    return update_inventory.main([f"--{key}={folder / name}" for key, name in files.items()])


@pytest.mark.parametrize(("rest", "files", "line", "said"), OTHERWISE)
def test_a_machine_that_ansible_would_reach_otherwise(tmp_path, monkeypatch, capsys, rest, files, line, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    write(tmp_path, rest, files)
    assert run(tmp_path) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"k8s.ini:{line}: ") and said in told
    assert (tmp_path / "k8s.ini").read_text() == LINE + rest
    if "is at" not in said:  # that one stops a play earlier: two lines of one host
        wanted, (found,) = targets(["k8s-a"], tmp_path / "k8s.ini")
        assert wanted == [] and found.line == line and said in found.message


@pytest.mark.parametrize(("rest", "files"), AS_SAID)
def test_a_machine_that_ansible_reaches_as_its_line_says(tmp_path, monkeypatch, capsys, rest, files):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, rest, files)
    assert run(tmp_path) == 0, capsys.readouterr().err
    ((target,), found) = targets(["k8s-a"], tmp_path / "k8s.ini")
    assert (target.address, target.user, found) == ("10.0.0.1", "ops", [])
    assert target.port == (2222 if "2222" in rest else 22)
