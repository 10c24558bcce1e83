"""The K3s stand-in on bad days, in namespaces instead of machines: servers stop, go, lose data, are restored.

The tests build on each other in their order: a single server, which becomes a cluster of three.
"""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.helpers.k3s_nodes import Node, Site, sh, site, until

TOKEN, URL = "a-short-token", "https://10.77.0.11:6443"
SERVER = "/var/lib/rancher/k3s/server"
JOIN = ("server", f"--server={URL}", f"--token={TOKEN}")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("k3s")) as made:
        yield made


@pytest.fixture(scope="module")
def nodes(network: Site) -> dict[str, Node]:
    return {
        name: network.node(name, last)
        for name, last in (("cp01", 11), ("cp02", 12), ("cp03", 13), ("w01", 21))
    }


def k3s(node: Node, *args: str, check: bool = True) -> str:
    return node.run("/var/lib/rancher/bin", *args, check=check)


def names(node: Node) -> list[str]:
    return sorted(member["name"].rpartition("-")[0] for member in node.members())


def ready(asked: Node, name: str) -> str:
    conditions = asked.get("node", name)["status"]["conditions"]
    return next(one["status"] for one in conditions if one["type"] == "Ready")


def anew(node: Node, *args: str) -> Node:
    """Started, and up in what it says from now on."""
    node.log.write_text("")
    return node.start(*args).up()


def test_a_single_server_is_light(nodes: dict[str, Node]):
    cp01 = nodes["cp01"]
    began = time.monotonic()
    cp01.start("server", f"--token={TOKEN}").up()
    assert time.monotonic() - began < 60
    running = sh("ps", "-o", "comm=", "--ppid", str(cp01.main())).split()
    assert "kube-apiserver" in running and "kube-controller" not in " ".join(running)
    assert cp01.get("nodes")["items"] == []
    cp01.kubectl("create", "configmap", "from-single", "--from-literal=a=b")
    assert "etcd datastore disabled" in k3s(cp01, "etcd-snapshot", "save", check=False)
    # It is no etcd cluster, so nobody can join it.
    nodes["cp02"].start(*JOIN)
    until(nodes["cp02"].ended, 30, "cp02 ends")
    assert "server-bootstrap: 400 Bad Request" in nodes["cp02"].tail()


def test_a_single_server_becomes_the_first_of_a_cluster(nodes: dict[str, Node]):
    cp01 = nodes["cp01"]
    cp01.stop()
    anew(cp01, "server", f"--token={TOKEN}", "--cluster-init")
    assert cp01.said("Migrating content from sqlite to etcd")
    assert cp01.get("configmap", "from-single")["data"] == {"a": "b"}
    assert "state.db.migrated" in cp01.run("ls", f"{SERVER}/db")
    assert names(cp01) == ["cp01"]


def test_a_server_that_is_killed_while_it_joins(nodes: dict[str, Node]):
    cp01, cp02 = nodes["cp01"], nodes["cp02"]
    cp02.make()
    cp02.start(*JOIN)
    until(lambda: cp02.said("Adding member cp02-"), 30, "cp02 asks to be added")
    cp02.stop(signal.SIGKILL)
    anew(cp02, *JOIN)
    assert names(cp01) == ["cp01", "cp02"]
    anew(nodes["cp03"], *JOIN)
    nodes["w01"].start("agent", f"--server={URL}", f"--token={TOKEN}").up()
    assert names(cp01) == ["cp01", "cp02", "cp03"]


def test_one_server_away(nodes: dict[str, Node]):
    """The others go on, also the agent, which was only told of the one that is away now."""
    cp01, cp02, w01 = nodes["cp01"], nodes["cp02"], nodes["w01"]
    known = w01.folder / "var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json"
    until(lambda: known.exists() and known.read_text().count(":6443") > 3, 30, "the agent knows all servers")
    cp01.stop(signal.SIGKILL)
    until(lambda: ready(cp02, "cp01") != "True", 60, "cp01 is not Ready any more")
    assert ready(cp02, "w01") == "True"
    cp02.kubectl("create", "configmap", "meanwhile")
    w01.stop()
    anew(w01, "agent", f"--server={URL}", f"--token={TOKEN}")
    anew(cp01, "server", f"--token={TOKEN}", "--cluster-init")
    assert cp01.get("configmap", "meanwhile")
    until(lambda: ready(cp02, "cp01") == "True", 30, "cp01 is Ready again")


def test_a_removed_member_joins_anew_when_it_starts_again(nodes: dict[str, Node]):
    cp01, cp03 = nodes["cp01"], nodes["cp03"]
    cp01.kubectl("delete", "node", "cp03", "--timeout=30s")
    assert names(cp01) == ["cp01", "cp02"]
    until(cp03.ended, 60, "cp03 ends")
    assert cp03.said("This node has been removed from the cluster")
    anew(cp03, *JOIN)
    assert cp03.said("tombstone file has been detected")
    assert names(cp01) == ["cp01", "cp02", "cp03"]


def test_snapshots(nodes: dict[str, Node]):
    cp01 = nodes["cp01"]
    cp01.kubectl("create", "configmap", "before")
    said = k3s(cp01, "etcd-snapshot", "save", "--name=mine", check=False)
    assert "Snapshot mine-cp01-" in said
    listed = k3s(cp01, "etcd-snapshot", "ls").splitlines()
    assert listed[0].split() == ["Name", "Location", "Size", "Created"]
    assert (
        listed[1].startswith("mine-cp01-")
        and "file:///var/lib/rancher/k3s/server/db/snapshots/mine" in listed[1]
    )
    cp01.kubectl("create", "configmap", "after")


def test_the_cluster_is_restored_on_one_server(nodes: dict[str, Node]):
    cp01, cp02, cp03 = nodes["cp01"], nodes["cp02"], nodes["cp03"]
    for one in (cp01, cp02, cp03):
        one.stop()
    (name,) = cp01.run("ls", f"{SERVER}/db/snapshots").split()
    restore = ("--cluster-reset", f"--cluster-reset-restore-path={SERVER}/db/snapshots/{name}")
    assert "cannot perform cluster-reset while server URL is set" in k3s(cp01, *JOIN, *restore, check=False)
    assert "snapshot path does not exist: /no" in k3s(
        cp01, "server", "--cluster-reset", "--cluster-reset-restore-path=/no", check=False
    )
    said = k3s(cp01, "server", f"--token={TOKEN}", *restore, check=False)
    assert "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now" in said
    assert "was previously reset, please remove" in k3s(cp01, "server", "--cluster-reset", check=False)
    anew(cp01, "server", f"--token={TOKEN}")
    assert names(cp01) == ["cp01"]
    assert cp01.get("configmap", "before")
    assert "NotFound" in cp01.kubectl("get", "configmap", "after", check=False)
    assert "reset-flag" not in cp01.run("ls", f"{SERVER}/db")
    # The others have data of the old cluster, which must go before they join; their nodes are still there.
    cp02.run("rm", "-r", f"{SERVER}/db")
    anew(cp02, *JOIN)
    assert names(cp01) == ["cp01", "cp02"]


def test_a_new_machine_is_restored_from_the_snapshot(nodes: dict[str, Node]):
    """The authorities are in the snapshot, encrypted with the token: with another one nothing is restored."""
    cp01, cp02 = nodes["cp01"], nodes["cp02"]
    ca = cp01.run("cat", f"{SERVER}/tls/server-ca.crt")
    (name,) = cp01.run("ls", f"{SERVER}/db/snapshots").split()
    data = (cp01.folder / f"{SERVER[1:]}/db/snapshots/{name}").read_bytes()
    cp02.stop()
    cp01.make()
    (cp01.folder / "var/lib/rancher/saved").write_bytes(data)
    cp01.fetch()
    restore = ("--cluster-reset", "--cluster-reset-restore-path=/var/lib/rancher/saved")
    assert "encrypted with different token" in k3s(cp01, "server", "--token=other", *restore, check=False)
    cp01.run("rm", "-r", "/var/lib/rancher/k3s")
    k3s(cp01, "server", f"--token={TOKEN}", *restore)
    anew(cp01, "server", f"--token={TOKEN}")
    assert cp01.run("cat", f"{SERVER}/tls/server-ca.crt") == ca
    assert cp01.get("configmap", "before")
    assert cp01.kubectl("get", "--raw", "/readyz") == "ok"


def test_snapshots_by_the_clock(nodes: dict[str, Node]):
    cp01 = nodes["cp01"]
    cp01.stop()
    schedule = ("--etcd-snapshot-schedule-cron=@every 3s", "--etcd-snapshot-retention=2")
    anew(cp01, "server", f"--token={TOKEN}", *schedule)
    until(lambda: cp01.said("Removing local snapshot file"), 30, "the third is one too many")
    assert len(k3s(cp01, "etcd-snapshot", "ls").splitlines()) in (3, 4)
