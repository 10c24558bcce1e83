"""The Proxmox client against a real HTTPS server that behaves badly: every problem has its own words."""

import contextlib

import pytest
import requests

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


def test_a_login_in_netrc_does_not_take_the_tokens_place(tmp_path, use, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client = use("https://127.0.0.1:8006")
    request = client.session.prepare_request(requests.Request("GET", client.url))
    assert request.headers["Authorization"] == "PVEAPIToken=a@pve!b=0-1"


RESTARTED = (595, "Connection refused", {})
TRIED = [
    # what comes instead of an answer, how often a read asks, how often a write does
    ((0, "", "hang up"), 3, 1),
    ((502, "Bad Gateway", {}), 3, 1),
    ((504, "Gateway Timeout", {}), 3, 1),
    ((596, "Broken pipe", {}), 3, 1),
    (RESTARTED, 3, 1),
    ((595, "No route to host", {}), 1, 1),
    ((500, "boom", {}), 1, 1),
    ((401, "No ticket", {}), 1, 1),
    ((200, "OK", "slow"), 1, 1),
    ([RESTARTED, (200, "OK", {"data": []})], 2, 1),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("answer", "reads", "writes"), TRIED)
def test_what_may_have_happened_is_never_sent_again(tmp_path, use, answer, reads, writes, method):
    asked: list = []
    answers = {"nodes": list(answer) if isinstance(answer, list) else answer}
    with serving(certificate(tmp_path), answers, asked) as endpoint, contextlib.suppress(Fault):
        getattr(use(endpoint, tmp_path / "127.0.0.1-0.pem"), method)("nodes")
    assert len(asked) == (reads if method == "get" else writes)


SENT = {
    "cores": 4,
    "cipassword": "0-1",
    "password": "0-1",
    "url": "https://me:0-1@x/y",
    "description": "x" * 80,
    "net0": "virtio\nx",
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (500, "boom", {}),
            "answered PUT nodes/a (cores=4, cipassword=***, password=***, url=https://***@x/y, des",
        ),
        ((500, "boom", {}), "net0=virtio\\nx) with 500: boom"),
        (
            (403, "Permission check failed (/vms/9, VM.Config.CPU)", {}),
            "lacks a right for PUT nodes/a (cores=4",
        ),
        ((200, "OK", "slow"), "may have been done all the same: see Proxmox's tasks"),
        ((0, "", "hang up"), "may have been done all the same"),
    ],
)
def test_a_write_tells_what_was_sent_without_its_secrets(tmp_path, use, answer, words):
    pem = certificate(tmp_path)
    with serving(pem, {"nodes/a": answer}) as endpoint, pytest.raises(Fault) as caught:
        use(endpoint, pem).put("nodes/a", **SENT)
    assert words in str(caught.value)
    assert "0-1" not in str(caught.value) and "\n" not in str(caught.value)


WAYS_OUT = [
    ("can't lock file '/var/lock/qemu-server/lock-500.conf' - got timeout", "another task holds the lock"),
    ("VM is locked (backup)", "its backup goes on, or was cut off"),
    ("cluster not ready - no quorum?", "`pvecm status`"),
    ("detected modified configuration - file changed by other user? Try again.", "run this again"),
    (
        "bridg: property is not defined in schema and the schema does not allow additional properties",
        "`pveversion`",
    ),
    ("only root can set 'args' config", "no token may do that"),
    ("can't remove VM 500 - protection mode enabled", "set its option protection to 0"),
    ("base volume 'local-lvm:base-9000-disk-0' is still in use by linked cloned", "remove the linked clones"),
    ("storage 'tank' does not exist", "`pvesm status`"),
    ("Configuration file 'nodes/node01/qemu-server/500.conf' does not exist", "moved to another node"),
    ("unable to create VM 500 - VM 500 already exists on node 'node01'", "choose another VMID"),
    ("unable to create image: No space left on device", "free some space"),
    ("Cannot create new thin volume, free space in thin pool pve/data reached threshold.", "free some space"),
    ("zfs error: cannot create 'tank/vm-500-disk-0': out of space", "free some space"),
    ("Method 'GET /nope' not implemented", "no such call"),
    ("got timeout", "the node or its storage is busy"),
]


@pytest.mark.parametrize(("said", "way_out"), WAYS_OUT)
def test_the_way_out_of_what_proxmox_says(said, way_out):
    text = str(errors.refused("https://pve", "PUT x", 500, said, b""))
    assert text.startswith(f"Proxmox at https://pve answered PUT x with 500: {said}; ") and way_out in text


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, "token expired", "has expired (401 token expired): `make fix-token` mends it"),
        (401, "permission denied - invalid PVE ticket", "does not know the token"),
        (596, "tls_process_server_certificate: certificate verify failed", "broke the connection (596"),
    ],
)
def test_a_status_that_says_it(status, said, words):
    assert words in str(errors.refused("https://pve", "GET x", status, said, b""))


@pytest.mark.parametrize(("insecure", "times"), [("true", 1), ("", 0)])
def test_an_unchecked_certificate_is_said_once_on_each_run(use, insecure, times):
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)

    use("https://pve", insecure=insecure)
    for _ in range(2):
        proxmox.connect(say=say)
    assert len(said) == times
    assert all("any certificate is accepted" in text for text in said)


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
