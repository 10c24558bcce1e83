"""Inventory, queue and known_hosts follow a machine to its new name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.ansible import compare, edit, queue
from fleet.ansible.inventory import parse
from fleet.ansible.update import update
from fleet.hosts import known_hosts
from tests.ansible.test_update_inventory import machine, outputs_of

LINE = "k8s-a ansible_host=10.0.0.1 ansible_user=ops rack=k8s-a  # terraform mac=BC:24:11:00:00:01 instance=a1 k8s-a\n"
INVENTORY = f"""# Individual hosts
{LINE}k8s-ab ansible_host=10.0.0.2 ansible_user=ops  # terraform mac=BC:24:11:00:00:02 instance=a2
nas ansible_host=10.0.0.9 # k8s-a's disk

[k3s]
k8s-a
k8s-ab

[mine]
k8s-a weight=3 # k8s-a

[wide]
k8s-[a:c]
"""
QUEUE = "# k8s-a waits\n10.0.0.1,k8s-a\n10.0.0.1,k8s-a,k8s\n10.0.0.2,k8s-ab\n"
BOTH = {"k8s-ab": machine("10.0.0.2", mac="BC:24:11:00:00:02", instance="a2")}


def test_every_line_of_the_machine_and_no_other():
    result = update(
        INVENTORY, QUEUE, outputs_of({"k8s-new": machine(), **BOTH}), formerly={"k8s-new": "k8s-a"}
    )
    assert (result.renamed, result.added, result.removed, result.queued) == ({"k8s-new": "k8s-a"}, [], [], [])
    assert [one.message for one in result.findings if one.level == "error"] == []
    ranges = [one.text() for one in result.findings if "this range" in one.message]
    assert ranges == ["14: warning: k8s-a is gone, but this range still includes it; take it out"], ranges
    changed = {
        before: after
        for before, after in zip(INVENTORY.splitlines(), result.inventory_text.splitlines(), strict=True)
        if before != after
    }
    assert list(changed) == [LINE.strip(), "k8s-a", "k8s-a weight=3 # k8s-a"]
    assert list(changed.values()) == [
        LINE.strip().replace("k8s-a ", "k8s-new ", 1),
        "k8s-new",
        "k8s-new weight=3 # k8s-a",
    ]
    assert result.queue_text == QUEUE.replace(",k8s-a\n", ",k8s-new\n").replace(",k8s-a,", ",k8s-new,")
    again = update(
        result.inventory_text,
        result.queue_text,
        outputs_of({"k8s-new": machine(), **BOTH}),
        formerly={"k8s-new": "k8s-a"},
    )
    assert (again.inventory_text, again.queue_text, again.renamed) == (
        result.inventory_text,
        result.queue_text,
        {},
    )


@pytest.mark.parametrize(
    ("machines", "formerly", "renames"),
    [
        (["k8s-new", "k8s-ab"], {"k8s-new": "k8s-a"}, {"k8s-new": "k8s-a"}),
        (["k8s-a", "k8s-ab"], {"k8s-new": "k8s-a"}, {}),  # it is not applied yet
        (["k8s-a", "k8s-new"], {"k8s-new": "k8s-a"}, {}),  # two machines
        (["k8s-ab"], {"k8s-ab": "k8s-a"}, {}),  # which has a line of its own
        (["k8s-new"], {"k8s-new": "nas"}, {}),  # by hand
        (["k8s-new"], {"k8s-new": "k8s-gone"}, {}),
    ],
)
def test_who_is_renamed(machines, formerly, renames):
    assert compare.renames(parse(INVENTORY), machines, formerly) == renames


def test_a_machine_of_neither_name_keeps_its_line():
    """Its apply failed: it is gone from the outputs, and nobody asked for that."""
    result = update(
        INVENTORY, QUEUE, outputs_of(BOTH), formerly={"k8s-new": "k8s-a"}, expected={"k8s-new", "k8s-ab"}
    )
    assert (result.removed, result.kept["k8s-a"]) == ([], "missing in Terraform's outputs")
    assert LINE in result.inventory_text and result.queue_text == QUEUE


def test_an_address_that_only_the_guest_agent_knows_stays():
    leased = machine() | {"address": None}
    result = update(INVENTORY, QUEUE, outputs_of({"k8s-new": leased, **BOTH}), formerly={"k8s-new": "k8s-a"})
    assert "k8s-new ansible_host=10.0.0.1" in result.inventory_text
    assert result.removed == [] and "10.0.0.1,k8s-new\n" in result.queue_text
    assert queue.renamed("k8s-a,k8s-a,k8s\n", {"k8s-new": "k8s-a"}) == "k8s-new,k8s-new,k8s\n"


NAMES = st.sampled_from(["k8s-a", "k8s-ab", "k8s-b", "nas", "a"])


@given(
    st.lists(
        st.one_of(
            NAMES, NAMES.map(lambda name: f"{name} ansible_host=10.0.0.1  # terraform mac=x"), st.text()
        )
    )
)
def test_back_and_forth_is_the_text_that_it_was(lines):
    text = "\n".join(lines)
    there = edit.renamed(text, {"zz-new": "k8s-a"})
    if "zz-new" not in text:
        assert edit.renamed(there, {"k8s-a": "zz-new"}) == text
    assert edit.renamed(text, {}) == text == edit.renamed(text, {"zz": "not-there"})


KEYS = """# a remark on k8s-a
10.0.0.1 ssh-ed25519 AAAA k8s-a instance=a1
10.0.0.1 ssh-rsa BBBB k8s-a instance=a1
10.0.0.2 ssh-ed25519 CCCC k8s-ab instance=a2
|1|c2FsdA==|aGFzaA== ssh-ed25519 DDDD k8s-a
10.0.0.9 ssh-ed25519 EEEE
"""


def test_host_keys_are_those_of_an_earlier_instance():
    after = known_hosts.renamed(KEYS, {"k8s-new": "k8s-a"})
    assert after.splitlines()[1] == "10.0.0.1 ssh-ed25519 AAAA k8s-new instance=before-k8s-new"
    assert [after.splitlines()[n] for n in (0, 3, 5)] == [KEYS.splitlines()[n] for n in (0, 3, 5)]
    assert known_hosts.renamed(after, {"k8s-new": "k8s-a"}) == after
    shown = {"ssh-ed25519": "AAAA", "ssh-rsa": "BBBB"}
    assert known_hosts.renewed(after, "k8s-new", "10.0.0.1", shown, "a1") == after
    fresh = known_hosts.renewed(after, "k8s-new", "10.0.0.1", {"ssh-ed25519": "FFFF"}, "a1")
    assert "10.0.0.1 ssh-ed25519 FFFF k8s-new instance=a1\n" in fresh and "AAAA" not in fresh
    with pytest.raises(known_hosts.Changed):  # and from then on they are right alone
        known_hosts.renewed(fresh, "k8s-new", "10.0.0.1", {"ssh-ed25519": "AAAA"}, "a1")
