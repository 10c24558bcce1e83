"""assign_playbooks.py: requests become queue lines."""

import json

import pytest

import assign_playbooks
from fleet.ansible.assign import assign

INVENTORY = """
k8s-a ansible_host=10.0.0.1
k8s-b ansible_host=10.0.0.2
haproxy-a ansible_host=10.0.0.3
db ansible_host=10.0.0.4
k8s-x-cp1 ansible_host=10.0.0.5
talos-x-w1 ansible_host=10.0.0.6
"""


def request(name: str, playbook: str | None = None, machine: str | None = None, *changed: str) -> dict:
    action = "ansible" if playbook else "destroy"
    more = {"playbook": playbook, "machine": machine, "changed": list(changed)}
    return {"action": action, "name": name, "commit": "0123456789abcdef", "subject": "s", **more}


K8S_A, HAPROXY = request("k8s-a", "k8s", "k8s-a"), request("haproxy", "haproxy")


@pytest.mark.parametrize(
    ("queue", "requests", "after", "said"),
    [
        # A machine: whether or not it is queued.
        ("10.0.0.1,k8s-a\n", [K8S_A], "10.0.0.1,k8s-a,k8s\n", []),
        ("", [K8S_A], "10.0.0.1,k8s-a,k8s\n", []),
        ("10.0.0.1,k8s-a,base\n", [K8S_A], "10.0.0.1,k8s-a,base\n10.0.0.1,k8s-a,k8s\n", []),
        ("10.0.0.1,k8s-a,k8s\n", [K8S_A], "10.0.0.1,k8s-a,k8s\n", []),
        (
            "10.0.0.5,k8s-x-cp1\n",
            [request("k8s-x-cp1", "k8s-ha", "k8s-x-cp1")],
            "10.0.0.5,k8s-x-cp1,k8s-ha\n",
            [],
        ),
        (
            "",
            [request("k8s-z", "k8s", "k8s-z")],
            "",
            ["[ansible k8s-z] of 0123456789: k8s-z is not in the inventory"],
        ),
        # A playbook of the table: the queued machines that it is for, and no prefix of one.
        (
            "# q\n10.0.0.1,k8s-a\n10.0.0.3,haproxy-a\n",
            [HAPROXY],
            "# q\n10.0.0.1,k8s-a\n10.0.0.3,haproxy-a,haproxy\n",
            ["k8s-a waits for a playbook; ask for it in a commit with [ansible k8s-a]"],
        ),
        (
            "10.0.0.1,k8s-a\n10.0.0.2,k8s-b\n10.0.0.5,k8s-x-cp1\n",
            [request("k8s", "k8s")],
            "10.0.0.1,k8s-a,k8s\n10.0.0.2,k8s-b,k8s\n10.0.0.5,k8s-x-cp1\n",
            ["[ansible k8s-x-cp1]"],
        ),
        (
            "10.0.0.1,k8s-a\n10.0.0.5,k8s-x-cp1\n10.0.0.7,k8s-x-w1\n10.0.0.6,talos-x-w1\n",
            [request("k8s-ha", "k8s-ha"), request("talos", "talos")],
            "10.0.0.1,k8s-a\n10.0.0.5,k8s-x-cp1,k8s-ha\n10.0.0.7,k8s-x-w1,k8s-ha\n10.0.0.6,talos-x-w1,talos\n",
            ["[ansible k8s-a]"],
        ),
        (
            "10.0.0.3,haproxy-a,base\n",
            [HAPROXY],
            "10.0.0.3,haproxy-a,base\n",
            ["queued machine matches it"],
        ),
        ("", [HAPROXY], "", ["start the workflow ansible.yml by hand"]),
        # Another playbook: the queued machines whose files the commit changed.
        (
            "10.0.0.4,db\n10.0.0.3,haproxy-a\n",
            [request("base", "base", None, "db", "k8s-a")],
            "10.0.0.4,db,base\n10.0.0.3,haproxy-a\n",
            ["[ansible haproxy]"],
        ),
        (
            "10.0.0.1,k8s-a\n",
            [request("base", "base", None, "k8s-a"), K8S_A],
            "10.0.0.1,k8s-a,k8s\n10.0.0.1,k8s-a,base\n",
            [],
        ),
        (
            "10.0.0.1,k8s-a\n",
            [request("base", "base", None, "k8s-a")],
            "10.0.0.1,k8s-a\n10.0.0.1,k8s-a,base\n",
            ["k8s-a waits"],
        ),
        (
            "10.0.0.4,db,base\n",
            [request("ssl", "ssl", None, "db")],
            "10.0.0.4,db,base\n10.0.0.4,db,ssl\n",
            [],
        ),
        # No requests, what is not to be played, lines that are none.
        (
            "10.0.0.4,db\n",
            [],
            "10.0.0.4,db\n",
            ["db waits for a playbook; ask for it in a commit with [ansible PLAYBOOK]"],
        ),
        ("10.0.0.1,k8s-a,k8s\n", [request("k8s-a")], "10.0.0.1,k8s-a,k8s\n", []),
        ("nonsense\n10.0.0.1,k8s-a\n", [K8S_A], "nonsense\n10.0.0.1,k8s-a,k8s\n", ["got 'nonsense'"]),
        # The queue's address of a machine that the inventory has elsewhere.
        ("10.9.9.9,k8s-a\n", [K8S_A], "10.0.0.1,k8s-a,k8s\n", []),
        ("10.9.9.9,k8s-z\n", [request("k8s", "k8s")], "10.9.9.9,k8s-z,k8s\n", []),
    ],
)
def test_assign(queue, requests, after, said):
    result = assign(INVENTORY, queue, requests, "k8s.ini", "new_hosts.txt")
    assert result.queue_text == after
    messages = [finding.message for finding in result.findings]
    assert len(messages) == len(said) and all(a in b for a, b in zip(said, messages, strict=True)), messages
    assert all(finding.level != "error" for finding in result.findings)
    again = assign(INVENTORY, after, requests)
    assert again.queue_text == after and not again.assigned


def test_a_broken_inventory_changes_nothing():
    result = assign("a\na\n", "10.0.0.1,a\n", [request("x", "x", None, "a")])
    assert result.queue_text == "10.0.0.1,a\n" and result.findings[0].level == "error"


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "k8s.ini").write_text(INVENTORY)
    (tmp_path / "q").write_text("10.0.0.1,k8s-a\n10.0.0.4,db\n")
    (tmp_path / "r.json").write_text(json.dumps({"requests": [K8S_A]}))
    options = [f"--inventory={tmp_path}/k8s.ini", f"--queue={tmp_path}/q", f"--requests={tmp_path}/r.json"]
    assert assign_playbooks.main(options) == 0
    streams = capsys.readouterr()
    assert streams.out == "k8s-a (10.0.0.1): k8s\n" and f"{tmp_path}/q:2: notice: db waits" in streams.err
    stamp = (tmp_path / "q").stat().st_mtime_ns
    assert assign_playbooks.main([*options, "--format", "json"]) == 0
    waiting = [{"address": "10.0.0.4", "host": "db", "playbook": None}]
    assert json.loads(capsys.readouterr().out) == {"assigned": [], "waiting": waiting}
    assert (tmp_path / "q").stat().st_mtime_ns == stamp
    (tmp_path / "r.json").write_text('{"requests": []}')
    assert assign_playbooks.main([*options, f"--queue={tmp_path}/none"]) == 0
    assert not (tmp_path / "none").exists()
    for text in ("", "[]", '{"requests": 1}', "{}"):
        (tmp_path / "r.json").write_text(text)
        assert assign_playbooks.main(options) == 2, text
        assert "extract_ansible_tag.py --format json" in capsys.readouterr().err
