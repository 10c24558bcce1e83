"""Clusters log in at a real Vault with tokens that a real kube-apiserver signs, and read what they may and no more."""

import base64
import concurrent.futures
import contextlib
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

import register_cluster
import update_kubeconfig
from fleet.contexts import keys
from fleet.findings import Fault
from fleet.vault import client
from fleet.vault.login import Login
from tests.helpers import kube_api, vault_server

STORE = "kv/data/cluster-secret-store/secrets"
SUBJECT = "system:serviceaccount:external-secrets:external-secrets"


class Site(NamedTuple):
    vault: vault_server.Vault
    clusters: dict[str, kube_api.Api]
    keys: dict[str, Path]  # the private keys with which the clusters sign

    def forget(self) -> None:
        """Vault as after the installation, with the clusters' kubeconfigs and a few secrets."""
        vault = self.vault
        for mount in vault.request("GET", "sys/auth")["data"]:
            if mount != "token/":
                vault.request("DELETE", f"sys/auth/{mount}")
        vault.request("PUT", "sys/policies/acl/workloads", {"policy": vault_server.WORKLOADS})
        parts = ("clusters", "users", "contexts")
        whole = {"apiVersion": "v1", "kind": "Config", **{part: [] for part in parts}}
        for one in self.clusters.values():
            for part in parts:
                whole[part] += one.kubeconfig[part]
        vault.write(KUBECONFIG=yaml.safe_dump(whole))
        for path in (
            "cluster-secret-store/secrets/grafana",
            "cluster-bootstrap/k8s-a",
            "playbooks/x",
            "else/x",
        ):
            vault.request("POST", f"kv/data/{path}", {"data": {"password": "a"}})

    def login(self, token: str, cluster: str = "k8s-a", role: str = "external-secrets") -> str:
        """Vault's token, or what Vault says."""
        try:
            answer = self.ask("POST", f"auth/clusters/{cluster}/login", "", {"role": role, "jwt": token})
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {error.read().decode()}"
        return answer["auth"]["client_token"]

    def ask(self, method: str, path: str, token: str, body: dict | None = None) -> dict:
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(
            f"{self.vault.url}/v1/{path}", data, {"X-Vault-Token": token}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def status(self, method: str, path: str, token: str, body: dict | None = None) -> int:
        try:
            self.ask(method, path, token, body)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return 200


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    with vault_server.running() as vault, kube_api.running(folder, ["k8s-a", "k8s-b"]) as clusters:
        keys = {name: kube_api.new_key(folder / f"{name}.key") for name in clusters}
        for name, one in clusters.items():
            one.sign(keys[name])
        yield Site(vault, clusters, keys)


@pytest.fixture
def site(running, monkeypatch, tmp_path):
    running.forget()
    monkeypatch.setenv("VAULT_ADDR", running.vault.url)
    monkeypatch.setenv("VAULT_TOKEN", running.vault.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(client, "PAUSES", (0.01,))
    for name in ("GITHUB_ACTIONS", "VAULT_NAMESPACE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)
    return running


@pytest.fixture
def run(site, capsys):
    def call(*argv: str) -> tuple[int, str, str]:
        code = register_cluster.main(list(argv))
        said = capsys.readouterr()
        assert site.vault.token not in said.out + said.err and "PRIVATE" not in said.out + said.err
        return code, said.out, said.err

    return call


def signed(key: Path, **claims) -> str:
    """A token by hand, with what no API server would put into one."""
    now = int(time.time())
    body = {
        "iss": kube_api.ISSUER,
        "sub": SUBJECT,
        "aud": ["vault"],
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, body | claims]
    text = ".".join(_url(json.dumps(part).encode()) for part in parts)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    return f"{text}.{_url(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_cluster_is_registered_once(site, run):
    assert (
        run("k8s-a", "--dry-run")[1] == "changed: mount, keys, role at auth/clusters/k8s-a, nothing written\n"
    )
    assert site.login(site.clusters["k8s-a"].token()).startswith("403")
    assert run("k8s-a") == (0, "changed: mount, keys, role at auth/clusters/k8s-a\n", "")
    assert run("k8s-a") == (0, "unchanged: auth/clusters/k8s-a\n", "")
    assert run("k8s-a", "--dry-run")[1] == "unchanged: auth/clusters/k8s-a, nothing written\n"
    assert site.login(site.clusters["k8s-a"].token()).startswith("hvs.")


def test_servers_of_one_cluster_register_it_at_once(site):
    found = keys.published(site.clusters["k8s-a"].kubeconfig, "k8s-a")
    for _ in range(3):
        site.forget()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: Login("k8s-a").register(found), range(4)))
        assert any("mount" in changed for changed in made)
        assert Login("k8s-a").register(found) == []


@pytest.mark.parametrize("before", range(7))
def test_an_answer_that_is_lost_is_asked_for_again(site, monkeypatch, before):
    """Of each request in turn: what was written may be there already when it is written again."""
    found = keys.published(site.clusters["k8s-a"].kubeconfig, "k8s-a")
    with vault_server.proxy(site.vault.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [*[None] * before, "lose the answer"]
        assert Login("k8s-a").register(found) == ["mount", "keys", "role"]
        assert Login("k8s-a").register(found) == [] == proxy.script


READS = {
    f"{STORE}/grafana": 200, "kv/metadata/cluster-secret-store/secrets?list=true": 200, "auth/token/lookup-self": 200,
    f"{STORE}/KUBECONFIG": 403, f"{STORE}/KUBECONFIG?version=1": 403, "kv/data/cluster-bootstrap/k8s-a": 403,
    "kv/metadata/cluster-secret-store/secrets/KUBECONFIG": 403, "kv/data/playbooks/x": 403, "kv/data/else/x": 403,
    "kv/subkeys/cluster-secret-store/secrets/KUBECONFIG": 403, "sys/auth": 403, "auth/clusters/k8s-a/config": 403,
}  # fmt: skip
# Other ways to write the forbidden path: Vault must not give it under any.
HIDDEN = (
    f"{STORE}/KUBECONFIG/", f"{STORE}//KUBECONFIG", f"{STORE}/x/../KUBECONFIG", f"{STORE}/./KUBECONFIG",
    f"{STORE}/%4BUBECONFIG", f"{STORE}%2FKUBECONFIG", f"{STORE}/KUBECONFIG%2F", f"{STORE}/KUBECONFIG%20",
    f"{STORE}/kubeconfig", f"{STORE}/../../cluster-bootstrap/k8s-a", f"{STORE}/KUBECONFIG//",
)  # fmt: skip


def test_a_workload_reads_its_secrets_and_no_more(site, run):
    assert run("k8s-a")[0] == 0
    token = site.login(site.clusters["k8s-a"].token())
    assert {path: site.status("GET", path, token) for path in READS} == READS
    for path in HIDDEN:
        with contextlib.suppress(urllib.error.HTTPError):
            assert not site.ask("GET", path, token).get("data"), path
    assert site.status("POST", f"{STORE}/grafana", token, {"data": {}}) == 403
    about = site.ask("GET", "auth/token/lookup-self", token)["data"]
    assert about["policies"] == ["workloads"] and 1100 < about["ttl"] <= 1200
    assert site.status("POST", "auth/token/revoke-self", token) == 200
    assert site.status("GET", f"{STORE}/grafana", token) == 403


def test_no_other_token_is_a_login(site, run):
    for name in site.clusters:
        assert run(name)[0] == 0
    own, key = site.clusters["k8s-a"], site.keys["k8s-a"]
    now = int(time.time())
    assert site.login(signed(key)).startswith("hvs.")
    for token, reason in {
        site.clusters["k8s-b"].token(): "no known key successfully validated",
        own.token(audience="https://kubernetes.default.svc"): "invalid audience",
        own.token(account="default"): "invalid subject",
        own.token(namespace="other"): "invalid subject",
        signed(key, exp=now - 120, iat=now - 900, nbf=now - 900): "token is expired",
        signed(key, iss="https://else"): "invalid issuer",
        signed(key, aud=[]): "audience",
        signed(kube_api.new_key(key.with_name("stolen"))): "no known key",
        "a.b.c": "illegal base64",
    }.items():
        said = site.login(token)
        assert said.startswith("400") and reason in said.replace("(aud)", "audience"), (reason, said)
    assert site.login(own.token(), role="other").startswith("400")
    assert site.login(own.token(), cluster="k8s-b").startswith("400")


def test_keys_that_change_are_taken_over(site, run, tmp_path):
    cluster, new = site.clusters["k8s-b"], kube_api.new_key(tmp_path / "new.key")
    run("k8s-b")
    before, old = cluster.token(), site.keys["k8s-b"]
    site.keys["k8s-b"] = new
    cluster.sign(new, old)
    assert site.login(cluster.token(), "k8s-b").startswith("400")
    assert run("k8s-b")[1] == "changed: keys at auth/clusters/k8s-b\n"
    assert {site.login(token, "k8s-b")[:4] for token in (before, cluster.token())} == {"hvs."}
    cluster.sign(new)
    assert run("k8s-b")[1] == "changed: keys at auth/clusters/k8s-b\n"
    assert (
        site.login(before, "k8s-b").startswith("400") and site.login(cluster.token(), "k8s-b")[:4] == "hvs."
    )
    assert run("k8s-b")[1] == "unchanged: auth/clusters/k8s-b\n"


def test_what_was_changed_by_hand_is_set_again_and_what_was_added_stays(site, run):
    run("k8s-a")
    ask, role = site.vault.request, "auth/clusters/k8s-a/role/external-secrets"
    cidrs = {"token_bound_cidrs": ["127.0.0.1/32"]}
    other = {"bound_subject": "", "bound_audiences": ["vault", "other"], "token_policies": "mighty"}
    ask("POST", role, {"role_type": "jwt"} | other | cidrs)
    assert run("k8s-a")[1] == "changed: role at auth/clusters/k8s-a\n"
    found = ask("GET", role)["data"]
    assert (found["bound_subject"], found["bound_audiences"], found["token_policies"]) == (
        SUBJECT, ["vault"], ["workloads"],
    )  # fmt: skip
    assert found["token_bound_cidrs"] == ["127.0.0.1"]
    config = ask("GET", "auth/clusters/k8s-a/config")["data"]
    key = config["jwt_validation_pubkeys"]
    ask("POST", "auth/clusters/k8s-a/config", {"jwt_validation_pubkeys": [*key, *key]})  # without an issuer
    assert run("k8s-a")[1] == "changed: keys at auth/clusters/k8s-a\n"
    assert ask("GET", "auth/clusters/k8s-a/config")["data"] == config


POLICY = vault_server.WORKLOADS
WITHOUT_DENY = "\n".join(
    line for line in POLICY.splitlines() if "data/cluster-secret-store/secrets/KUBE" not in line
)
REFUSED = {
    "no-rights": (["default", "kubeconfig"], POLICY, 77, "update on sys/auth/clusters/k8s-a; create,"),
    "no-policy": (["ci"], "", 77, "Vault has no policy workloads, and this token may not write one; save it from"),
    "open-policy": (["ci"], WITHOUT_DENY, 1, 'add to it: path "kv/data/cluster-secret-store/secrets/KUBECONFIG" {'),
    "commented": (["ci"], POLICY.replace("path", "# path"), 1, "does not deny kv/data/cluster-bootstrap/*, kv/data/"),
    "other-parameters": (["narrow"], POLICY, 2, "its policy allows other parameters than the one in docs/install.md"),
}  # fmt: skip


@pytest.mark.parametrize(("policies", "workloads", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_vault_or_its_policies_do_not_allow(site, run, monkeypatch, policies, workloads, code, words):
    ask, path = site.vault.request, "sys/policies/acl/workloads"
    ask("PUT", path, {"policy": workloads}) if workloads else ask("DELETE", path)
    reading = f'path "{STORE}/KUBECONFIG" {{ capabilities = ["read"] }}'
    ask("PUT", "sys/policies/acl/kubeconfig", {"policy": reading})
    ask("PUT", "sys/policies/acl/narrow", {"policy": vault_server.POLICY.replace("proxmox-gitops*", "ours*")})
    monkeypatch.setenv("VAULT_TOKEN", site.vault.new_token(*policies))
    found, out, err = run("k8s-a")
    assert (found, out) == (code, "") and words in err
    assert site.login(site.clusters["k8s-a"].token()).startswith("hvs.") is (
        policies == ["ci"] and not workloads
    )


def test_a_token_that_may_writes_the_policy_where_there_is_none(site, run, monkeypatch):
    site.vault.request("DELETE", "sys/policies/acl/workloads")
    monkeypatch.setenv("VAULT_TOKEN", site.vault.root)
    assert run("k8s-a")[1] == "changed: policy, mount, keys, role at auth/clusters/k8s-a\n"
    assert site.status("GET", f"{STORE}/grafana", site.login(site.clusters["k8s-a"].token())) == 200
    narrower = POLICY.replace("secrets/*", "secrets/a/*")
    site.vault.request("PUT", "sys/policies/acl/workloads", {"policy": narrower})
    assert run("k8s-a")[1] == "unchanged: auth/clusters/k8s-a\n"
    assert site.vault.request("GET", "sys/policies/acl/workloads")["data"]["policy"] == narrower


def test_somebody_elses_mount_is_never_touched(site, run):
    site.vault.request("POST", "sys/auth/clusters/k8s-a", {"type": "jwt", "description": "of my own"})
    code, _, err = run("k8s-a")
    assert code == 1 and "auth/clusters/k8s-a in Vault is somebody else's" in err and "vault auth move" in err
    assert site.status("GET", "auth/clusters/k8s-a/role/external-secrets", site.vault.root) == 404
    assert run("k8s-a", "--remove")[1] == "unchanged: auth/clusters/k8s-a not there\n"
    assert "clusters/k8s-a/" in site.vault.request("GET", "sys/auth")["data"]


TAKEN = [  # what the automation's token would need to give itself or workloads more
    ("sys/policies/acl/workloads", {"policy": 'path "*" { capabilities = ["read"] }'}),
    ("sys/auth/clusters/mine", {"type": "jwt", "description": "proxmox-gitops", "config": {"token_type": "batch"}}),
    ("sys/auth/clusters/mine", {"type": "userpass", "description": "proxmox-gitops"}),
    ("sys/auth/mine", {"type": "jwt", "description": "proxmox-gitops"}),
    ("sys/auth/clusters/k8s-a/tune", {"description": "x"}),
    ("auth/clusters/k8s-a/config", {"jwks_url": "https://else"}),
    ("auth/clusters/k8s-a/role/mine", {"token_policies": "workloads"}),
    *(("auth/clusters/k8s-a/role/external-secrets", {key: value})
      for key in ("token_policies", "policies") for value in ("ci", ["ci"], ["workloads", "ci"], "workloads,ci")),
    ("auth/clusters/k8s-a/role/external-secrets", {"token_policies": "workloads", "groups_claim": "sub"}),
    ("auth/clusters/k8s-a/role/external-secrets", {"token_no_default_policy": False}),
]  # fmt: skip


def test_the_automations_token_cannot_give_itself_more(site, run):
    run("k8s-a")
    token = site.vault.token
    assert [site.status("POST", path, token, body) for path, body in TAKEN] == [403] * len(TAKEN)


def test_a_cluster_that_leaves_takes_its_login_along(site, run, capsys, monkeypatch):
    for name in site.clusters:
        run(name)
    token = site.login(site.clusters["k8s-a"].token())
    assert run("k8s-a", "--remove", "--dry-run")[1].startswith("changed")
    assert update_kubeconfig.main(["--remove", "k8s-a", "--dry-run"]) == 0
    assert site.status("GET", f"{STORE}/grafana", token) == 200
    assert update_kubeconfig.main(["--remove", "k8s-a"]) == 0
    capsys.readouterr()
    assert site.status("GET", f"{STORE}/grafana", token) == 403
    assert [name for name in site.vault.request("GET", "sys/auth")["data"] if name != "token/"] == [
        "clusters/k8s-b/"
    ]
    # A try again whose first answer was lost: Vault is content.
    assert site.status("DELETE", "sys/auth/clusters/k8s-a", site.vault.token) == 200
    assert run("k8s-a", "--remove")[1] == "unchanged: auth/clusters/k8s-a not there\n"
    monkeypatch.setenv("VAULT_TOKEN", site.vault.new_token("default"))
    assert run("k8s-b", "--remove")[:2] == (0, "unchanged: auth/clusters/k8s-b not there\n")


def test_bad_days(site, run, monkeypatch):
    code, _, err = run("k8s-x")
    assert code == 1 and "the kubeconfig has no context k8s-x; it has k8s-a, k8s-b" in err
    assert run("k8s-x", "--dry-run")[1].startswith(
        "changed: k8s-x would be registered once Vault has its kubeconfig"
    )
    assert run("../mounts/kv")[0] == 2 and run("k8s-a/config")[0] == 2
    stored = site.vault.read()[0]["KUBECONFIG"]
    for wrong, words in {
        stored.replace(str(site.clusters["k8s-a"].port), str(vault_server.free_port())): "does not answer: ",
        stored.replace(site.clusters["k8s-a"].cluster["certificate-authority-data"],
                       site.clusters["k8s-b"].cluster["certificate-authority-data"]): "certificate verify failed",
        stored.replace(site.clusters["k8s-a"].user["client-key-data"],
                       site.clusters["k8s-b"].user["client-key-data"]): "has no certificates of an administrator",
        stored.replace(site.clusters["k8s-a"].user["client-certificate-data"],
                       site.clusters["k8s-b"].user["client-certificate-data"])
              .replace(site.clusters["k8s-a"].user["client-key-data"],
                       site.clusters["k8s-b"].user["client-key-data"]): "refuses to tell its keys (401)",
    }.items():  # fmt: skip
        site.vault.write(KUBECONFIG=wrong)
        code, _, err = run("k8s-a")
        assert code == 2 and words in err, (words, err)
    assert list(site.vault.request("GET", "sys/auth")["data"]) == ["token/"]
    site.vault.seal()
    try:
        assert run("k8s-a")[0] == 2
    finally:
        site.vault.unseal()


EC = {
    "kty": "EC",
    "crv": "P-256",
    "alg": "ES256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
JWKS = [
    ("https://k8s", [EC], ""),
    ("https://k8s", [EC | {"crv": "P-192"}], "P-192"),
    ("https://k8s", [EC, {"kty": "OKP", "alg": "EdDSA"}], "of the kind OKP"),
    ("https://k8s", [EC | {"x": "AA"}], "cannot be used"),
    ("https://k8s", [{}], "cannot be used"),
    ("https://k8s", "keys", "cannot be used"),
    ("https://k8s", [], "no issuer or no keys"),
    ("", [EC], "no issuer or no keys"),
]


@pytest.mark.parametrize(("issuer", "found", "words"), JWKS)
def test_the_keys_of_an_api(issuer, found, words):
    if not words:
        made = keys.parsed(issuer, found, "k8s-a")
        assert (made.issuer, made.algorithms) == (issuer, ("ES256",))
        assert made.pems[0].startswith("-----BEGIN PUBLIC KEY")
        return
    with pytest.raises(Fault, match=words):
        keys.parsed(issuer, found, "k8s-a")
