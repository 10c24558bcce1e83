"""A cluster's description: what is found in the inventory, and what is refused."""

import pytest

from fleet.findings import Fault
from fleet.members.cluster import clusters
from fleet.members.described import problems
from tests.members.conftest import described

LB = "load_balancers"


def changed(given: dict, name: str, **settings) -> dict:
    given["targets"][f"k8s-prod-{name}"] |= settings
    return given


def test_members_and_defaults():
    (found,) = clusters(described(planes=11, workers=11, targets="w02 cp10 cp01"))
    assert [one.name for one in found.members][:3] == ["k8s-prod-cp01", "k8s-prod-cp02", "k8s-prod-cp03"]
    assert found.members[10].name == "k8s-prod-cp11" and found.members[11].name == "k8s-prod-w01"
    assert [one.name for one in found.targets] == ["k8s-prod-cp01", "k8s-prod-cp10", "k8s-prod-w02"]
    assert (found.endpoint, found.mode) == ("10.0.0.1", "none")
    assert found.names[:3] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"] and "k8s-prod-cp11" in found.names
    assert "k8s-prod-w01" not in found.names
    assert problems(found) == []


def test_two_clusters_in_one_play():
    given = described(planes=1)
    given["hosts"] |= {"k8s-test-cp01": {"address": "10.0.1.1"}, "talos-prod-cp01": {"address": "10.0.2.1"}}
    given["targets"] |= {"k8s-test-cp01": {"version": "v1.35.0+k3s1"}}
    assert [(one.name, len(one.members)) for one in clusters(given)] == [("k8s-prod", 2), ("k8s-test", 1)]


BALANCED = {
    "only one": ({"haproxy-prod": {"address": "10.0.0.9", "vip": ""}}, "10.0.0.9"),
    "shared": (
        {f"haproxy-prod-{n}": {"address": f"10.0.0.{n}", "vip": "10.0.0.10/24"} for n in (1, 2)},
        "10.0.0.10",
    ),
    "of another cluster": ({"haproxy-test": {"address": "10.0.0.9", "vip": ""}}, "10.0.0.1"),
}


@pytest.mark.parametrize("case", BALANCED)
def test_the_endpoint_of_load_balancers(case):
    balancers, endpoint = BALANCED[case]
    (found,) = clusters(described() | {LB: balancers})
    assert (found.endpoint, problems(found)) == (endpoint, [])
    assert found.mode == ("none" if case == "of another cluster" else "haproxy")


@pytest.mark.parametrize("name", ["k8s-dev", "web", "k8s-prod-cp09"])
def test_who_is_no_member(name):
    given = described()
    given["targets"] |= {name: {}}
    with pytest.raises(Fault, match=f"{name}: not a member of a K3s cluster"):
        clusters(given)


TWO = {f"haproxy-prod-{n}": {"address": f"10.0.0.{n}", "vip": ""} for n in (1, 2)}
KUBE_VIP = {"endpoint_mode": "kube-vip"}
REFUSED = {
    "even": (described(planes=2), "k8s-prod has 2 control planes in the inventory (k8s-prod-cp01, k8s-prod-cp02)"),
    "none": (described(planes=0, targets="w01"), "k8s-prod has no control plane in the inventory"),
    "versions": (
        changed(described(), "w01", version="v1.35.0+k3s1"),
        "k8s-prod-cp01, k8s-prod-cp02, k8s-prod-cp03; v1.35.0+k3s1 for k8s-prod-w01. Set it once, for all of k8s-prod",
    ),
    "networks": (
        changed(described(cluster_cidr=""), "cp02", cluster_cidr="10.9.0.0/16"),
        "k8s_ha_cluster_cidr differs: empty for k8s-prod-cp01, k8s-prod-cp03, k8s-prod-w01; 10.9.0.0/16",
    ),
    "url": (described(endpoint="https://k8s.example.org"), "an address or a DNS name alone, without https:// and port"),
    "port": (described(endpoint="10.0.0.9:6443"), "which the API's certificate cannot have"),
    "loopback": (described(endpoint="127.0.0.1"), "which the API's certificate cannot have"),
    "half an address": (described(endpoint="10.0.0"), "which the API's certificate cannot have"),
    "a worker": (described(endpoint="10.0.0.4"), "is the worker k8s-prod-w01, where no API answers"),
    "mode": (described(endpoint_mode="metallb"), "is 'metallb'; it is one of none, haproxy, kube-vip"),
    "kube-vip's own": (described(endpoint="10.0.0.2", **KUBE_VIP), "is k8s-prod-cp02 itself; kube-vip needs"),
    "no shared address": (described() | {LB: TWO}, "several load balancers and no shared address"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    given, said = REFUSED[case]
    (found,) = clusters(given)
    assert said in " ".join(problems(found))


def test_one_address_twice():
    given = described()
    given["hosts"]["k8s-prod-w01"]["address"] = "10.0.0.2"
    (found,) = clusters(given)
    assert problems(found) == [
        "k8s-prod-cp02 and k8s-prod-w01 have the same address 10.0.0.2 in the inventory"
    ]
