"""The playbook k8s-ha.yml on machines: a cluster is made, grows, loses machines, is upgraded, and is never made twice.

The tests build on each other in their order: the machines of one cluster, from the first push on.
"""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import ROOT, LabError, network, user, vault
from tests.helpers.plays import Machine, Play, inventory, running

CP01, CP02, CP03 = (Machine(f"k8s-prod-cp0{n}", f"192.168.1.4{n}", 140 + n) for n in (1, 2, 3))
W01 = Machine("k8s-prod-w01", "192.168.1.44", 144)
ALL = (CP01, CP02, CP03, W01)
SECRET = f"{vault.MOUNT}/data/cluster-bootstrap/k8s-prod"
RAISED = {"K3S_VERSION": "v1.34.5+k3s1"}
# Everything of K3s, as on a machine that was made again.
GONE = (
    "sudo k3s-killall.sh; sudo rm -rf /var/lib/rancher /etc/rancher /etc/systemd/system/k3s* /usr/local/bin/k3s*;"
    " sudo systemctl daemon-reload"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("ha"), ALL) as made:
        known(made, CP01)
        yield made


def known(home: Path, *machines: Machine, variables: str = "") -> None:
    """What the inventory has from now on."""
    (home / "k8s.ini").write_text(inventory(machines, variables))


def play(home: Path, *machines: Machine, playbook: str = "k8s-ha", options: tuple = (), **env: str) -> Play:
    return Play(home, playbook, ",".join(one.name for one in machines), *options, **env)


def said(done: Play) -> str:
    return " ".join(done.output.split())


def secret(method: str = "GET", **data: str) -> dict:
    with network.inside():
        answer = vault.request(method, SECRET, {"data": data} if data else None)
    return answer["data"]["data"] if method == "GET" else {}


def nodes(through: Machine = CP01) -> dict[str, tuple[str, str]]:
    """Each Node's state and version."""
    lines = through.ssh("sudo k3s kubectl get nodes --no-headers").splitlines()
    return {words[0]: (words[1], words[-1]) for words in map(str.split, lines)}


def cluster_uid(through: Machine) -> str:
    return through.ssh("sudo k3s kubectl get namespace kube-system -o jsonpath={.metadata.uid}")


def at_once(*calls: Callable[[], Play]) -> list[Play]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.2)


def started(machine: Machine) -> str:
    return machine.ssh("systemctl show k3s k3s-agent -P ExecMainStartTimestampMonotonic")


def test_a_check_of_a_new_cluster_writes_nothing(home: Path):
    done = play(home, CP01, options=("--check",))
    assert done.code == 0, done.output
    assert CP01.ssh("find /etc/rancher /var/lib/rancher /usr/local/bin -type f", check=False) == ""
    assert user.kubeconfig() == ({}, 0)


def test_vault_away_between_token_and_start(home: Path):
    """The machine stays as it is, and the next run goes on with the same token."""
    denied = play(home, CP01, VAULT_TOKEN="hvs.revoked")
    assert denied.code == 2 and "Vault does not allow this token" in said(denied)
    with ThreadPoolExecutor() as pool:
        away = pool.submit(play, home, CP01)
        until(has_token)
        vault.seal()
        done = away.result()
    vault.unseal()
    assert done.code == 2 and "is not ready (503): Vault is sealed" in said(done)
    assert CP01.ssh("ls /etc/rancher", check=False) == ""
    assert secret()["starter"] == "k8s-prod-cp01" and len(secret()["token"]) == 64


def has_token() -> bool:
    try:
        return "token" in secret()
    except LabError:  # nobody has written it yet
        return False


def test_two_plays_at_once_start_one_cluster(home: Path):
    token = secret()["token"]
    for done in at_once(lambda: play(home, CP01), lambda: play(home, CP01)):
        assert done.code == 0, done.output
    kept = secret()
    assert kept["token"] == token and kept["server_token"].startswith("K10") and "starter" not in kept
    assert len(etcd_members(CP01)) == 1


def etcd_members(through: Machine) -> list[str]:
    tls = "/var/lib/rancher/k3s/server/tls/etcd"
    return through.ssh(
        "sudo ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379"
        f" --cacert={tls}/server-ca.crt --cert={tls}/client.crt --key={tls}/client.key member list"
    ).splitlines()


def test_one_server_is_a_cluster_and_a_second_run_changes_nothing(home: Path):
    assert play(home, CP01).changed() == 0
    assert nodes() == {"k8s-prod-cp01": ("Ready", "v1.34.4+k3s1")}
    assert user.kubectl("k8s-prod", "get", "--raw", "/readyz") == "ok"
    assert CP01.ssh("sudo stat -c %a /etc/rancher/k3s/config.yaml") == "600"


def test_an_even_number_and_an_endpoint_that_no_certificate_can_have_are_refused(home: Path):
    known(home, CP01, CP02)
    assert "k8s-prod has 2 control planes in the inventory" in play(home, CP02).refused()
    known(home, *ALL)
    options = ("-e", "k8s_ha_endpoint=https://api.example.org")
    assert "which the API's certificate cannot have" in play(home, CP02, options=options).refused()


def test_it_grows_to_three_servers_and_a_worker(home: Path):
    """The first is not played, and so not touched; of two runs at once neither undoes what the other did."""
    uid, before = cluster_uid(CP01), started(CP01)
    assert play(home, CP02).changed() > 0
    joining = (CP02, CP03, W01)
    for done in at_once(lambda: play(home, *joining), lambda: play(home, *joining)):
        assert done.code == 0, done.output
    assert len(etcd_members(CP01)) == 3
    assert nodes() == {one.name: ("Ready", "v1.34.4+k3s1") for one in ALL}
    assert (cluster_uid(CP03), started(CP01)) == (uid, before)
    # Now the first one's certificate gets the names of the others.
    assert play(home, *ALL).changed() > 0
    assert play(home, *ALL).changed() == 0
    assert play(home, *ALL, options=("--check",)).changed() == 0


def test_secrets_are_in_no_output(home: Path):
    values = secret()
    for output in Play.outputs:
        assert values["token"] not in output and values["server_token"] not in output


def test_servers_are_upgraded_and_never_made_older(home: Path):
    assert play(home, *ALL, **RAISED).changed() > 0
    assert {version for _, version in nodes().values()} == {"v1.34.5+k3s1"}
    older = play(home, W01)
    assert older.changed() == 0 and "newer than k3s_version v1.34.4+k3s1: it stays" in said(older)
    assert "more than one minor version" in play(home, W01, K3S_VERSION="v1.36.0+k3s1").refused()


def test_the_disk_of_the_first_server_is_lost(home: Path):
    """It joins what the others are, and starts no second cluster."""
    uid = cluster_uid(CP02)
    CP01.ssh(GONE, check=False)
    assert play(home, CP01, **RAISED).changed() > 0
    assert "cluster-init" not in CP01.ssh("sudo cat /etc/rancher/k3s/config.yaml")
    assert cluster_uid(CP01) == uid
    assert nodes(CP02) == {one.name: ("Ready", "v1.34.5+k3s1") for one in ALL}
    assert play(home, *ALL, **RAISED).changed() == 0


def test_no_server_is_stopped_while_etcd_needs_it(home: Path):
    CP03.ssh("sudo k3s-killall.sh", check=False)
    before = started(CP01)
    done = play(home, CP01, options=("-e", '{"k8s_ha_tls_sans": ["more.example.org"]}'), **RAISED)
    assert done.code == 2
    assert (
        "etcd has 3 members with a vote and needs 2 of them; without k8s-prod-cp01 there would be 1"
        in said(done)
    )
    assert started(CP01) == before
    CP03.ssh("sudo systemctl start k3s")
    assert play(home, *ALL, **RAISED).code == 0


def test_the_nightly_run_leaves_good_certificates_and_is_for_each_cluster_once(home: Path):
    before = user.kubeconfig()
    assert play(home, *ALL, playbook="renew").changed() == 0
    assert user.kubeconfig() == before
    assert [context["name"] for context in before[0]["contexts"]] == ["k8s-prod"]


def test_a_wrong_token_is_told_before_a_machine_is_touched(home: Path):
    right = secret()
    wrong = right["server_token"].rsplit(":", 1)[0] + ":of-another-cluster"
    secret("POST", token=right["token"], server_token=wrong)
    W01.ssh(GONE, check=False)
    done = play(home, W01, **RAISED)
    assert done.code == 2 and "The token is not the cluster's: restore the field server_token" in said(done)
    foreign = "K10" + "0" * 64 + "::server:" + right["token"]
    secret("POST", token=right["token"], server_token=foreign)
    assert "answers on port 6443 as a server of another cluster" in play(home, CP01, **RAISED).refused()
    secret("POST", **right)


def test_a_member_that_never_answers_holds_nobody_up(home: Path):
    """Its connections are open, and nothing comes back. The worker, which lost its disk, joins all the same."""
    later = "sudo systemd-run --quiet --timer-property=AccuracySec=100ms --on-active"
    for seconds, signal in ((1, "STOP"), (90, "CONT")):
        CP03.ssh(f"{later}={seconds} pkill -{signal} sshd")
    time.sleep(2)
    done = play(home, CP03, W01, **RAISED)
    assert done.code in (2, 4), done.output
    lost = {name: done.counted("failed")[name] + count for name, count in done.counted("unreachable").items()}
    assert lost == {"k8s-prod-cp03": 1, "k8s-prod-w01": 0}
    assert done.counted("changed")["k8s-prod-w01"] > 0
    assert nodes()["k8s-prod-w01"] == ("Ready", "v1.34.5+k3s1")
    until(lambda: CP03.ssh("echo up", check=False) == "up", 120)


def manual() -> list[str]:
    """The commands of the numbered steps in docs/clusters.md by which a snapshot is restored."""
    text = (ROOT / "docs/clusters.md").read_text().split("## Snapshots and restoring")[1]
    found = re.findall(r"^\d\. [^`]*`(sudo [^`]+)`", text, re.MULTILINE)
    assert len(found) == 5
    return found


def restore(snapshot: str, *others: Machine) -> None:
    """As the manual says, on the first control plane."""
    stop, alone, reset, start, forget = manual()
    for one in (CP01, *others):
        one.ssh(stop)
    CP01.ssh(alone)
    CP01.ssh(reset.replace("/path/of/the/snapshot", snapshot))
    CP01.ssh(start)
    for one in others:
        one.ssh(forget)


def test_a_snapshot_is_restored_as_the_manual_says(home: Path):
    CP01.ssh("sudo k3s etcd-snapshot save --name before-the-upgrade")
    CP01.ssh("sudo sh -c 'cp /var/lib/rancher/k3s/server/db/snapshots/before-the-upgrade* /root/kept'")
    CP01.ssh("sudo k3s kubectl create namespace after-it")
    restore("/root/kept", CP02, CP03)
    assert play(home, *ALL, **RAISED).changed() > 0
    assert len(etcd_members(CP03)) == 3
    assert nodes(CP03) == {one.name: ("Ready", "v1.34.5+k3s1") for one in ALL}
    assert "after-it" not in CP03.ssh("sudo k3s kubectl get namespaces")
    assert play(home, *ALL, **RAISED).changed() == 0


def test_every_server_is_gone_and_vault_knows_the_cluster(home: Path):
    """No second cluster is born by itself; when somebody says so, and then the snapshot makes it the old one."""
    uid, known_as = cluster_uid(CP01), secret()
    for one in ALL:
        one.ssh(GONE, check=False)
    assert "none of its control planes answers" in play(home, *ALL, **RAISED).refused()
    assert play(home, CP01, options=("-e", "k8s_ha_force_init=true"), **RAISED).changed() > 0
    assert cluster_uid(CP01) != uid
    assert secret()["token"] == known_as["token"]
    assert secret()["server_token"] != known_as["server_token"]
    restore("/root/kept")
    assert "answers on port 6443 as a server of another cluster" in play(home, CP01, **RAISED).refused()
    secret("POST", **known_as)  # vault kv rollback
    assert play(home, CP01, **RAISED).changed() > 0
    assert play(home, *ALL, **RAISED).changed() > 0
    assert cluster_uid(CP02) == uid
    assert nodes(CP02) == {one.name: ("Ready", "v1.34.5+k3s1") for one in ALL}
    assert user.kubectl("k8s-prod", "get", "--raw", "/readyz") == "ok"


def test_a_single_node_k3s_does_not_become_a_member(home: Path):
    single = Machine("k8s-test-cp01", W01.address, W01.vmid)
    known(home, single)
    W01.ssh(GONE, check=False)
    W01.ssh("curl -sf http://192.168.1.1:8080/install.sh | sudo sh -s - server --tls-san=k8s-test-cp01")
    assert "runs a K3s that Vault has no token of" in play(home, single).refused()
