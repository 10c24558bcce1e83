"""What environment and .env say of snippets."""

import pytest

from fleet.findings import Fault
from fleet.snippets import settings
from fleet.snippets.settings import Host


@pytest.fixture(autouse=True)
def env_file(monkeypatch, tmp_path):
    file = tmp_path / "env"
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(file))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return file


def test_without_anything_no_snippet_is_written():
    assert settings.read() == settings.Settings("none", "local", "/var/lib/vz/snippets", "root", {})


def test_the_environment_wins(env_file, monkeypatch):
    env_file.write_text("PROXMOX_SNIPPETS=ssh\nPROXMOX_SNIPPETS_DIR=/mnt/a/\nPROXMOX_SSH_HOSTS=a=10.0.0.1\n")
    assert settings.read()[:3] == ("ssh", "local", "/mnt/a")
    monkeypatch.setenv("PROXMOX_SNIPPETS", "mounted")
    assert settings.read().mode == "mounted"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("node01=192.168.1.11", {"node01": Host("192.168.1.11")}),
        ("a=pve.example.org:2222 b=10.0.0.2", {"a": Host("pve.example.org", "2222"), "b": Host("10.0.0.2")}),
        ("a=[fd00::1] b=[fd00::2]:2222", {"a": Host("fd00::1"), "b": Host("fd00::2", "2222")}),
    ],
)
def test_hosts(monkeypatch, text, hosts):
    monkeypatch.setenv("PROXMOX_SSH_HOSTS", text)
    assert settings.read().hosts == hosts


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PROXMOX_SNIPPETS", "nfs", "is nfs, which is not none, mounted or ssh"),
        ("PROXMOX_SNIPPETS_DIR", "/a b", "is /a b, which is not an absolute path"),
        ("PROXMOX_SNIPPETS_DIR", "/a;reboot", "which is not an absolute path"),
        ("PROXMOX_SNIPPETS_DIR", "/a/$(id)", "which is not an absolute path"),
        ("PROXMOX_SNIPPETS_DIR", "snippets", "which is not an absolute path"),
        ("PROXMOX_SNIPPETS_STORAGE", "a/b", "which is not the name of a storage"),
        ("PROXMOX_SSH_USER", "-oProxyCommand=x", "which is not the name of a user"),
        ("PROXMOX_SSH_HOSTS", "192.168.1.11", "which is not of the form node01=192.168.1.11"),
        ("PROXMOX_SSH_HOSTS", "a=-oProxyCommand=x", "which is not of the form"),
    ],
)
def test_what_is_refused(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.raises(Fault, match="which is not") as caught:
        settings.read()
    assert str(caught.value).startswith(name) and words in str(caught.value)
