"""Which cluster a context is for: asked of a real API, kept in a real Vault, read by the real kubectl."""

import json
import subprocess
from types import SimpleNamespace

import pytest
import yaml

import update_kubeconfig
from fleet.clusters import current, server, yaml_edit, yaml_parse
from fleet.clusters.kubeconfig import Edit
from fleet.clusters.vault import Store
from fleet.talos import access
from lab import builds
from tests.helpers import bare_cluster, vault_server

OTHER = "00000000-0000-4000-8000-000000000000"
HAND = """\
apiVersion: v1
kind: Config
clusters:   # by hand
- cluster: {server: "https://home:6443", extensions: [{name: minikube.sigs.k8s.io, extension: {version: v1}}]}
  name: home
contexts:
- context: {cluster: home, user: home}
  name: k8s-home
users:
- name: home
  user: {token: HOME}
current-context: k8s-home
"""


@pytest.fixture(scope="module")
def vault():
    with vault_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with bare_cluster.running(tmp_path_factory.mktemp("cluster")) as one:
        yield one


@pytest.fixture(scope="module")
def uid(cluster):
    return cluster.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")


@pytest.fixture
def record(vault, cluster, monkeypatch, tmp_path, capsys):
    """Store the cluster's kubeconfig as k8s-dev; what was printed, and what is then in Vault."""
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    for name in ("GITHUB_ACTIONS", "VAULT_NAMESPACE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(server, "_is_local", lambda _: False)  # where the API of this test is
    vault.write(KUBECONFIG=HAND)
    file = tmp_path / "k3s.yaml"

    def run(*options, change=lambda data: None, code=0):
        data = cluster.kubeconfig("default")
        change(data)
        file.write_text(yaml.safe_dump(data))
        words = ["--kubeconfig", str(file), "--inventory-name=k8s-dev", "--address=127.0.0.1", *options]
        assert update_kubeconfig.main(words) == code
        text = vault.read()[0]["KUBECONFIG"]
        return capsys.readouterr(), text

    return run


def recorded(text):
    return current.recorded(yaml.safe_load(text), "k8s-dev")


def rewrite(vault, text, uid):
    """Vault's kubeconfig with another uid, or none, for k8s-dev; the text."""
    document = yaml_parse.parse(text, "it")
    edit = current.identified(Edit(document.data, None, []), document.data, "k8s-dev", uid or OTHER)
    if not uid:
        edit = Edit(current._marked(document.data, "k8s-dev", None), None, [])
    text = yaml_edit.render(document, edit.data)
    vault.write(KUBECONFIG=text)
    return text


def test_the_uid_is_kept_and_nothing_else_changes(record, vault, uid):
    out, text = record()
    assert recorded(text) == uid and "changed: context k8s-dev" in out.out
    assert text.startswith(HAND[: HAND.index("contexts:")])
    version = vault.read()[1]
    for options in ((), ("--keep",)):
        out, again = record(*options)
        assert (again, vault.read()[1]) == (text, version) and "unchanged" in out.out


def test_kubectl_reads_it_and_leaves_it_there(record, vault, uid, tmp_path):
    _, text = record()
    file = tmp_path / "config"
    file.write_text(text)
    kubectl = [builds.entry("kubernetes") / "kubectl", "--kubeconfig", file]
    done = subprocess.run(
        [*kubectl, "--context=k8s-dev", "get", "ns", "kube-system", "-o", "name"],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("namespace/kube-system\n", "")
    subprocess.run([*kubectl, "config", "use-context", "k8s-dev"], check=True, capture_output=True)
    assert recorded(file.read_text()) == uid, "kubectl wrote the file anew"
    shown = subprocess.run(
        [*kubectl, "config", "view", "--raw", "-o", "json"], capture_output=True, check=True
    )
    assert {"name": "proxmox-gitops", "extension": {"uid": uid}} in [
        one for entry in json.loads(shown.stdout)["clusters"] for one in entry["cluster"]["extensions"]
    ]


@pytest.mark.parametrize("options", [(), ("--keep",)])
def test_what_is_missing_is_added(options, record, vault, uid):
    _, text = record()
    bare = rewrite(vault, text, None)
    assert recorded(bare) is None
    out, again = record(*options)
    assert again == text and "\nnotice" not in out.err and "another cluster" not in out.err


@pytest.mark.parametrize("options", [(), ("--keep",)])
def test_a_cluster_that_was_made_again_is_told(options, record, vault, uid):
    _, text = record()
    rewrite(vault, text, OTHER)
    out, again = record(*options)
    assert again == text
    assert (
        f"k8s-dev is another cluster than before: the uid of its kube-system was {OTHER} and is {uid}"
        in out.err
    )


def away(data):
    data["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"


def test_an_api_that_is_away(record, vault, uid, cluster):
    _, text = record(change=away)
    assert recorded(text) is None, "stored without"
    kept = rewrite(vault, text, uid)
    _, again = record(change=away)
    assert (again, recorded(again)) == (kept, uid), "server and CA are the same"
    cluster.switch.off()
    try:
        _, text = record()
        assert recorded(text) is None, "it is elsewhere now, where nobody answered"
    finally:
        cluster.switch.on()


def test_a_machine_does_not_say_itself_which_cluster_it_is(record, uid):
    def claim(data):
        given = [{"name": "proxmox-gitops", "extension": {"uid": OTHER}}]
        data["clusters"][0]["cluster"]["extensions"] = given

    out, text = record(change=claim, code=1)
    assert text == HAND and "sets cluster.extensions, but a machine may only give" in out.err
    _, text = record("--allow-exec", change=claim)
    assert recorded(text) == uid

    def claim_and_go(data):
        claim(data)
        away(data)

    _, text = record("--allow-exec", change=claim_and_go)
    assert recorded(text) is None


def test_a_talos_cluster_that_was_made_again_of_its_secrets(record, vault, uid, cluster, monkeypatch):
    """Its address, its CA and even the certificate in Vault are as before: only its identity is another."""
    monkeypatch.setattr(access, "RENEW", 0)
    _, text = record()
    known = yaml.safe_load(text)["clusters"][1]["cluster"]
    talos = SimpleNamespace(name="k8s-dev", endpoint="127.0.0.1", url=known["server"])
    bundle = SimpleNamespace(kubernetes_authority=known["certificate-authority-data"])

    def publish(dry_run=False):
        return access.publish(talos, bundle, None, Store(), dry_run)

    assert publish() == (False, "context k8s-dev in Vault is good")
    for before in (OTHER, None):
        old = rewrite(vault, text, before)
        assert publish(dry_run=True).changed and vault.read()[0]["KUBECONFIG"] == old
        done = publish()
        assert done.changed and vault.read()[0]["KUBECONFIG"] == text
        assert (f"was {OTHER} and is {uid}" in done.message) == bool(before)
        assert not publish().changed
    cluster.switch.off()
    try:
        assert not publish().changed
    finally:
        cluster.switch.on()


@pytest.mark.parametrize(
    "extensions",
    [None, "x", {}, [None, 7], [{"name": "proxmox-gitops"}], [{"name": "proxmox-gitops", "extension": "x"}],
     [{"name": "proxmox-gitops", "extension": {"uid": "not-a-uid"}}],
     [{"name": "proxmox-gitops", "extension": {"uid": 7}}], [{"name": "other", "extension": {"uid": OTHER}}]],
)  # fmt: skip
def test_what_is_no_record(extensions):
    data = yaml.safe_load(HAND)
    data["clusters"][0]["cluster"]["extensions"] = extensions
    assert current.recorded(data, "k8s-home") is None
    edit = current.identified(Edit(data, None, []), data, "k8s-home", OTHER)
    assert current.recorded(edit.data, "k8s-home") == OTHER and edit.notes == []
    assert data["contexts"][0] is edit.data["contexts"][0]
