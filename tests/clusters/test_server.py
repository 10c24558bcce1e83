"""The server of a machine's kubeconfig, as other computers reach it."""

import pytest

from fleet.clusters.server import server_at
from fleet.findings import Fault

SERVERS = [
    ("https://127.0.0.1:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://localhost:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://LocalHost.:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://[::1]:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://[::]:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://0.0.0.0:6443", "192.168.1.20", "https://192.168.1.20:6443"),
    ("https://127.0.1.1:6443/k8s/clusters/c-1?a=b", "10.0.0.1", "https://10.0.0.1:6443/k8s/clusters/c-1?a=b"),
    ("https://127.0.0.1", "10.0.0.1", "https://10.0.0.1"),
    ("https://[::ffff:127.0.0.1]:6443", "10.0.0.1", "https://10.0.0.1:6443"),
    ("https://ip6-localhost:6443", "10.0.0.1", "https://10.0.0.1:6443"),
    ("https://me:pw@127.0.0.1:1/", "10.0.0.1", "https://me:pw@10.0.0.1:1/"),
    ("https://127.0.0.1:6443", "2001:DB8::20", "https://[2001:db8::20]:6443"),
    ("https://127.0.0.1:6443", "[2001:db8::20]", "https://[2001:db8::20]:6443"),
    ("https://127.0.0.1:6443", "k8s-dev.lan", "https://k8s-dev.lan:6443"),
    ("https://127.0.0.10.example.com:6443", "10.0.0.1", "https://127.0.0.10.example.com:6443"),
    ("https://localhost.example.com", "10.0.0.1", "https://localhost.example.com"),
    ("https://10.9.9.9:6443/127.0.0.1", None, "https://10.9.9.9:6443/127.0.0.1"),
]


@pytest.mark.parametrize("server, address, expected", SERVERS)
def test_server(server, address, expected):
    assert server_at(server, address) == expected


WRONG_SERVERS = [
    ("127.0.0.1:6443", "10.0.0.1", "not a URL"),
    ("", "10.0.0.1", "not a URL"),
    (7, "10.0.0.1", "not a URL"),
    ("https://[::1:6443", "10.0.0.1", "not a URL"),
    ("https://127.0.0.1:port", "10.0.0.1", "not a URL"),
    ("ftp://127.0.0.1", "10.0.0.1", "not a URL"),
    ("https://127.0.0.1:6443", None, "only works on the machine itself"),
    ("https://127.0.0.1:6443", "127.0.0.1", "only works on the machine itself"),
    ("https://127.0.0.1:6443", "localhost", "only works on the machine itself"),
    ("https://127.0.0.1:6443", "::", "only works on the machine itself"),
    ("https://127.0.0.1:6443", "10.0.0.1/24", "neither an IP address nor a host name"),
    ("https://127.0.0.1:6443", "evil/?", "neither an IP address nor a host name"),
]


@pytest.mark.parametrize("server, address, said", WRONG_SERVERS)
def test_wrong_server(server, address, said):
    with pytest.raises(Fault, match=said):
        server_at(server, address)
