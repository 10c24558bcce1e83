"""The K3s stand-in as a cluster of several servers, in namespaces instead of machines: joining, leaving, refusals.

The tests build on each other in their order: one cluster, which grows to three servers and an agent.
"""

import json
from collections.abc import Iterator

import pytest

from tests.helpers.k3s_nodes import Node, Site, site, until

TOKEN = "a-short-token"
URL = "https://10.77.0.11:6443"


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("k3s")) as made:
        yield made


@pytest.fixture(scope="module")
def cp01(network: Site) -> Node:
    node = network.node("cp01", 11)
    config = node.folder / "etc/rancher/k3s/config.yaml"
    config.parent.mkdir()
    config.write_text(f"cluster-init: true\ntoken: {TOKEN}\ntls-san: [prod.lan]\nsecrets-encryption: true\n")
    return node.start("server").up()


@pytest.fixture(scope="module")
def cp02(network: Site) -> Node:
    return network.node("cp02", 12)


@pytest.fixture(scope="module")
def w01(network: Site) -> Node:
    return network.node("w01", 21)


def joining(node: Node, *args: str, token: str = TOKEN) -> Node:
    return node.start("server", f"--server={URL}", f"--token={token}", "--secrets-encryption", *args)


def refused(node: Node) -> str:
    """What a server said that ended by itself."""
    until(node.ended, 60, lambda: f"it ends:\n{node.tail()}")
    assert node.process.returncode == 1
    return node.tail()


def names(node: Node) -> list[str]:
    return sorted(member["name"].rpartition("-")[0] for member in node.members())


def condition(node: Node, name: str, kind: str) -> str | None:
    found = node.get("node", name)["status"]["conditions"]
    return next((one["status"] for one in found if one["type"] == kind), None)


def ask(asker: Node, node: Node, path: str, user: str = "") -> tuple[int, str]:
    """The answer of a node's port 6443, asked from another."""
    argv = ["curl", "-sk", "--max-time", "5", "-w", "\n%{http_code}", f"https://{node.address}:6443{path}"]
    text, _, code = asker.run(*argv, *(["-u", user] if user else [])).rpartition("\n")
    return int(code), text


def test_the_first_server(cp01: Node):
    assert names(cp01) == ["cp01"]
    assert cp01.kubectl("get", "--raw", "/readyz") == "ok"
    assert json.loads(cp01.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.34.4+k3s1"
    node = cp01.get("node", "cp01")
    assert node["metadata"]["labels"]["node-role.kubernetes.io/etcd"] == "true"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.34.4+k3s1"
    until(lambda: condition(cp01, "cp01", "EtcdIsVoter") == "True", 15, "cp01 is a voting member")
    token = cp01.run("cat", "/var/lib/rancher/k3s/server/token")
    assert token.startswith("K10") and token.endswith(f"::server:{TOKEN}")
    assert cp01.run("stat", "-Lc", "%a", "/var/lib/rancher/k3s/server/node-token") == "600"


ASKED = [
    ("/ping", "", 200, "pong"),
    ("/cacerts", "", 200, "BEGIN CERTIFICATE"),
    ("/readyz", "", 401, "Unauthorized"),
    ("/readyz", f"server:{TOKEN}", 401, "Unauthorized"),
    ("/db/info", "", 403, "forbidden"),
    ("/db/info", "server:wrong", 401, "not authorized"),
    ("/db/info", f"node:{TOKEN}", 403, "forbidden"),
    ("/db/info", f"server:{TOKEN}", 200, '"peerURLs":["https://10.77.0.11:2380"]'),
    ("/v1-k3s/config", f"node:{TOKEN}", 200, "ClusterIPRanges"),
    ("/v1-k3s/server-bootstrap", f"node:{TOKEN}", 403, "forbidden"),
    ("/v1-k3s/server-bootstrap", f"server:{TOKEN}", 200, "ServerCAKey"),
    ("/v1-k3s/client-kubelet.crt", f"node:{TOKEN}", 400, "node name or node password not set"),
]


@pytest.mark.parametrize(("path", "user", "code", "said"), ASKED)
def test_what_the_supervisor_answers(cp01: Node, w01: Node, path: str, user: str, code: int, said: str):
    found, text = ask(w01, cp01, path, user)
    assert (found, said in text) == (code, True), text


def test_nobody_says_who_he_is_by_headers(cp01: Node, w01: Node):
    url = f"{URL}/api/v1/namespaces/kube-system/secrets"
    said = w01.run("curl", "-sk", "-H", "X-Remote-User: root", "-H", "X-Remote-Group: system:masters", url)
    assert json.loads(said)["code"] == 401


REFUSED = [
    ((), "wrong", "server-bootstrap: 401 Unauthorized"),
    (
        (),
        f"K10{'0' * 64}::server:{TOKEN}",
        "token CA hash does not match the Cluster CA certificate hash: 000",
    ),
    ((), "K10abc::server:x", "invalid token CA hash length"),
    (("--service-cidr=10.50.0.0/16",), TOKEN, "critical configuration value mismatch between servers"),
]


@pytest.mark.parametrize(("args", "token", "said"), REFUSED)
def test_a_server_that_does_not_fit_is_refused(
    cp01: Node, cp02: Node, args: tuple[str], token: str, said: str
):
    cp02.log.write_text("")
    assert said in refused(joining(cp02, *args, token=token))
    assert names(cp01) == ["cp01"]


def test_a_server_joins_as_a_learner_and_is_promoted(cp01: Node, cp02: Node):
    full = cp01.run("cat", "/var/lib/rancher/k3s/server/token")
    joining(cp02, token=full).up()
    assert names(cp01) == ["cp01", "cp02"]
    assert cp01.said("Promoted learner cp02-")
    assert cp02.run("cat", "/var/lib/rancher/k3s/server/token") == full
    until(lambda: condition(cp01, "cp02", "EtcdIsVoter") == "True", 15, "cp02 is a voting member")


def test_an_agent_joins(cp01: Node, w01: Node):
    (w01.folder / "var/lib/rancher/token").write_text(TOKEN + "\n")
    args = (f"--server={URL}", "--token-file=/var/lib/rancher/token", "--node-label=tier=web")
    w01.start("agent", *args).up()
    assert cp01.get("node", "w01")["metadata"]["labels"]["tier"] == "web"
    until(lambda: condition(cp01, "w01", "Ready") == "True", 15, "w01 is Ready")
    assert cp01.get("secret", "-n=kube-system", "w01.node-password.k3s")["immutable"]
    # With a kubelet's rights and no more.
    kubelet = "--cert /var/lib/rancher/k3s/agent/client-kubelet.crt --key /var/lib/rancher/k3s/agent/client-kubelet.key"
    code = "curl -sk -o /dev/null -w '%{http_code}' " + f"{kubelet} {URL}/api/v1/"
    assert w01.run("sh", "-c", f"{code}nodes/w01; {code}namespaces/kube-system/secrets") == "200403"


def test_pods_are_said_to_run(cp01: Node):
    cp01.kubectl("create", "deployment", "web", "--image=nothing", "--replicas=3")
    cp01.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    nodes = {one["spec"]["nodeName"] for one in cp01.get("pods")["items"]}
    assert "w01" in nodes
    cp01.kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    assert cp01.get("pods")["items"] == []


def test_a_machine_made_anew_needs_its_old_node_gone(cp01: Node, w01: Node):
    w01.make()
    w01.start("agent", f"--server={URL}", f"--token={TOKEN}")
    until(lambda: w01.said("Node password rejected, duplicate hostname"), 20, "w01 is refused")
    assert not w01.ended()
    cp01.kubectl("delete", "node", "w01", "--timeout=20s")
    assert "NotFound" in cp01.kubectl("get", "secret", "-n=kube-system", "w01.node-password.k3s", check=False)
    w01.up(30)


def test_a_server_made_anew_too(cp01: Node, cp02: Node):
    """Its place in etcd is taken until its node is deleted; K3s then removes the member."""
    cp03 = joining(cp02.site.node("cp03", 13)).up()  # without it etcd loses its quorum with cp02
    cp02.make()
    assert "duplicate node name found, please use a unique name for this node" in refused(joining(cp02))
    assert names(cp01) == ["cp01", "cp02", "cp03"]
    cp01.kubectl("delete", "node", "cp02", "--timeout=30s")
    assert names(cp03) == ["cp01", "cp03"]
    joining(cp02).up()
    assert names(cp01) == ["cp01", "cp02", "cp03"]


def test_etcd_data_decides_not_the_arguments(cp01: Node, cp02: Node):
    """Started again as if it were the first of a cluster: it stays a member of the one that it has on its disk."""
    cp02.stop()
    assert names(cp01) == ["cp01", "cp02", "cp03"]
    cp02.start("server", "--cluster-init", f"--token={TOKEN}", "--secrets-encryption").up()
    assert names(cp02) == ["cp01", "cp02", "cp03"]
    assert len(cp02.get("nodes")["items"]) == 4


def test_another_token_is_refused(cp02: Node):
    cp02.stop()
    cp02.log.write_text("")
    said = refused(cp02.start("server", "--token=another", "--secrets-encryption"))
    assert "bootstrap data already found and encrypted with different token" in said
