"""The names table: a machine's name decides its group and its playbook."""

import pytest

from fleet import names


@pytest.mark.parametrize(
    ("name", "group", "playbook"),
    [
        ("k8s-dev", "k3s", "k8s"),
        ("k8s-dev2", "k3s", "k8s"),
        ("k8s-prod-cp01", "k3s", None),
        ("k8s-prod-w1", "k3s", None),
        ("k8s-cp", "k3s", "k8s"),  # the last part has no number
        ("k8s-cp1", "k3s", "k8s"),  # a cluster's name is missing: a machine of its own
        ("k8s-web", "k3s", "k8s"),
        ("k8s-", None, None),
        ("k8s", None, None),
        ("xk8s-dev", None, None),
        ("haproxy", "haproxy", "haproxy"),
        ("haproxy-dev", "haproxy", "haproxy"),
        ("myhaproxy-x", None, None),
        ("haproxyx", None, None),
        ("talos-prod-cp01", "talos_control_plane", "talos"),
        ("talos-eu-west-cp01", "talos_control_plane", "talos"),
        ("talos-prod-w03", "talos_workers", "talos"),
        ("talos-w1-cp2", "talos_control_plane", "talos"),
        ("talos-prod-web", None, None),
        ("talos-prod", None, None),
        ("db-01", None, None),
    ],
)
def test_a_name_decides_group_and_playbook(name, group, playbook):
    assert (names.group_of(name), names.playbook_of(name)) == (group, playbook)


def test_every_group_of_the_table_is_listed():
    assert {rule.group for rule in names.RULES} == set(names.GROUPS)
