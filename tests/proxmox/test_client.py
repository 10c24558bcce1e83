"""The Proxmox client against a real HTTPS server that behaves badly: every problem has its own words."""

import pytest

from fleet.findings import Fault
from fleet.proxmox import client as proxmox
from fleet.proxmox import errors
from tests.helpers.https_server import certificate, serving


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, "No ticket", {"data": None}), "does not know the token (401 No ticket): renew"),
        ((403, "Permission check failed (/, Sys.Audit)", {}), "lacks a right for GET nodes (403 Perm"),
        ((595, "No route to host", {}), "a node does not answer the cluster on GET nodes (595 No"),
        ((500, "boom", {"message": "can't lock file - got timeout\n"}), "with 500: can't lock"),
        ((400, "Parameter", {"errors": {"vmid": "invalid format"}}), "vmid: invalid format"),
        ((200, "OK", "<html>a router</html>"), "is not Proxmox VE's API: check PROXMOX_VE_ENDPOINT"),
        ((200, "OK", '{"data": ' + "[" * 100_000), "is not Proxmox VE's API: check PROXMOX_VE_ENDPOINT"),
        ((500, "boom", "[" * 100_000), "with 500: boom"),
        ((200, "OK", "slow"), "is slow: no answer to GET nodes within 1 s"),
    ],
)  # fmt: skip
def test_bad_answers(tmp_path, use, problem, answer, words):
    pem = certificate(tmp_path)
    with serving(pem, {"nodes": answer}) as endpoint:
        assert words in problem(use(endpoint, pem))


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end_is_not_read(tmp_path, use, status):
    pem = certificate(tmp_path)
    with serving(pem, {"nodes": (status, "OK", {"data": "x" * 500_000})}) as endpoint:
        client = use(endpoint, pem)
        with pytest.raises(Fault, match="answered GET nodes with more than 1000 bytes"):
            client.get("nodes", most=1000)


@pytest.mark.parametrize(("method", "times"), [("get", 1), ("put", 3), ("post", 3), ("delete", 3)])
def test_a_lock_that_another_task_holds_is_waited_for(tmp_path, use, monkeypatch, method, times):
    asked: list = []
    pem = certificate(tmp_path)
    monkeypatch.setattr(proxmox, "LOCK_PAUSE", 0)
    answers = {"x": (500, "can't lock file '/var/lock/qemu-server/lock-500.conf' - got timeout", {})}
    with serving(pem, answers, asked) as endpoint:
        with pytest.raises(errors.Refused, match="can't lock file"):
            getattr(use(endpoint, pem), method)("x")
        answers["x"] = (500, "boom", {})
        with pytest.raises(errors.Refused, match="boom"):
            getattr(use(endpoint, pem), method)("x")
    assert len(asked) == times + 1


METHODS = ["get", "post", "put", "delete"]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_sent(tmp_path, use, method):
    asked: list = []
    pem = certificate(tmp_path)
    with serving(pem, {"a/b": (200, "OK", {"data": {"x": 1}})}, asked) as endpoint:
        assert getattr(use(endpoint, pem), method)("a/b", name="k8s dev", left_out=None) == {"x": 1}
    assert asked == [(method.upper(), "a/b", "name=k8s+dev")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_with_the_token(tmp_path, use, method, status):
    """Nor one to the same host: what answers there is not what the endpoint names."""
    asked: list = []
    pem = certificate(tmp_path)
    with serving(pem, {}, asked) as thief:
        answers = {"nodes": (status, f"{thief}x?y=z", "")}
        with serving(pem, answers) as endpoint, pytest.raises(Fault) as caught:
            getattr(use(endpoint, pem), method)("nodes")
    words = f"Proxmox at {endpoint[:-1]} redirects to {thief}x ({status}), which is not followed"
    assert words in str(caught.value)
    assert asked == []


@pytest.mark.parametrize(("method", "count"), [("get", 2), ("post", 1), ("put", 1), ("delete", 1)])
def test_a_broken_connection_is_tried_again_when_that_is_safe(tmp_path, use, method, count):
    asked: list = []
    pem = certificate(tmp_path)
    with (
        serving(pem, {"nodes": (0, "", "hang up")}, asked) as endpoint,
        pytest.raises(errors.Unanswered, match="is down or out of reach"),
    ):
        getattr(use(endpoint, pem), method)("nodes")
    assert len(asked) == count


def test_down(use, problem):
    assert "is down or out of reach: Connection refused" in problem(use("https://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("endpoint", "token", "words"),
    [
        ("", "a@pve!b=c", "PROXMOX_VE_ENDPOINT is not set"),
        ("http://pve:8006", "a@pve!b=c", "must start with https://"),
        ("https://pve", "", "PROXMOX_VE_API_TOKEN is not set"),
        (
            "https://pve",
            "secret_0-1",
            "PROXMOX_VE_API_TOKEN does not have the form user@realm!tokenid=",
        ),
    ],
)
def test_environment(use, endpoint, token, words):
    with pytest.raises(Fault, match=words) as caught:
        use(endpoint, token=token)
    assert "0-1" not in str(caught.value)


def test_what_is_read(tmp_path, use):
    pem = certificate(tmp_path)
    entries = [
        {"vmid": 101, "node": "node02", "type": "lxc", "status": "running"},
        {"vmid": "9000", "name": "t", "node": "node01", "template": 1, "status": "stopped", "lock": "clone"},
    ]
    answers = {
        "cluster/resources": (200, "OK", {"data": entries[::-1]}),
        "nodes": (200, "OK", {"data": [{"node": "a", "status": "online"}, {"node": "b"}]}),
        "nodes/a/storage": (403, "no", {}),
        "nodes/b/storage": (200, "OK", {"data": [{"storage": "local", "content": "iso"}]}),
        "nodes/a/network": (200, "OK", {"data": [{"iface": "vmbr0"}]}),
        "nodes/b/network": (595, "No route to host", {}),
        "cluster/nextid": (400, "x", {"errors": {"vmid": "VM 500 already exists"}}),
    }
    with serving(pem, answers) as endpoint:
        client = use(endpoint, pem)
        assert client.guests() == [
            proxmox.Guest(101, "", "node02", False, "running", "", container=True),
            proxmox.Guest(9000, "t", "node01", True, "stopped", "clone"),
        ]
        assert client.nodes() == {"a": True, "b": False}
        assert client.storages("a") is None
        assert list(client.storages("b")) == ["local"]
        assert client.bridges("a") == {"vmbr0"}
        with pytest.raises(proxmox.Refused):
            client.bridges("b")
        assert not client.is_free(500)
        answers["cluster/nextid"] = (200, "OK", {"data": "500"})
        assert client.is_free(500)
        answers["cluster/nextid"] = (403, "no", {})
        with pytest.raises(proxmox.Refused):
            client.is_free(500)
