"""What the K3s stand-in does in place of K3s' load balancer of Services and its provisioner of volumes."""

import json
from collections.abc import Iterator

import pytest

from tests.helpers.k3s_nodes import until
from tests.helpers.workload_cluster import WorkloadCluster, cluster

OBJECTS = """
apiVersion: v1
kind: Service
metadata: {name: gateway}
spec: {type: LoadBalancer, ports: [{port: 80}], selector: {app: gateway}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: store}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[WorkloadCluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as one:
        (one.folder / "objects.yaml").write_text(OBJECTS)
        one.kubectl("apply", "-f", str(one.folder / "objects.yaml"))
        yield one


def read(made: WorkloadCluster, *args: str) -> dict:
    return json.loads(made.kubectl("get", *args, "-o", "json"))


def test_a_load_balancer_has_the_nodes_address(made: WorkloadCluster):
    found = until(
        lambda: read(made, "svc", "gateway")["status"]["loadBalancer"].get("ingress"), 30, "address"
    )
    assert [one["ip"] for one in found] == [made.node.address]


def test_a_volume_is_made_for_a_claim_and_goes_with_it(made: WorkloadCluster):
    until(lambda: read(made, "sts", "store")["status"].get("readyReplicas") == 1, 60, "the set is ready")
    assert read(made, "pvc", "data-store-0")["status"]["phase"] == "Bound"
    made.kubectl("delete", "sts", "store")
    made.kubectl("delete", "pvc", "data-store-0")
    until(lambda: not read(made, "pv")["items"], 30, "the volume is gone")
