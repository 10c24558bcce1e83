"""Who may leave a cluster so that etcd keeps its quorum, and who would leave an even number behind."""

import pytest

from fleet.members import place
from fleet.members.place import State


def state(voters: str, well: str | None = None, joining: str = "") -> State:
    return State(*(frozenset(text.split()) for text in (voters, voters if well is None else well, joining)))


@pytest.mark.parametrize(
    ("now", "leaving", "said"),
    [
        (state("a b c"), "b", ""),
        (state("a b c", "a c"), "b", ""),  # the broken one goes
        (state("a b c"), "b c", ""),
        (state("a b c", "a c"), "b c", ""),  # the broken one first, or the other could not be removed
        (state("a b c d e", "a b c"), "d e", ""),
        (state("a b c d e", "a b c"), "a d e", ""),
        (state("a b c d e", "a b c"), "a", "would have 4 members, of which 3 must be well, and d, e are not"),
        (state("a b c", "a c"), "a", "without a etcd of k would have 2 members, of which 2 must be well, and b is not"),
        (state("a", "a"), "a", "a would be the last to leave etcd of k"),
        (state("a b c", "a"), "b", "would have 3 members, of which 2 must be well, and b, c are not"),  # lost already
        (state("a b", "a b"), "b", ""),
        (state("a b", "a"), "b", "of which 2 must be well, and b is not"),
        (state("a b c"), "x", ""),  # has left, or never joined
        (state("a b c", "a"), "x", ""),
        (state("a b c", joining="d"), "b", "d is still joining etcd of k"),
        (state("a b c", joining="d"), "b d", ""),
        (state("a b c", joining="d"), "d", ""),
    ],
)  # fmt: skip
def test_quorum(now, leaving, said):
    found = place.lost("k", now, set(leaving.split()))
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(
    ("going", "after", "refused"),
    [
        ("b", "a c", True),
        ("b c", "a", False),
        ("b", "a c d", False),  # another came
        ("", "a c", False),  # made again, as it was
        ("a b c", "", False),
        ("b c", "a d", True),
    ],
)
def test_an_even_number_is_not_left_behind(going, after, refused):
    said = place.even("k8s-prod", set(going.split()), set(after.split()))
    assert bool(said) is refused
    if refused:
        assert "2 control planes" in said and "remove one more, or add one, in one push" in said
        assert all(f"[destroy {name}]" in said for name in going.split())
