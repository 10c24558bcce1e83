"""proxmox_get_vm_ip.py against a real HTTPS server: which machine, which address, which exit code, how many calls."""

import json

import pytest

import proxmox_get_vm_ip
from fleet.addresses import agent
from fleet.proxmox import client
from tests.addresses.test_agent import MAC, card
from tests.helpers.https_server import certificate, serving

LIST = "cluster/resources"
OK = (200, "OK")
SILENT = (500, "QEMU guest agent is not running", {})


def entry(vmid: int, name: str, **more) -> dict:
    return {"vmid": vmid, "name": name, "node": "node01", "type": "qemu", "status": "running"} | more


def config(name: str, **more) -> tuple:
    return *OK, {"data": {"name": name, "net0": f"virtio={MAC},bridge=vmbr0", "agent": "1"} | more}


def tells(*addresses: str, **more) -> tuple:
    return *OK, {"data": {"result": [card(*addresses, **more)]}}


def at(vmid: int, what: str) -> str:
    return f"nodes/node01/qemu/{vmid}/" + {"config": "config", "agent": "agent/network-get-interfaces"}[what]


GUESTS = [
    entry(501, "web-1"),
    entry(502, "web-2"),
    entry(503, "off", status="stopped"),
    entry(504, "twin"),
    entry(505, "twin", node="node02"),
    entry(601, "box", type="lxc"),
    entry(9000, "debian12-template", template=1, status="stopped"),
]
ANSWERS = {
    LIST: (*OK, {"data": GUESTS}),
    at(501, "config"): config("web-1"),
    at(501, "agent"): tells("192.168.1.61/24", "2001:db8::61/64", "fe80::1/64"),
    at(502, "config"): config("web-2"),
    at(502, "agent"): tells("2001:db8::62/64"),
    at(503, "config"): config("off"),
    at(503, "agent"): (500, "VM 503 is not running", {}),
}


@pytest.fixture
def run(tmp_path, use, monkeypatch, capsys):
    """The script on a Proxmox with these answers: (exit code, standard output, standard error, what was asked)."""
    monkeypatch.setattr(agent, "PAUSE", 0.05)
    pem = certificate(tmp_path)

    def it(*arguments: str, **answers: tuple) -> tuple[int, str, str, list[str]]:
        asked: list = []
        with serving(pem, ANSWERS | answers, asked) as endpoint:
            use(endpoint, pem)
            monkeypatch.setattr(client, "TIMEOUT", (10, 10))  # for a busy machine
            code = proxmox_get_vm_ip.main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err, [path for _, path, _ in asked]

    return it


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["--name", "web-1"], "192.168.1.61"),
        (["--vmid", "501"], "192.168.1.61"),
        (["--name", "web-1", "--family", "6"], "2001:db8::61"),
        (["--name", "web-1", "--family", "any"], "192.168.1.61"),
        (["--name", "web-2", "--family", "any"], "2001:db8::62"),
        (["--name", "web-1", "--interface", "eth0"], "192.168.1.61"),
        (["--name", "web-1", "--wait", "5"], "192.168.1.61"),
    ],
)
def test_standard_output_has_the_address_alone(run, arguments, address):
    assert run(*arguments)[:3] == (0, f"{address}\n", "")


@pytest.mark.parametrize(
    ("arguments", "changed", "code", "words"),
    [
        (["--name", "web-1"], {at(501, "config"): config("web-1", agent="0")}, 1, "no guest agent is configured"),
        (["--name", "web-1"], {at(501, "agent"): (500, "No QEMU guest agent configured", {})}, 1, "no guest agent is"),
        (["--name", "web-1"], {at(501, "agent"): SILENT}, 1, "its guest agent does not run; the template must"),
        (["--name", "off"], {}, 1, "off (VMID 503 on node01): the machine does not run; start it"),
        (["--name", "web-2"], {}, 1, "has no IPv4 address yet, only 2001:db8::62"),
        (["--name", "web-1", "--interface", "eth7"], {}, 1, "the card eth7 is not among the cards"),
        (["--name", "web-1"], {at(501, "config"): config("web-1", net0="")}, 1, "it has no network card net0"),
        (["--name", "web-1"], {at(501, "config"): (500, "Configuration file 'x' does not exist", {})}, 1, "moved"),
        (["--name", "web-9"], {}, 1, "Proxmox has no machine web-9, or the token may not see it: did you mean web-"),
        (["--vmid", "777"], {}, 1, "no machine VMID 777, or the token may not see it: there are off, twin"),
        (["--name", "twin"], {}, 1, "twin exists 2 times, as VMID 504 on node01, VMID 505 on node02; say which with"),
        (["--name", "box"], {}, 1, "box (VMID 601) is a container"),
        (["--name", "debian12-template"], {}, 1, "is a template; name a machine"),
        (["--name", "web-1"], {at(501, "agent"): (403, "Permission check failed (/vms/501, VM.GuestAgent.Audit)", {})},
         2, "lacks a right for GET nodes/node01/qemu/501/agent/network-get-interfaces (403 Permission check failed"),
        (["--name", "web-1"], {at(501, "agent"): (595, "No route to host", {})}, 2, "node node01 does not answer"),
        (["--name", "web-1"], {at(501, "config"): (595, "No route to host", {})}, 2, "node node01 does not answer"),
        (["--name", "web-1"], {LIST: (401, "No ticket", {})}, 2, "does not know the token"),
        (["--name", "web-1"], {LIST: (*OK, "hang up")}, 2, "is down or out of reach"),
        (["--name", "web-1"], {at(501, "agent"): (*OK, {"data": {"result": "x" * agent.MOST_BYTES}})}, 1, "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_why_there_is_no_address(run, arguments, changed, code, words):
    found, out, err, _ = run(*arguments, **changed)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_machine_that_boots_is_waited_for(run):
    answers = [SILENT, (500, "VM 501 is not running", {}), tells("192.168.1.61/24")]
    code, out, err, asked = run("--name", "web-1", "--wait", "5", **{at(501, "agent"): answers})
    assert (code, out) == (0, "192.168.1.61\n")
    assert (
        "waiting for the guest agent to tell the address of web-1, 0 s: its guest agent does not run" in err
    )
    assert asked.count(at(501, "agent")) == 3


def test_waiting_ends(run):
    code, out, err, _ = run("--name", "web-1", "--wait", "0.3", **{at(501, "agent"): SILENT})
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("web-1 (VMID 501 on node01): its guest agent does not run")


def test_nothing_is_waited_for_where_it_would_not_help(run):
    code, *_, asked = run(
        "--name", "web-1", "--wait", "60", **{at(501, "config"): config("web-1", agent="0")}
    )
    assert (code, asked) == (1, [LIST, at(501, "config")])


def test_a_machine_that_is_seconds_old_has_no_name_in_the_list(run):
    young = {
        LIST: (*OK, {"data": [{key: entry(501, "")[key] for key in ("vmid", "node", "type", "status")}]})
    }
    assert run("--name", "web-1", **young)[:2] == (0, "192.168.1.61\n")


ALL = [
    GUESTS[1],
    GUESTS[0],
    GUESTS[2],
    GUESTS[5],
    GUESTS[6],
    entry(506, "lost", node="node02", status="unknown"),
]


def test_all_machines_that_run(run):
    code, out, err, asked = run("--all", "--family", "any", **{LIST: (*OK, {"data": ALL})})
    assert out == "NAME   ADDRESS\nlost   -\nweb-1  192.168.1.61\nweb-2  2001:db8::62\n"
    assert (code, err) == (2, "lost (VMID 506 on node02): node node02 does not answer\n")
    assert sorted(asked[1:]) == sorted(at(vmid, what) for vmid in (501, 502) for what in ("config", "agent"))


def test_two_of_one_name_are_told_apart_among_all(run):
    twins = [entry(501, "web"), entry(502, "web")]
    configs = {at(vmid, "config"): config("web") for vmid in (501, 502)}
    code, out, err, _ = run("--all", **{LIST: (*OK, {"data": twins})}, **configs)
    assert (code, out) == (1, "NAME  ADDRESS\nweb   192.168.1.61\nweb   -\n")
    assert err.startswith("web (VMID 502 on node01): ")


def test_json_says_everything(run):
    code, out, _, _ = run("--all", "--format", "json", **{LIST: (*OK, {"data": ALL[:2]})})
    assert code == 1
    web_1, web_2 = json.loads(out)
    assert web_1 == {
        "name": "web-1",
        "vmid": 501,
        "node": "node01",
        "mac": MAC,
        "address": "192.168.1.61",
        "ipv4": ["192.168.1.61"],
        "ipv6": ["2001:db8::61"],
        "reason": "",
    }
    assert (web_2["address"], web_2["ipv6"]) == ("", ["2001:db8::62"])
    assert web_2["reason"].endswith("only 2001:db8::62")


def test_one_machine_is_a_list_of_one_in_json(run):
    _, out, _, _ = run("--name", "web-1", "--format", "json")
    assert [one["address"] for one in json.loads(out)] == ["192.168.1.61"]


@pytest.mark.parametrize("count", [1, 50])
def test_each_machine_costs_two_calls(run, count):
    """And the list one: a change that asks more is seen here."""
    vmids = range(1000, 1000 + count)
    answers = {LIST: (*OK, {"data": [entry(vmid, f"vm-{vmid}") for vmid in vmids]})}
    answers |= {at(vmid, "config"): config(f"vm-{vmid}") for vmid in vmids}
    answers |= {at(vmid, "agent"): tells(f"10.0.0.{vmid - 999}/24") for vmid in vmids}
    code, out, _, asked = run("--all", **answers)
    assert (code, len(out.splitlines())) == (0, 1 + count)
    assert len(asked) == 1 + 2 * count
    code, _, _, asked = run("--name", "vm-1000", **answers)
    assert (code, len(asked)) == (0, 3)


@pytest.mark.parametrize(
    "arguments", [[], ["--name", "a", "--all"], ["--vmid", "x"], ["--all", "--family", "5"]]
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        proxmox_get_vm_ip.main(arguments)
    assert caught.value.code == 2


def test_what_a_guest_says_cannot_command_a_terminal(run):
    words = (500, "Agent error: \x1b[2J::error::x", {})
    _, _, err, _ = run("--name", "web-1", **{at(501, "agent"): words})
    assert "\x1b" not in err
    assert "\\x1b" in err
