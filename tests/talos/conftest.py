"""What the role gives talos_cluster.py, as data."""

import json
from collections.abc import Callable

import pytest

from fleet.talos import settings
from fleet.talos.cluster import Cluster

SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"
GIVEN = {
    "machines": {
        "talos-prod-w01": "10.0.0.21",
        "talos-prod-cp02": "10.0.0.12",
        "talos-prod-cp01": "10.0.0.11",
        "talos-dev-cp01": "10.0.1.11",
    },
    "balancers": {},
    "version": "v1.12.0",
    "kubernetes_version": "v1.34.4",
    "schematic": SCHEMATIC,
    "install_image": "",
    "install_disk": "/dev/sda",
    "endpoint": "",
    "vip": "",
    "vip_link": "",
    "patches": [],
    "control_plane_patches": [],
    "worker_patches": [],
    "force_bootstrap": False,
}


@pytest.fixture
def parse() -> Callable[..., Cluster]:
    """The cluster of talos-prod-cp01 with some of the variables changed."""
    return lambda **changed: settings.parse(json.dumps(GIVEN | changed), "talos-prod-cp01")
