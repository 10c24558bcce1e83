"""What no tag lifts: protected machines, too many that end at once, quorum; and the disks that a tag lets go.

tests/lab/test_slow_rename.py has the same on plans that Terraform makes.
"""

import re

import pytest

from fleet.plans import limits, text
from fleet.plans import plan as changes
from fleet.plans.guard import Allowed, judge
from fleet.terraform.state import Resource
from tests.plans.test_plan_guard import MACHINE, changed, disk, entry, plan

NAME = {"replace_paths": [["vm_id"]]}
PROTECTED = changed(protection=True)
THREE = [disk("scsi0", 4), disk("scsi1", 3), disk("scsi2", 9)]


KNOWN = Allowed({"k8s-dev"})


def refused(*entries: dict, allowed: Allowed = KNOWN, drift: list[dict] = ()) -> list[str]:
    found = changes.read(plan(*entries) | {"resource_drift": list(drift)})
    return [one.message for one in judge(found, allowed) if one.level == "error"]


EVERYTHING = Allowed({"k8s-dev"}, {"k8s-dev"}, {"k8s-dev"}, drop={("k8s-dev", "scsi1")})
IS_PROTECTED = [
    # before, after, more, what is refused whatever tags and reviews say ("": nothing)
    (PROTECTED, None, {}, "would destroy k8s-dev"),
    (PROTECTED, PROTECTED, NAME, "would destroy and recreate k8s-dev"),
    (PROTECTED, MACHINE, NAME, "would destroy and recreate k8s-dev"),  # taken off in the same commit
    (MACHINE, PROTECTED, NAME, "would destroy and recreate k8s-dev"),
    (PROTECTED, changed(protection=True, disk=THREE[:1]), {}, "would take scsi1 from k8s-dev"),
    (PROTECTED, changed(disk=THREE[:1]), {}, "would take scsi1 from k8s-dev"),
    (PROTECTED, MACHINE, {}, ""),
    (MACHINE, PROTECTED, {}, ""),
    (PROTECTED, changed(protection=True, memory=[MACHINE["memory"][0] | {"dedicated": 9000}]), {}, ""),
    (MACHINE, None, {}, ""),
    (None, PROTECTED, {}, "a second time"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "more", "message"), IS_PROTECTED)
def test_protected(before, after, more, message):
    found = refused(entry(before, after, **more), allowed=EVERYTHING)
    if before is None:
        found = refused(entry(before, after, **more))
    assert (len(found), message in "".join(found)) == (bool(message), True), found


def test_what_was_applied_last_counts_where_somebody_took_the_flag_off_in_proxmox():
    one = entry(MACHINE, None)
    (found,) = refused(one, allowed=EVERYTHING, drift=[entry(PROTECTED, MACHINE)])
    assert found.startswith(
        "refused: would destroy k8s-dev, which is protected; no tag lifts that. Set `protected: f"
    )
    assert refused(one, allowed=EVERYTHING, drift=[entry(PROTECTED, MACHINE, name="k8s-other")]) == []


def test_machines_that_are_kept_because_they_are_protected():
    def one(**attributes):
        return Resource(500, "node01", False, "x", (), attributes)

    have = {"a": one(protection=True), "b": one(protection=False), "c": one(), "d": one(protection=True)}
    assert list(limits.protected(have, {"a", "b", "c", "gone"})) == ["a"]


def before(*slots: str) -> dict:
    sizes = {"scsi0": 4, "scsi1": 3}
    return changed(disk=[disk(slot, sizes.get(slot, 9)) for slot in slots])


MAY_GO = [
    # before, after, slots that commits let go, what is refused ("": nothing)
    (("scsi0", "scsi1"), ("scsi0",), (), "would remove scsi1 (3G on local-lvm) from k8s-dev"),
    (("scsi0", "scsi1"), ("scsi0",), ("scsi1",), ""),
    (("scsi0", "scsi1"), ("scsi0",), ("scsi2",), "would remove scsi1"),
    (("scsi0", "scsi1", "scsi2"), ("scsi0", "scsi1"), ("scsi2",), ""),
    (("scsi0", "scsi1", "scsi2"), ("scsi0",), ("scsi1", "scsi2"), ""),
    (("scsi0", "scsi1", "scsi2"), ("scsi0",), ("scsi2",), "would remove scsi1"),
    (("scsi0", "scsi1", "scsi2"), ("scsi0", "scsi2"), ("scsi1",), "would remove scsi1"),  # not the last
    (("scsi0", "virtio1"), ("scsi0",), ("virtio1",), ""),
    (("scsi0",), (), ("scsi0",), "would remove scsi0"),  # never the first
]  # fmt: skip


@pytest.mark.parametrize(("has", "wants", "drop", "message"), MAY_GO)
@pytest.mark.parametrize("name", ["k8s-dev", "k8s-de"])
def test_a_disk_that_may_go(has, wants, drop, message, name):
    allowed = Allowed({"k8s-dev"}, drop={(name, slot) for slot in drop})
    found = refused(entry(before(*has), before(*wants)), allowed=allowed)
    if name == "k8s-dev":
        assert (len(found), message in "".join(found)) == (bool(message), True), found
    else:
        assert found and all("would remove" in one for one in found)
    assert all("[drop-disk k8s-dev " in one for one in found)


def test_a_tag_for_a_disk_that_stays_is_said():
    allowed = Allowed({"k8s-dev"}, drop={("k8s-dev", "scsi1"), ("k8s-dev", "scsi7"), ("other", "scsi1")})
    found = judge(changes.read(plan(entry(before("scsi0", "scsi1"), before("scsi0", "scsi1")))), allowed)
    assert [(one.level, one.message) for one in found] == [
        ("notice", "[drop-disk k8s-dev scsi1] has no effect: take scsi1 out of k8s-dev.yaml too"),
        ("notice", "[drop-disk k8s-dev scsi7] has no effect: k8s-dev has no scsi7"),
    ]


SHARES = [
    # machines that are there, destroyed, replaced, whether a review is needed
    (1, 1, 0, False),
    (3, 1, 0, False),
    (3, 0, 1, False),
    (2, 2, 0, False),
    (9, 2, 0, False),
    (9, 1, 1, False),
    (9, 2, 1, True),
    (3, 0, 3, True),
    (10, 2, 0, False),
    (10, 1, 1, False),
    (10, 3, 0, True),
    (100, 3, 0, True),
    (100, 2, 0, False),
    (5, 0, 0, False),
]


@pytest.mark.parametrize(("there", "destroyed", "replaced", "needs"), SHARES)
def test_many_at_once(there, destroyed, replaced, needs):
    names = [f"m{number}" for number in range(there)]
    kinds = [(MACHINE, None, {})] * destroyed + [(MACHINE, MACHINE, NAME)] * replaced
    kinds += [(MACHINE, MACHINE, {})] * (there - len(kinds))
    entries = [
        entry(one, two, name=name, **more) for name, (one, two, more) in zip(names, kinds, strict=True)
    ]
    entries += [
        entry(None, MACHINE, name=f"new{number}") for number in range(5)
    ]  # which makes no share smaller
    allowed = Allowed(names, names, max_changes=99)
    found = refused(*entries, allowed=allowed)
    assert len(found) == needs, found
    assert all(f"{destroyed + replaced} of {there} machines at once" in one for one in found)
    for one in found:
        digest = re.search(r"accept=([0-9a-f]{12}) ", one)[1]
        assert refused(*entries[::-1], allowed=allowed._replace(accepted=digest)) == []
        (other,) = refused(*entries[1:], allowed=allowed._replace(accepted=digest)) or [""]
        assert not other or f"What was accepted, {digest}, is not this" in other
        elsewhere = [entry(MACHINE | {"vm_id": 4711}, None, name=names[0]), *entries[1:]]
        assert len(refused(*elsewhere, allowed=allowed._replace(accepted=digest))) == 1


STOPPED = changed(started=False)
PLANES = ("k8s-prod-cp1", "k8s-prod-cp2", "k8s-prod-cp3", "k8s-prod-cp4", "k8s-prod-cp5")
QUORUM = [
    # control planes that run, that stand still, how many are stopped, whether that is refused
    (3, 0, 0, False),
    (3, 0, 1, False),
    (3, 0, 2, True),
    (3, 0, 3, False),  # it is put to sleep
    (2, 1, 1, True),
    (2, 1, 2, False),
    (5, 0, 2, False),
    (5, 0, 3, True),
    (1, 0, 1, False),
    (2, 0, 1, True),
    (1, 2, 0, False),  # it was so before
]


@pytest.mark.parametrize(("run", "still", "stopped", "needs"), QUORUM)
def test_quorum(run, still, stopped, needs):
    sides = (
        [(MACHINE, STOPPED)] * stopped + [(MACHINE, MACHINE)] * (run - stopped) + [(STOPPED, STOPPED)] * still
    )
    entries = [entry(*side, name=name) for name, side in zip(PLANES, sides, strict=False)]
    more = [
        entry(MACHINE, STOPPED, name=name)
        for name in ("k8s-prod-w1", "k8s-dev", "haproxy-prod", "talos-a-cp1")
    ]
    found = refused(*entries, *more, allowed=Allowed([one["index"] for one in (*entries, *more)]))
    assert len(found) == needs, found
    assert all("control planes of k8s-prod would be left running" in one for one in found)


def test_a_machine_that_is_renamed():
    old, new = (
        changed(name=name, description=f"x\n\nproxmox-gitops: {name}") for name in ("k8s-dev", "k8s-new")
    )
    one = entry(old, new, name="k8s-new") | {"previous_address": 'module.vm.x.this["k8s-dev"]'}
    assert refused(one, allowed=Allowed({"k8s-new"})) == []
    assert refused(one, allowed=Allowed()) == []  # it has our mark, although under the earlier name
    (found,) = changes.read(plan(one))
    assert (found.name, found.formerly, found.renews_host_keys, found.restart) == (
        "k8s-new",
        "k8s-dev",
        True,
        (),
    )
    assert text.lines([found])[0].startswith(
        "update  k8s-new (formerly k8s-dev): description, name k8s-dev → k8s-new"
    )
    # Somebody else's under another name is still somebody else's.
    other = entry(changed(description="mine"), new, name="k8s-new") | {"previous_address": 'x["k8s-dev"]'}
    assert "the guest was not made from this file" in "".join(refused(other, allowed=Allowed()))
