"""The variables of the role as a cluster: what is filled in, and what is refused."""

import json
import re

import pytest

from fleet.findings import Fault
from fleet.talos import settings
from fleet.talos.cluster import version
from tests.talos.conftest import GIVEN, SCHEMATIC

TWO = {"haproxy-prod-1": "10.0.0.8", "haproxy-prod-2": "10.0.0.8", "haproxy-other": "10.0.0.9"}


def test_the_members_are_those_of_the_name_control_planes_first(parse):
    machines = {f"talos-prod-cp{number}": f"10.0.0.{number}" for number in (10, 2, 1)}
    cluster = parse(machines=GIVEN["machines"] | machines)
    names = [node.name for node in cluster.nodes]
    assert names == ["talos-prod-cp01", "talos-prod-cp1", "talos-prod-cp02", "talos-prod-cp2", "talos-prod-cp10",
                     "talos-prod-w01"]  # fmt: skip
    assert [node.control_plane for node in cluster.nodes] == [True] * 5 + [False]


def test_a_machine_whose_lease_is_not_known_yet_holds_nobody_up(parse):
    cluster = parse(machines=GIVEN["machines"] | {"talos-prod-w02": ""})
    assert "talos-prod-w02" not in [node.name for node in cluster.nodes]


@pytest.mark.parametrize(
    ("changed", "url"),
    [
        ({}, "https://10.0.0.11:6443"),
        ({"vip": "10.0.0.5"}, "https://10.0.0.5:6443"),
        ({"vip": "10.0.0.5", "endpoint": "api.example.org"}, "https://api.example.org:6443"),
        ({"balancers": TWO}, "https://10.0.0.8:6443"),
        ({"balancers": TWO, "vip": "10.0.0.5"}, "https://10.0.0.5:6443"),
        ({"balancers": dict.fromkeys(TWO, "10.0.0.5/24")}, "https://10.0.0.5:6443"),
        ({"endpoint": "2001:db8::1"}, "https://[2001:db8::1]:6443"),
    ],
)
def test_the_endpoint(parse, changed: dict, url: str):
    assert parse(**changed).url == url


@pytest.mark.parametrize(
    ("changed", "image"),
    [
        ({}, f"factory.talos.dev/nocloud-installer/{SCHEMATIC}:v1.12.0"),
        (
            {"schematic": "", "install_image": "reg.local:5000/installer:v1.12.0"},
            "reg.local:5000/installer:v1.12.0",
        ),
    ],
)
def test_the_installer_image(parse, changed: dict, image: str):
    assert parse(**changed).install_image == image


REFUSED = {
    "no version": ({"version": ""}, "talos_version is empty; give a release, such as v1.12.0"),
    "no release": ({"version": "latest"}, "talos_version is latest; give a release"),
    "too old": ({"version": "v1.11.5"}, "talos_version is v1.11.5; the role needs v1.12.0 or newer"),
    "Kubernetes": ({"kubernetes_version": "1.34"}, "talos_kubernetes_version is 1.34; give a release"),
    "URL": ({"endpoint": "https://10.0.0.5:6443"}, "without https:// and port"),
    "VIP": ({"vip": "api"}, "talos_vip is api, which is not an IP address"),
    "VIP of a machine": ({"vip": "10.0.0.12"}, "talos_vip is 10.0.0.12, the address of talos-prod-cp02"),
    "schematic": ({"schematic": "vanilla"}, "a schematic's ID has 64 hexadecimal digits"),
    "both": ({"install_image": "a/b:v1.12.0"}, "give either talos_schematic, of factory.talos.dev, or"),
    "neither": ({"schematic": ""}, "give either talos_schematic, of factory.talos.dev, or"),
    "tag": (
        {"schematic": "", "install_image": "a/b:v1.11.0"},
        "has the tag v1.11.0, and talos_version is v1.12.0; set both to one version",
    ),
    "image": ({"schematic": "", "install_image": "a b"}, "is not the reference of an image"),
    "patches": ({"patches": {"machine": {}}}, "talos_patches is not a list of patches"),
    "worker patch": ({"worker_patches": [7]}, "talos_worker_patches is not a list of patches"),
    "name": (
        {"machines": {"talos-prod-cp01": "cp01.local"}},
        "cp01.local in the inventory, which is not an IP",
    ),
    "no control plane": ({"machines": {"talos-prod-w01": "10.0.0.1"}}, "not among the machines of the Talos"),
    "double": (
        {"machines": GIVEN["machines"] | {"talos-prod-w02": "10.0.0.21"}},
        "talos-prod-w01 and talos-prod-w02 have the same address in the inventory, 10.0.0.21",
    ),
    "load balancers": (
        {"balancers": {"haproxy-prod-1": "10.0.0.8", "haproxy-prod-2": "10.0.0.9"}},
        "haproxy-prod-1, haproxy-prod-2 have no shared address (haproxy_vip)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(parse, case: str):
    changed, said = REFUSED[case]
    with pytest.raises(Fault, match=re.escape(said)):
        parse(**changed)


def test_a_cluster_without_a_control_plane():
    given = GIVEN | {"machines": {"talos-prod-w01": "10.0.0.21"}}
    with pytest.raises(
        Fault, match="talos-prod has no control plane in the inventory; add a machine talos-prod-cp01"
    ):
        settings.parse(json.dumps(given), "talos-prod-w01")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machines": []}', "nonsense"])
def test_input_that_the_role_did_not_write(text: str):
    with pytest.raises(Fault, match="not the JSON object that the role talos writes"):
        settings.parse(text, "talos-prod-cp01")


def test_versions_are_ordered():
    texts = ["v1.9.12", "1.12.0-rc.1", "v1.12.0", "v1.12.10"]
    found = [version(text, "x") for text in texts]
    assert found == sorted(found)
    assert [str(one) for one in found] == ["v1.9.12", "v1.12.0-rc.1", "v1.12.0", "v1.12.10"]
