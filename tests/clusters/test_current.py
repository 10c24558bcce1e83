"""Whether the stored entry of a cluster still serves, though another server's kubeconfig has another certificate."""

import base64

import pytest

from fleet.clusters import current, kubeconfig
from tests.helpers.https_server import certificate

SERVER, ENDPOINT = "https://127.0.0.1:6443", "10.0.0.9"


def entry(pem: str, authority: str = "Q0E=", server: str = SERVER) -> dict:
    """A kubeconfig as K3s writes it."""
    user = {"client-certificate-data": pem, "client-key-data": "S0VZ"}
    return {
        "clusters": [
            {"name": "default", "cluster": {"server": server, "certificate-authority-data": authority}}
        ],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "users": [{"name": "default", "user": user}],
    }


@pytest.fixture
def lasting(tmp_path):
    """Certificates by the days that they last; https_server's last a day."""

    def made(days: int) -> str:
        pem = certificate(tmp_path, age=1 - days).read_bytes().partition(b"-----BEGIN PRIVATE")[0]
        return base64.b64encode(pem).decode()

    return made


def stored(new: dict, address: str = ENDPOINT) -> dict:
    return kubeconfig.merge({}, new, "k8s-prod", address).data


@pytest.mark.parametrize(("days", "serves"), [(365, True), (91, True), (89, False), (-1, False)])
def test_by_its_certificate(days, serves, lasting):
    assert current.serves(stored(entry(lasting(days))), entry(lasting(365)), "k8s-prod", ENDPOINT) is serves


def test_by_everything_else(lasting):
    old, new = lasting(300), entry(lasting(365))
    assert not current.serves({}, new, "k8s-prod", ENDPOINT)
    assert not current.serves(stored(entry(old)), new, "k8s-test", ENDPOINT)
    assert not current.serves(stored(entry(old)), new, "k8s-prod", "10.0.0.10")
    assert not current.serves(stored(entry(old, authority="T0xE")), new, "k8s-prod", ENDPOINT)
    assert not current.serves(stored(entry("bm8gY2VydGlmaWNhdGU=")), new, "k8s-prod", ENDPOINT)
