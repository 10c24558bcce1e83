"""A Proxmox of the lab's where nobody has made a role, a user or a token, and the script on it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

import proxmox_token
from fleet import dotenv
from fleet.files import read_text
from fleet.proxmox.client import Client, Refused
from lab import PROXMOX_URL, secret
from lab.proxmox import access, faults
from tests.helpers.hollow import hollow_proxmox

USER = "terraform@pve"
EMPTY = f"# mine\nPROXMOX_VE_ENDPOINT={PROXMOX_URL}\nVM_NAMES=ceph-1 # one\n"


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Site:
    """One Proxmox and one `.env`; `run` is the script, as root@pam."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]):
        self.file, self.password, self.capsys = folder / ".env", folder / "password", capsys
        self.password.write_text(secret("proxmox_root_password") + "\n")
        self.file.write_text(EMPTY)

    def run(self, *argv: str, yes: bool = True, password: bool = True, **environment: str) -> Ran:
        """As a command of its own: what `.env` says is not in the environment before or after."""
        words = [
            *(["--password-file", str(self.password)] if password else []),
            *(["--yes"] if yes else []),
            *argv,
        ]
        with mock.patch.dict(os.environ):
            for name in dotenv.KNOWN - {"SSL_CERT_FILE"}:
                os.environ.pop(name, None)
            os.environ |= {"PROXMOX_GITOPS_ENV": str(self.file), **environment}
            status = proxmox_token.main(words)
        ran = Ran(status, *self.capsys.readouterr())
        self.check_silent(ran.out + ran.err)
        return ran

    def check_silent(self, text: str) -> None:
        assert "Traceback" not in text
        for value in self.secrets():
            assert value not in text

    def token(self, variable: str = "PROXMOX_VE_API_TOKEN") -> str:
        return dotenv.read(self.file)[variable].value

    def client(self, variable: str = "PROXMOX_VE_API_TOKEN") -> Client:
        return Client(PROXMOX_URL, self.token(variable))

    def answers(self, variable: str = "PROXMOX_VE_API_TOKEN") -> bool:
        """Whether Proxmox takes the token as `.env` has it."""
        try:
            return bool(self.client(variable).get("version"))
        except Refused as refused:
            assert refused.status == 401
            return False

    @property
    def state(self) -> dict[str, Any]:
        return access.read()

    def change(self, **parts: Any) -> None:
        access.write(self.state | parts)

    def secrets(self) -> list[str]:
        """All that must not be shown."""
        found = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", read_text(self.file))
        return [*found, secret("proxmox_root_password")]


@pytest.fixture(scope="module")
def hollow(tmp_path_factory) -> Iterator[Path]:
    with hollow_proxmox(tmp_path_factory.mktemp("access")) as folder:
        yield folder


@pytest.fixture
def site(hollow, tmp_path, capsys) -> Iterator[Site]:
    """With nothing in it."""
    before = access.read()
    access.write(before | {"users": {}, "tokens": {}, "roles": {}, "acl": []})
    yield Site(tmp_path, capsys)
    faults.inject()
    access.write(before)


@pytest.fixture(scope="module")
def first_run() -> dict[str, Any]:
    """What the first run left, once there was one: a file's text, and Proxmox's accounts."""
    return {}


@pytest.fixture
def made(site, first_run) -> Site:
    """With all that the script makes."""
    if not first_run:
        assert site.run().status == 0
        first_run.update(text=site.file.read_text(), state=site.state)
    site.file.write_text(first_run["text"])
    site.file.chmod(0o600)
    access.write(first_run["state"])
    return site
