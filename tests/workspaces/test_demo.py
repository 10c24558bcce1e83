"""The entry that the demo writes is one of the real maps, as the toolkit reads them."""

from fleet.paths import CLUSTERS_DIR
from fleet.workspaces import maps
from lab.demo.workloads import MAPS, WORKLOADS, WORKSPACE, has_entry, with_entry


def test_an_entry_of_the_demo():
    text = (CLUSTERS_DIR / "variables.tf").read_text()
    assert maps.read(text, MAPS).workspaces == {}, "a new repository has none"
    assert not has_entry(text, WORKSPACE)
    both = with_entry(with_entry(text, "other", (), "k8s-x"), WORKSPACE, WORKLOADS, "k8s-dev")
    assert has_entry(both, WORKSPACE) and has_entry(both, "other")
    found = maps.read(both, MAPS).workspaces
    assert {one.name: (one.workloads, one.context) for one in found.values()} == {
        WORKSPACE: (WORKLOADS, "k8s-dev"),
        "other": ((), "k8s-x"),
    }
    assert {line for line in text.splitlines() if line} <= set(both.splitlines()), "nothing else is changed"
