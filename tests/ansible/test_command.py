"""Host variables as the inventory's lines say them, beside what Ansible itself makes of them."""

import pytest

from fleet.ansible import command as ansible

LINES = [
    "k8s-a ansible_host=10.0.0.1 ansible_user=ops  # terraform mac=BC:24:11:00:00:01 instance=a1",
    "k8s-a ansible_host=10.0.0.1 ansible_port=2222 ansible_connection=local",
    "k8s-a:2222 ansible_host=10.0.0.1",
    "web[1:3] ansible_user=ops",
    "web[1:2]:2022",
    "[site]\nk8s-a ansible_host=10.0.0.1\n[k3s]\nk8s-a ansible_user=ops",
    "[site]\nk8s-a ansible_host=10.0.0.1\n[k3s]\nk8s-a ansible_host=10.0.0.2",
    "k8s-a ansible_host=2001:db8::1",
    "k8s-a ansible_ssh_private_key_file='/a b/key' ansible_user=\"ops\"",
    "k8s-a ansible_host=10.0.0.1 # remark\nk8s-b",
    "k8s-a ansible_host=k8s-a.lan note=a#b",
    "[site:children]\nk3s\n[k3s]\nk8s-a ansible_host=10.0.0.1",
]
USED = ("ansible_host", "ansible_port", "ansible_user", "ansible_connection", "ansible_ssh_private_key_file")


def used(variables):
    return {host: {key: str(own[key]) for key in USED if key in own} for host, own in variables.items()}


@pytest.mark.parametrize("text", LINES)
def test_the_lines_say_what_ansible_sees(tmp_path, monkeypatch, text):
    file = tmp_path / "k8s.ini"
    file.write_text(text + "\n")
    quick, found = ansible.host_variables(file)
    (tmp_path / "group_vars").mkdir()  # then Ansible is asked
    asked, refused = ansible.host_variables(file)
    assert (used(quick), found) == (used(asked), refused) and found == []


def test_groups_variables_are_seen(tmp_path):
    (tmp_path / "k8s.ini").write_text("[k3s]\nk8s-a\n[k3s:vars]\nansible_port=2222\n")
    assert ansible.host_variables(tmp_path / "k8s.ini")[0]["k8s-a"]["ansible_port"] == 2222
    (tmp_path / "k8s.ini").write_text("[k3s]\nk8s-a\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "k3s.yml").write_text("ansible_port: 2223\n")
    assert ansible.host_variables(tmp_path / "k8s.ini")[0]["k8s-a"]["ansible_port"] == 2223


def test_what_ansible_refuses_is_told(tmp_path):
    (tmp_path / "k8s.ini").write_text("[k3s\n")
    variables, (finding,) = ansible.host_variables(tmp_path / "k8s.ini")
    assert variables == {} and "ansible-inventory rejects it" in finding.message
