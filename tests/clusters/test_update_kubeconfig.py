"""update_kubeconfig.py against a real Vault, with a failing proxy in between where the test needs one."""

import concurrent.futures
import datetime
import io
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

import update_kubeconfig
from fleet.clusters import kubeconfig, shared_kubeconfig, vault
from fleet.findings import Fault
from fleet.vault import client, secret
from tests.helpers import vault_server

SCRIPT = Path(update_kubeconfig.__file__)
SECRETS = ("S0VZLW9mLWs4cy1kZXY=", "Q0VSVC1vZi1rOHMtZGV2", "TOKEN-OF-ANOTHER")
K3S = f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: {SECRETS[1]}
    client-key-data: {SECRETS[0]}
"""
OTHERS = f"""\
apiVersion: v1
kind: Config
clusters:   # by hand
- cluster: {{server: "https://home:6443"}}
  name: home
contexts:
- context: {{cluster: home, user: home}}
  name: k8s-home
users:
- name: home
  user: {{token: {SECRETS[2]}}}
current-context: k8s-home
"""


@pytest.fixture(scope="module")
def server():
    with vault_server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def clean(server, monkeypatch, tmp_path):
    server.forget()
    monkeypatch.setenv("VAULT_ADDR", server.url)
    monkeypatch.setenv("VAULT_TOKEN", server.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("GITHUB_ACTIONS", "VAULT_NAMESPACE", "VAULT_CACERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "PAUSES", (0.01, 0.02))


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, server):
    """Call the script, and check that its output never contains a secret."""
    (tmp_path / "k8s.ini").write_text(
        "k8s-dev ansible_host=192.168.1.20 ansible_user=suporte  # terraform mac=x\n"
        "k8s-six ansible_host=2001:db8::6\nk8s-name\n[k3s]\nk8s-dev\nk8s-six\n"
    )
    (tmp_path / "k3s.yaml").write_text(K3S)

    def call(*args, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = update_kubeconfig.main(list(map(str, args)))
        out, err = capsys.readouterr()
        assert not [secret for secret in (*SECRETS, server.token, server.root) if secret in out + err]
        return code, out, err

    def merge(name="k8s-dev", *more, kubeconfig_text=None, source=None):
        if kubeconfig_text is not None:
            (tmp_path / "k3s.yaml").write_text(kubeconfig_text)
        place = ["--inventory", tmp_path / "k8s.ini", "--inventory-name", name]
        return call("--kubeconfig", source or tmp_path / "k3s.yaml", *place, *more)

    call.merge = merge
    return call


def stored(server):
    fields, version = server.read()
    return yaml.safe_load(fields["KUBECONFIG"]), version


def test_the_life_of_a_cluster(run, server):
    code, out, err = run.merge()
    assert (code, err) == (0, "") and out.startswith("changed: context k8s-dev, cluster ")
    data, version = stored(server)
    name = data["clusters"][0]["name"]
    assert version == 1 and data["clusters"][0]["cluster"]["server"] == "https://192.168.1.20:6443"
    assert data["contexts"] == [{"context": {"cluster": name, "user": name}, "name": "k8s-dev"}]
    assert run.merge()[1] == f"unchanged: context k8s-dev, cluster {name}, version 1\n"
    assert run.merge("k8s-six")[0] == 0
    assert stored(server)[0]["clusters"][1]["cluster"]["server"] == "https://[2001:db8::6]:6443"
    assert run.merge("k8s-name")[0] == 0
    assert stored(server)[0]["clusters"][2]["cluster"]["server"] == "https://k8s-name:6443"
    assert run("--remove", "k8s-dev")[1] == f"changed: context k8s-dev removed, cluster {name}, version 4\n"
    assert run("--remove", "k8s-dev")[1] == "unchanged: context k8s-dev, not there, version 4\n"
    assert name not in server.read()[0]["KUBECONFIG"]


def test_everything_else_in_the_secret_stays(run, server):
    server.write(KUBECONFIG=OTHERS, other="field", number=7)
    assert run.merge()[0] == 0
    fields, version = server.read()
    assert (fields["other"], fields["number"], version) == ("field", 7, 2)
    assert all(line in fields["KUBECONFIG"].splitlines() for line in OTHERS.splitlines())
    assert run("--remove", "k8s-dev")[0] == 0
    assert server.read()[0] == {"KUBECONFIG": OTHERS, "other": "field", "number": 7}


@pytest.mark.parametrize(
    "fields", [{"KUBECONFIG": ""}, {"KUBECONFIG": " \n"}, {"else": "x"}, {"KUBECONFIG": None}]
)
def test_an_empty_secret_counts_as_none(run, server, fields):
    server.write(**fields)
    assert run.merge()[0] == 0 and len(stored(server)[0]["clusters"]) == 1


def test_as_json(run):
    answer = json.loads(run.merge("k8s-dev", "--format", "json", "--cluster-name", "prod")[1])
    assert answer == {"changed": True, "version": 1, "context": "k8s-dev", "cluster": "prod"}
    answer = json.loads(run.merge("k8s-dev", "--format", "json")[1])
    assert answer == {"changed": False, "version": 1, "context": "k8s-dev", "cluster": "prod"}


def test_dry_run_writes_nothing_and_promises_the_name(run, server):
    promised = run.merge("k8s-dev", "--dry-run")[1]
    assert promised.startswith("changed") and "nothing written" in promised
    with pytest.raises(AssertionError, match="404"):
        server.read()
    assert promised.split(",")[1] in run.merge()[1]
    assert run.merge("k8s-dev", "--dry-run")[1].startswith("unchanged")
    assert run("--remove", "k8s-dev", "--dry-run")[1].startswith("changed") and stored(server)[1] == 1


def test_standard_input(run, server, tmp_path):
    args = ["--kubeconfig=-", "--inventory-name=k8s-dev", f"--inventory={tmp_path / 'k8s.ini'}"]
    assert run(*args, stdin=K3S.encode())[0] == 0 and stored(server)[1] == 1
    assert "standard input is empty" in run(*args, stdin=b"")[2]


def test_address_goes_before_the_inventory(run, server):
    assert run.merge("k8s-dev", "--address", "10.0.0.9")[0] == 0
    assert stored(server)[0]["clusters"][0]["cluster"]["server"] == "https://10.0.0.9:6443"


def test_options_of_old_are_accepted(run, server, monkeypatch):
    monkeypatch.delenv("VAULT_ADDR")
    monkeypatch.delenv("VAULT_TOKEN")
    more = ["--cluster-name", "k8s-dev", "--vault-token", server.token, "--vault-addr", server.url]
    code, out, err = run.merge("k8s-dev", *more)
    assert code == 0 and "cluster k8s-dev" in out and "can read --vault-token; set VAULT_TOKEN" in err


@pytest.mark.parametrize("source", ["-", "file"])
@pytest.mark.parametrize("kubeconfig_too", [True, False])
def test_a_token_file_goes_before_the_environment(run, server, monkeypatch, tmp_path, source, kubeconfig_too):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    (tmp_path / "token").write_text(server.token + "\n")
    stdin = (f"{server.token}\n" if source == "-" else "") + (K3S if kubeconfig_too else "")
    args = ["--inventory", tmp_path / "k8s.ini", "--inventory-name", "k8s-dev"]
    args += ["--kubeconfig", "-" if kubeconfig_too else tmp_path / "k3s.yaml"]
    args += ["--vault-token-file", source if source == "-" else tmp_path / "token"]
    code, out, err = run(*args, stdin=stdin.encode())
    assert (code, err) == (0, "") and out.startswith("changed: context k8s-dev")
    assert run("--remove", "k8s-dev", *args[-2:], stdin=stdin.encode())[0] == 0


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\n" + K3S.encode(), b"apiVersion: v1\n", b"\xff\xfe\n"])
def test_a_token_file_without_a_token(run, server, stdin):
    """The environment's token, which is good, does not take its place."""
    code, out, err = run("--remove", "k8s-dev", "--vault-token-file", "-", stdin=stdin)
    assert (code, out) == (2, "")
    assert "is empty where Vault's token is expected" in err or "characters that a token cannot have" in err
    assert run("--remove", "k8s-dev", "--vault-token-file", "/no/such/file")[0] == 2


def test_the_token_comes_in_one_way(run, server, capsys):
    with pytest.raises(SystemExit) as stop:
        run("--remove", "k8s-dev", "--vault-token", "x", "--vault-token-file", "-")
    assert stop.value.code == 2 and "not allowed with" in capsys.readouterr().err


def test_the_token_of_vault_login(run, server, monkeypatch, tmp_path):
    monkeypatch.delenv("VAULT_TOKEN")
    (tmp_path / ".vault-token").write_text(server.token + "\n")
    assert run.merge()[0] == 0


# What stops it


def refused(run, server, code, said, **more):
    """The script stops with this status and a short message."""
    result = run.merge(**more)
    assert result[0] == code and said in result[2] and result[1] == "", result
    assert len(result[2].splitlines()) <= 4


TWICE = "{name: home, context: {cluster: home, user: home}}"
STORED_BADLY = [
    ("just words", "not a YAML mapping"),
    (f"a: [\n{SECRETS[2]}: x", "is not valid YAML (line"),
    (f"users: [{{token: {SECRETS[2]}}}]", "entry 1 of its users lacks a name"),
    (f"{SECRETS[2]}: 1", "no clusters, contexts and users"),
    (
        f"users: []\nclusters:\n- {TWICE}\n- name: other\n- {TWICE}\n",
        "several clusters called home: entry 1 (line 3) and entry 3 (line 5); kubectl refuses such a file",
    ),
    (f"users: [{TWICE}, {TWICE}]", "several users called home: entry 1 (line 1) and entry 2 (line 1)"),
    ("clusters: []\nclusters: []", "duplicate key on lines 1 and 2"),
    (
        "a: &a [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1 if n else ''}, *a]\n" for n in range(3)),
        "no clusters",
    ),
    ("[" * 200_000, "deeper than"),
]


@pytest.mark.parametrize("text, said", STORED_BADLY, ids=[said for _, said in STORED_BADLY])
def test_a_secret_that_is_not_a_kubeconfig(run, server, text, said):
    server.write(KUBECONFIG=text)
    code, _, err = run.merge()
    assert code == 1 and said in err and "kv/cluster-secret-store/secrets/KUBECONFIG" in err
    assert server.read() == ({"KUBECONFIG": text}, 1)
    assert run("--remove", "k8s-dev")[0] == 1


def test_doubles_of_the_machines_own_entries_are_repaired(run, server):
    run.merge("k8s-dev", "--cluster-name", "dev")
    data = stored(server)[0]
    server.write(KUBECONFIG=yaml.safe_dump(data | {"users": data["users"] * 2}))
    assert run.merge()[0] == 0 and len(stored(server)[0]["users"]) == 1


def test_a_secret_that_is_structured(run, server):
    server.write(KUBECONFIG={"clusters": [SECRETS[2]]})
    assert "is not a string; store the kubeconfig as text" in run.merge()[2] and server.read()[1] == 1


def test_deleted_and_destroyed_versions(run, server):
    server.write(KUBECONFIG=OTHERS)
    server.request("DELETE", f"kv/data/{vault_server.PATH}")
    refused(
        run, server, 1, "the newest version of kv/cluster-secret-store/secrets/KUBECONFIG, 1, was deleted"
    )
    server.request("PUT", f"kv/destroy/{vault_server.PATH}", {"versions": [1]})
    refused(run, server, 1, "was deleted")
    server.forget()
    server.write(KUBECONFIG=OTHERS)
    server.request("PUT", f"kv/destroy/{vault_server.PATH}", {"versions": [1]})
    refused(run, server, 1, "was deleted")
    server.forget()
    assert run.merge()[0] == 0


def test_a_version_that_will_end_is_not_deleted(run, server):
    server.request("POST", f"kv/metadata/{vault_server.PATH}", {"delete_version_after": "5h"})
    assert run.merge()[0] == 0 and run.merge()[1].startswith("unchanged")


def test_a_token_that_is_wrong_or_may_too_little(run, server, monkeypatch):
    policy = f'path "kv/data/{vault_server.PATH}" {{ capabilities = ["read"] }}'
    server.request("PUT", "sys/policies/acl/reader", {"policy": policy})
    for token in ("hvs.wrong", server.new_token("default"), server.new_token("reader")):
        monkeypatch.setenv("VAULT_TOKEN", token)
        refused(run, server, 2, "does not allow this token to read and write")
    monkeypatch.setenv("VAULT_TOKEN", server.token)
    assert run.merge()[0] == 0


def test_longer_than_vault_takes(run, server):
    before = K3S.replace("default", "other") + f"x-note: {'a' * ((1 << 20) - len(K3S) - 100)}\n"
    server.write(KUBECONFIG=before)
    code, _, err = run.merge()
    assert (code, err.count("\n")) == (1, 1) and "would exceed Vault's size limit" in err
    assert server.read()[0]["KUBECONFIG"] == before


def test_sealed(run, server):
    server.seal()
    try:
        refused(run, server, 2, "(503): Vault is sealed; tried 3 times")
    finally:
        server.unseal()
    assert run.merge()[0] == 0


def test_away(run, server, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{vault_server.free_port()}")
    refused(run, server, 2, ": [Errno 111] Connection refused; tried 3 times")


def test_a_server_that_never_answers(run, server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused(run, server, 2, ": timed out; tried 3 times")


def test_wrong_mounts(run, server, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", server.root)
    for mount, said in {
        "nope": "nothing is mounted at nope/",
        "old": "old/ is kv 1, not kv 2",
        "cubbyhole": "cubbyhole/ is cubbyhole, not kv 2",
    }.items():
        with pytest.raises(Fault, match=said):
            vault.Store(mount=mount).change(lambda text: "never")
    server.request("POST", f"old/data/{vault_server.PATH}", {"KUBECONFIG": OTHERS})
    with pytest.raises(Fault, match="old/ is kv 1"):
        vault.Store(mount="old").change(lambda text: "never")
    assert server.request("GET", f"old/data/{vault_server.PATH}")["data"] == {"KUBECONFIG": OTHERS}


def test_a_mount_that_the_token_may_not_see(server):
    with pytest.raises(Fault, match="does not allow this token"):
        vault.Store(mount="old").read()


WRONG_PLACES = [
    ("VAULT_ADDR", "", "set VAULT_ADDR"),
    ("VAULT_ADDR", "vault.example.com", "is not a valid URL"),
    ("VAULT_ADDR", "http://[::1", "is not a valid URL"),
    ("VAULT_ADDR", f"http://me:{SECRETS[2]}@127.0.0.1:1", "is not a valid URL"),
    ("VAULT_ADDR", "http://127.0.0.1:port", "is not a valid URL"),
    ("VAULT_ADDR", f"https://vault.example.com/?token={SECRETS[2]}", "is not a valid URL"),
    ("VAULT_ADDR", "https://vault.example.com/v1", "VAULT_ADDR is Vault's address alone: remove /v1"),
    ("VAULT_ADDR", "https://vault.example.com/vault/v1/ ", "remove /v1"),
    ("VAULT_ADDR", "https://vault.example.com/ui/vault/secrets", "remove /ui and what follows"),
    ("VAULT_ADDR", " ", "set VAULT_ADDR"),
    ("VAULT_TOKEN", "", "set VAULT_TOKEN"),
    ("VAULT_TOKEN", f"export VAULT_TOKEN={SECRETS[2]}", "characters that a token cannot have"),
    ("VAULT_TOKEN", f"{SECRETS[2]}\nmore", "characters that a token cannot have"),
    ("VAULT_TOKEN", f"{SECRETS[2]}\u00e9", "characters that a token cannot have"),
]


@pytest.mark.parametrize("name, value, said", WRONG_PLACES)
def test_wrong_settings(run, server, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    refused(run, server, 2, said)


def test_white_space_around_the_settings(run, server, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", f" {server.url}/\n")
    monkeypatch.setenv("VAULT_TOKEN", f"{server.token}\r\n")
    assert run.merge()[0] == 0


@pytest.mark.parametrize(
    ("addr", "warned"),
    [("http://127.0.0.1:1", False), ("http://localhost:1", False), ("http://[::1]:1", False),
     ("https://vault.invalid", False), ("http://vault.invalid", True), ("http://localhost.vault.invalid", True)],
)  # fmt: skip
def test_a_token_in_clear_is_reported(run, monkeypatch, addr, warned):
    monkeypatch.setenv("VAULT_ADDR", addr)
    code, _, err = run.merge()
    assert (code, "cross the network unencrypted" in err) == (2, warned)


def test_https_where_none_is_spoken(run, server, monkeypatch):
    monkeypatch.setenv("VAULT_ADDR", server.url.replace("http:", "https:"))
    refused(run, server, 2, "the server does not use TLS; try http://")
    monkeypatch.setenv("VAULT_CACERT", "/no/such/file")
    refused(run, server, 2, "VAULT_CACERT: ")


def test_a_certificate_that_is_not_trusted(run, server, monkeypatch, tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = made.add_extension(place, critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    with vault_server.proxy(server.url) as proxy:
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        monkeypatch.setenv("VAULT_ADDR", proxy.url.replace("http", "https"))
        refused(run, server, 2, "the certificate is not trusted")
        (tmp_path / "ca.pem").write_bytes(pem)
        monkeypatch.setenv("VAULT_CACERT", str(tmp_path / "ca.pem"))
        assert run.merge()[0] == 0


def changed(part, inner, **fields):
    data = yaml.safe_load(K3S)
    data[part][0][inner] |= fields
    return yaml.safe_dump(data)


def at(server):
    return K3S.replace("https://127.0.0.1:6443", server)


# What a machine that was taken over may send, and what is refused.
HOSTILE = [
    (changed("users", "user", exec={"command": "id"}), "sets user.exec, but"),
    (changed("users", "user", **{"auth-provider": {"name": "x"}}), "sets user.auth-provider"),
    (changed("users", "user", tokenFile="/etc/shadow"), "sets user.tokenFile"),
    (changed("users", "user", **{"client-key": "/root/.ssh/id"}), "sets user.client-key, but"),
    (changed("users", "user", **{"as": "admin", "username": "x"}), "sets user.as, user.username"),
    (changed("clusters", "cluster", **{"proxy-url": "http://thief"}), "sets cluster.proxy-url"),
    (changed("clusters", "cluster", **{"insecure-skip-tls-verify": True}), "sets cluster.insecure-skip-tls"),
    (changed("clusters", "cluster", **{"tls-server-name": "x"}), "sets cluster.tls-server-name"),
    (changed("clusters", "cluster", **{"certificate-authority": "/etc/ca"}), "sets cluster.certificate-auth"),
    (changed("clusters", "cluster", extensions=[{"name": "e"}]), "sets cluster.extensions"),
    (changed("contexts", "context", namespace="x"), "sets context.namespace"),
    (changed("contexts", "context", **{"\n::error::x": 1}), "sets context.\\n::error::x, but"),
    (K3S.replace("  name: default\ncontexts", "  name: default\n  more: 1\ncontexts"), "sets more, but"),
    (changed("users", "user", token=["x"]), "whose token is not text; kubectl refuses"),
    (changed("users", "user", token="a\nb"), "a user.token that is not plain text"),
    (changed("clusters", "cluster", server=7), "whose server is not text; kubectl refuses"),
    (at("https://192.168.1.99:6443"), "is 192.168.1.99, which is not that machine (k8s-dev, 192.168.1.20)"),
    (at("https://k8s-dev.thief:6443"), "is k8s-dev.thief, which is not that machine"),
    (at("https://2130706433:6443"), "is 2130706433, which is not"),
    (at("http://127.0.0.1:6443"), "not a URL of the form https://HOST:PORT"),
    (at("https://127.0.0.1:6443@thief"), "not a URL of the form"),
    (at("https://me:pw@127.0.0.1:6443"), "not a URL of the form"),
    (at("https://127.0.0.1\\@thief:6443"), "not a URL of the form"),
    (at('"https://127.0.0.1:6443\\n"'), "not a URL of the form"),
    (at("https://127.0.0.1:6443/?a=b"), "not a URL of the form"),
    (K3S + "x: " + "a" * 65536, "is larger than 64 kB"),
    (K3S + "x: " + "[" * 5000, "is nested deeper than 100 levels"),
    (K3S + "users: []\n", "duplicate key on lines 15 and 20"),
    (K3S.replace("contexts:\n", "contexts:\n- {name: k8s-dev, context: {cluster: x, user: x}}\n- {name: k8s-dev}\n"),
     "several contexts called k8s-dev: entry 1 (line 8) and entry 2 (line 9)"),
    (K3S.replace("contexts:\n", "contexts:\n- {name: 'pr\u2028od'}\n"),
     "pr\\u2028od, default; choose one with --context"),
]  # fmt: skip


@pytest.mark.parametrize("text, said", HOSTILE, ids=[said for _, said in HOSTILE])
def test_a_machine_that_reaches_beyond_itself(run, server, text, said):
    server.write(KUBECONFIG=OTHERS)
    refused(run, server, 1, said, kubeconfig_text=text)
    assert server.read() == ({"KUBECONFIG": OTHERS}, 1)


OWN = ["https://k8s-dev:6443", "https://K8S-DEV.:6443/base", "https://192.168.1.20", "https://[::1]:6443"]


@pytest.mark.parametrize("address", OWN)
def test_a_server_that_is_the_machine(run, server, address):
    assert run.merge(kubeconfig_text=at(address))[0] == 0
    assert run.merge("k8s-six", kubeconfig_text=at("https://[2001:DB8:0::6]:6443"))[0] == 0
    assert run.merge("k8s-dev", "--address", "10.0.0.9", kubeconfig_text=at("https://10.0.0.9:6443"))[0] == 0


def test_the_size_of_a_stream_without_end(run, server, tmp_path):
    args = ["--kubeconfig=/dev/zero", "--inventory-name=k8s-dev", f"--inventory={tmp_path / 'k8s.ini'}"]
    code, _, err = run(*args)
    assert (code, "/dev/zero is larger than 64 kB" in err) == (1, True)


def test_a_persons_own_kubeconfig(run, server):
    """Of several contexts only the named one is taken, and what it runs only when that is allowed."""
    own = OTHERS.replace(f"{{token: {SECRETS[2]}}}", "{exec: {command: aws}}").replace(
        "name: k8s-home", "name: prod"
    )
    own += f"extensions: [{{name: x, extension: {'a' * 70_000}}}]\n"
    own = own.replace("contexts:\n", "contexts:\n- {name: dev, context: {cluster: home, user: none}}\n")
    refused(run, server, 1, "is larger than 64 kB", kubeconfig_text=own)
    small = own.partition("extensions")[0]
    refused(run, server, 1, "several contexts, and none is called k8s-dev: dev, prod", kubeconfig_text=small)
    code, _, err = run.merge("k8s-dev", "--context", "prod", kubeconfig_text=small)
    assert code == 1 and "sets user.exec, but a machine may only give" in err and "use --allow-exec" in err
    assert "no context nope; it has dev, prod" in run.merge("k8s-dev", "--context", "nope")[2]
    own = own.replace("{exec: {command: aws}}", "{exec: {command: aws}, 7: 8}")
    code, _, err = run.merge("k8s-dev", "--context", "prod", "--allow-exec", kubeconfig_text=own)
    assert code == 0 and "runs a command on the computer of whoever uses it" in err
    data = stored(server)[0]
    assert data["users"][0]["user"] == {"exec": {"command": "aws"}, 7: 8}
    assert run.merge("k8s-two", "--address", "10.0.0.2", kubeconfig_text=K3S)[0] == 0
    assert stored(server)[0]["users"][0] == data["users"][0], "what a person stored stays"


USELESS = [
    ("", "is empty: no kubeconfig came"),
    (f"a: [\n{SECRETS[0]}", "is not valid YAML (line"),
    ("apiVersion: v1\nkind: Config\n", "no context"),
    (K3S.replace("https://127.0.0.1:6443", f"{SECRETS[0]}"), "not a URL"),
]


@pytest.mark.parametrize("text, said", USELESS, ids=[said for _, said in USELESS])
def test_a_machines_useless_kubeconfig(run, server, text, said):
    refused(run, server, 1, said, kubeconfig_text=text)


def test_files_that_are_not_there(run, server, tmp_path):
    refused(run, server, 2, "No such file", source=tmp_path / "nope")
    (tmp_path / "k3s.yaml").write_bytes(b"\xff\xfe")
    refused(run, server, 1, "is not valid UTF-8")
    (tmp_path / "k8s.ini").unlink()
    refused(run, server, 2, "name the inventory", kubeconfig_text=K3S)


def test_a_machine_that_the_inventory_does_not_have(run, server):
    refused(run, server, 1, "no host k8s-nope in ", name="k8s-nope")
    away = K3S.replace("127.0.0.1", "10.9.9.9")
    refused(run, server, 1, "is 10.9.9.9, which is not that machine", name="k8s-nope", kubeconfig_text=away)
    assert run.merge("k8s-nope", "--address", "10.9.9.9")[0] == 0
    refused(run, server, 2, "is not the name of a machine", name="k8s dev")


def test_a_name_that_is_anothers(run, server):
    server.write(KUBECONFIG=OTHERS)
    code, _, err = run.merge("k8s-dev", "--cluster-name", "home")
    assert code == 1 and "the cluster name home for k8s-dev is already used by k8s-home" in err
    assert server.read() == ({"KUBECONFIG": OTHERS}, 1)


@pytest.mark.parametrize(
    "args", [[], ["--kubeconfig", "x"], ["--kubeconfig", "x", "--inventory-name", "a", "--remove", "a"]]
)
def test_wrong_usage(args, capsys):
    with pytest.raises(SystemExit) as stop:
        update_kubeconfig.main(args)
    assert (
        stop.value.code == 2
        and "give --kubeconfig and --inventory-name, or --remove" in capsys.readouterr().err
    )


# Bad networks


PASSING = [429, 500, 502, 503, 504, 412, 473, "hang up", '{"no": "answer"', "[]"]


@pytest.mark.parametrize("step", PASSING[:8])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_trouble_that_passes(run, server, monkeypatch, step, place):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [None] * place + [step]  # the read, the look at the mount, the write
        code, out, err = run.merge()
        assert code == 0 and out.startswith("changed") and "retrying in" in err and stored(server)[1] == 1


@pytest.mark.parametrize("step", PASSING)
def test_trouble_that_stays(run, server, monkeypatch, step):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [step] * 20
        code, out, _ = run.merge()
        assert (code, out) == (2, "") and proxy.seen.count("POST") == 0


@pytest.mark.parametrize("status", [401, 403, 405, 413, 418])
def test_answers_that_no_retry_mends(run, server, monkeypatch, status):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [None, None, status]
        assert run.merge()[0] == 2 and len(proxy.seen) == 3


@pytest.mark.parametrize("step", [0, 1])  # the read, the write
@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_is_not_followed(run, server, monkeypatch, step, status):
    """Another host would get the token, and on a write the whole secret."""
    server.write(KUBECONFIG=OTHERS)
    with vault_server.proxy(server.url) as proxy, vault_server.proxy(server.url) as other:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [None] * step + [(status, "{}", f"{other.url}/v1/x?y")]
        code, out, err = run.merge()
        assert (code, out) == (2, "") and other.seen == []
        assert (
            f"Vault at {proxy.url} redirects to {other.url}/v1/x ({status}); redirects are not followed"
            in err
        )
        assert server.read()[1] == 1


STRANGE = [
    ([(400, '{"errors": ["no"]}')], "refused to read kv/"),
    (["{}"], "answered (200), but not like Vault"),
    ([(500, '{"errors": [[1]]}')] * 9, "but not like Vault; check VAULT_ADDR; tried 3 times"),
    ([(500, '["x"]')] * 9, "tried 3 times"),
    ([(500, "<html>")] * 9, "tried 3 times"),
    ([None, None, "{}"], "but not like Vault"),
    ([None, None, (400, '{"errors": ["too large"]}')], "refused to write kv/"),
    (
        [None, None, (400, '{"errors": ["check-and-set parameter required for this call"]}')],
        "refused to write kv/cluster-secret-store/secrets/KUBECONFIG: check-and-set parameter required",
    ),
    ([(404, "{}"), "{}"], "does not report what is mounted"),
]


@pytest.mark.parametrize("script, said", STRANGE)
def test_strange_answers(run, server, monkeypatch, script, said):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = list(script)
        refused(run, server, 2, said)


def test_a_namespace_is_asked_for(run, server, monkeypatch):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        monkeypatch.setenv("VAULT_NAMESPACE", "team-a")
        run.merge()
        assert proxy.namespaces == {"team-a"}


def test_a_mount_that_is_just_being_upgraded(run, server, monkeypatch):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [(400, '{"errors": ["Upgrading from non-versioned to versioned data"]}')]
        code, _, err = run.merge()
        assert code == 0 and "is being upgraded to KV version 2; retrying in" in err


def test_a_write_whose_answer_was_lost_is_not_made_twice(run, server, monkeypatch):
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [None, None, "lose the answer"]
        code, out, _ = run.merge()
    assert code == 0 and out.startswith("changed") and ", version 1" in out and stored(server)[1] == 1


def test_a_404_of_a_proxy_is_no_empty_secret(run, server, monkeypatch):
    server.write(KUBECONFIG=OTHERS)
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [404] * 9
        code, _, err = run.merge()
    assert code == 2 and "does not report what is mounted" in err and server.read()[1] == 1


def test_a_404_of_the_moment_does_not_overwrite(run, server, monkeypatch):
    server.write(KUBECONFIG=OTHERS)
    with vault_server.proxy(server.url) as proxy:
        monkeypatch.setenv("VAULT_ADDR", proxy.url)
        proxy.script = [404]
        assert run.merge()[0] == 0
    assert SECRETS[2] in server.read()[0]["KUBECONFIG"]


# Other writers


def test_a_writer_at_the_same_moment(server):
    calls = []

    def edit(text):
        calls.append(text)
        if len(calls) == 1:
            server.write(KUBECONFIG="by another")
        return text + "+"

    assert vault.Store().change(edit) == (True, 2)
    assert calls == ["", "by another"] and server.read()[0]["KUBECONFIG"] == "by another+"


def test_a_writer_that_is_always_faster(server, monkeypatch):
    monkeypatch.setattr(secret, "CONFLICTS", 3)

    def edit(text):
        server.write(KUBECONFIG=text + "x")
        return "never"

    with pytest.raises(Fault, match="was faster 3 times"):
        vault.Store().change(edit)
    assert server.read()[0]["KUBECONFIG"] == "xxx"


def test_twenty_writers_at_once_lose_nothing(server, tmp_path):
    server.write(KUBECONFIG=OTHERS)
    new = yaml.safe_load(K3S)
    start = threading.Barrier(20)

    def write(number):
        store, name = vault.Store(), f"k8s-n{number:02}"
        start.wait()
        return shared_kubeconfig.update(
            store, lambda data: kubeconfig.merge(data, new, name, f"10.0.0.{number}"), name
        )

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(write, range(20)))
    data, version = stored(server)
    assert all(result.changed for result in results) and version == 21
    assert sorted(c["name"] for c in data["contexts"]) == ["k8s-home", *(f"k8s-n{n:02}" for n in range(20))]
    assert len({c["name"] for c in data["clusters"]}) == len({u["name"] for u in data["users"]}) == 21
    servers = {c["name"]: c["cluster"]["server"] for c in data["clusters"]}
    for number, result in enumerate(results):
        assert servers[result.cluster] == f"https://10.0.0.{number}:6443"


def test_processes_at_once_lose_nothing(server, tmp_path):
    (tmp_path / "k3s.yaml").write_text(K3S)
    command = [
        sys.executable,
        str(SCRIPT),
        "--kubeconfig",
        str(tmp_path / "k3s.yaml"),
        "--address",
        "10.0.0.1",
    ]
    running = [
        subprocess.Popen([*command, "--inventory-name", f"k8s-p{number}"], env=dict(os.environ),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(4)
    ]  # fmt: skip
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and not re.search(
            "|".join((*SECRETS, server.token)), (out + err).decode()
        )
    assert len(stored(server)[0]["contexts"]) == 4
    names = [f"k8s-p{number}" for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(result.changed for result in pool.map(shared_kubeconfig.remove, names))
    assert stored(server)[0]["clusters"] == []
