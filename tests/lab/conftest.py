"""A lab for the tests, apart from the demo's: it is started once, and stopped when the tests end."""

import os
import shutil
from pathlib import Path

import pytest
import requests
from proxmoxer import ProxmoxAPI

from lab import ROOT, builds, daemons, lab_dir, network, secret, setup, terraform
from lab.clone import Clone
from lab.proxmox import faults
from tests.helpers.proxmox import BASE, made


@pytest.fixture(scope="session")
def lab():
    """The whole lab, with nothing in it yet. LAB_KEEP=1 leaves it running afterwards, to look around."""
    before = os.environ.get("LAB_DIR")
    os.environ["LAB_DIR"] = str(ROOT / ".lab-test")
    daemons.down()  # of an earlier run that was killed
    shutil.rmtree(os.environ["LAB_DIR"], ignore_errors=True)
    setup.everything()
    daemons.up()
    yield Path(os.environ["LAB_DIR"])
    if not os.environ.get("LAB_KEEP"):
        daemons.down()
    if before is None:
        del os.environ["LAB_DIR"]
    else:
        os.environ["LAB_DIR"] = before


@pytest.fixture(scope="session")
def fleet(lab) -> Clone:
    """A person's clone of a new fleet's repository."""
    return Clone(lab / "person" / "fleet")


@pytest.fixture(scope="module")
def hypervisor(tmp_path_factory):
    """A lab of its own with nothing but Proxmox and DHCP in it; the tests' thread is in its network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("proxmox") / "lab"))
        try:
            daemons.up(["dhcp", "proxmox"])
            patch.setenv("REQUESTS_CA_BUNDLE", str(lab_dir() / "tls/bundle.pem"))
            with network.inside():
                yield lab_dir()
        finally:  # of what a failing start has left, too
            daemons.down()


@pytest.fixture
def session(hypervisor):
    with requests.Session() as found:
        found.headers["Authorization"] = f"PVEAPIToken={secret('proxmox_token')}"
        yield found


@pytest.fixture
def api(hypervisor):
    name, _, value = secret("proxmox_token").partition("=")
    user, _, token = name.partition("!")
    return ProxmoxAPI("192.168.1.1", user=user, token_name=token, token_value=value)


@pytest.fixture
def root(hypervisor):
    """A session of root@pam, by ticket."""
    with requests.Session() as found:
        login = {"username": "root@pam", "password": secret("proxmox_root_password")}
        ticket = found.post(f"{BASE}/access/ticket", data=login).json()["data"]
        found.cookies.set("PVEAuthCookie", ticket["ticket"])
        found.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        yield found


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "hypervisor" in request.fixturenames:
        faults.inject()


@pytest.fixture
def vm(api):
    """A machine cloned from the template, stopped; gone at the end."""
    yield from made(api, 500)


@pytest.fixture(scope="module")
def proxmox(tmp_path_factory):
    """A small lab of PostgreSQL and Proxmox, whatever else runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        patch.setenv("LAB_PROXMOX_HOLLOW", "1")
        setup.everything()
        daemons.up(("postgres", "proxmox"))
        yield
        daemons.down()


@pytest.fixture
def opentofu():
    """The path of the lab's own OpenTofu."""
    builds.build(builds.find("opentofu"))
    return str(builds.entry("opentofu") / "tofu")


@pytest.fixture(params=["installed", "opentofu"])
def either(request, monkeypatch):
    """Terraform as it is installed here, then OpenTofu."""
    if request.param == "opentofu":
        if terraform.is_built():
            pytest.skip("neither is installed, so that OpenTofu does the work of all tests")
        monkeypatch.setenv("TERRAFORM", request.getfixturevalue("opentofu"))
