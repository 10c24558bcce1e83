"""A doctor in a lab where all is well: Proxmox with empty machines, and real PostgreSQL, Vault and forge."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

import doctor
from fleet.access import privileges
from lab import PROXMOX_URL, daemons, network, secret
from lab import secrets as lab_secrets
from lab.environment import environment
from lab.proxmox import datacenter, faults
from tests.helpers.proxmox import BASE

LOCAL_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0j4dVbWg0yQ0mSxG3S0vVvWcPzV5cWQ0bXyX0w1v9a me"
# What the lab has besides the doctor's own settings.
NAMES = ("TERRAFORM", "PG_CONN_STR", "VAULT_ADDR", "VAULT_TOKEN", "GITHUB_TOKEN", "GITHUB_API_URL", "SSL_CERT_FILE",
         "REQUESTS_CA_BUNDLE")  # fmt: skip


class Asked(NamedTuple):
    """What one run printed; `lines`: by "group/name"."""

    code: int
    lines: dict[str, dict]
    text: str

    def states(self) -> dict[str, str]:
        return {key: line["state"] for key, line in self.lines.items()}


class Doctor:
    """Runs the script here, where the thread is in the lab's network."""

    def __init__(self, capfd: pytest.CaptureFixture[str]):
        self.capfd = capfd

    def ask(self) -> Asked:
        before = dict(os.environ)
        self.capfd.readouterr()
        code = doctor.main(["--json"])
        out, err = self.capfd.readouterr()
        os.environ.clear()
        os.environ.update(before)
        lines = {f"{line['group']}/{line['name']}": line for line in json.loads(out)}
        assert err == ""
        return Asked(code, lines, out)

    def shown(self) -> str:
        """The plain text."""
        before = dict(os.environ)
        doctor.main([])
        os.environ.clear()
        os.environ.update(before)
        out, err = self.capfd.readouterr()
        assert err == ""
        return out


def secrets() -> list[str]:
    """All that no output may contain."""
    values = [
        *lab_secrets().values(),
        *(os.environ.get(name, "") for name in ("VAULT_TOKEN", "GITHUB_TOKEN")),
    ]
    return [value for value in values if value]


@pytest.fixture(scope="module")
def well(tmp_path_factory) -> Iterator[Path]:
    """The lab, in the environment of a person whose `.env` names it."""
    folder = tmp_path_factory.mktemp("doctor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(folder / "lab"))
        patch.setenv("LAB_PROXMOX_HOLLOW", "1")
        for name in ("GITHUB_ACTIONS", "PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN", "VM_NAMES"):
            patch.delenv(name, raising=False)
        try:
            daemons.up(["postgres", "vault", "proxmox", "forge"])
            found = environment()
            for name in NAMES:
                patch.setenv(name, found[name])
            with network.inside():
                datacenter.change({"next-id": "lower=500,upper=9000"}, [])
                (folder / "keys").write_text(f"{LOCAL_KEY}\n")
                (folder / "snippets").mkdir()
                _env(folder, _read_token())
                patch.setenv("PROXMOX_GITOPS_ENV", str(folder / ".env"))
                yield folder
        finally:
            daemons.down()


def _env(folder: Path, read_token: str) -> None:
    path = folder / ".env"
    path.write_text(f"""
PROXMOX_VE_ENDPOINT={PROXMOX_URL}
PROXMOX_VE_API_TOKEN='{secret("proxmox_token")}'
PROXMOX_READ_API_TOKEN='{read_token}'
PROXMOX_SNIPPETS=mounted
PROXMOX_SNIPPETS_DIR={folder}/snippets
VM_NAMES=ceph-1
VM_TEMPLATE=ubuntu24-template
VM_SSH_KEYS_FILE={folder}/keys
GITHUB_REPOSITORY=lab/fleet
""")
    path.chmod(0o600)


def _read_token() -> str:
    """That of another user, with a role that only looks."""
    with requests.Session() as root:
        login = {"username": "root@pam", "password": secret("proxmox_root_password")}
        ticket = root.post(f"{BASE}/access/ticket", data=login).json()["data"]
        root.cookies.set("PVEAuthCookie", ticket["ticket"])
        root.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        role = {"roleid": privileges.READ_ROLE, "privs": ",".join(privileges.READ)}
        root.post(f"{BASE}/access/roles", data=role).raise_for_status()
        root.post(f"{BASE}/access/users", data={"userid": "reader@pve"}).raise_for_status()
        made = root.post(f"{BASE}/access/users/reader@pve/token/read", data={"privsep": 0}).json()["data"]
        given = {"path": "/", "users": "reader@pve", "roles": privileges.READ_ROLE}
        root.put(f"{BASE}/access/acl", data=given).raise_for_status()
        return f"{made['full-tokenid']}={made['value']}"


@pytest.fixture
def asks(well, capfd) -> Iterator[Doctor]:
    yield Doctor(capfd)
    faults.inject()
