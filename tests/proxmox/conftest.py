"""The client that the environment describes, and what it says when a question fails."""

import pytest

from fleet.findings import Fault
from fleet.proxmox import client as proxmox


@pytest.fixture
def use(monkeypatch):
    """Set the environment as the provider reads it; returns the client for an endpoint and a CA file."""

    def set_up(endpoint: str, ca=None, token: str = "a@pve!b=0-1", insecure: str = "") -> proxmox.Client:
        for name, value in (
            ("PROXMOX_VE_ENDPOINT", endpoint),
            ("PROXMOX_VE_API_TOKEN", token),
            ("PROXMOX_VE_INSECURE", insecure),
            ("SSL_CERT_FILE", str(ca or "")),
            ("REQUESTS_CA_BUNDLE", ""),
            ("CURL_CA_BUNDLE", ""),
            ("NO_PROXY", "*"),
        ):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(proxmox, "TIMEOUT", (1, 1))
        monkeypatch.setattr(proxmox, "READ_PAUSES", (0, 0))
        return proxmox.connect()

    return set_up


@pytest.fixture
def problem():
    """What a question to a client fails with."""

    def ask(client: proxmox.Client, path: str = "nodes") -> str:
        with pytest.raises(Fault) as caught:
            client.get(path)
        assert caught.value.code == 2
        assert "0-1" not in str(caught.value)
        return str(caught.value)

    return ask
