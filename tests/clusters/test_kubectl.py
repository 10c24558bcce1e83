"""What is written is read by the real kubectl, with the same values: one field that it refuses costs every cluster."""

import base64
import json
import subprocess

import pytest
import yaml

from fleet.clusters import from_machine, kubeconfig, readable, yaml_edit, yaml_parse
from fleet.findings import Fault
from lab import builds
from tests.clusters.test_kubeconfig import K3S

# Each is text to the machine that sends it, and may be something else to one of the readers.
TEXTS = [
    "1e3", "1E3", "1e+3", "12e03", "0e0", "1.e3", ".1e1", "1e1_0", "123", "0123", "0o14", "0o8", "-0o7",
    "0x1F", "0b1", "1_000", "+1", "-1", ".5", "5.", "+.5", ".inf", ".nan", "y", "Y", "n", "N", "yes", "No",
    "on", "off", "true", "TRUE", "~", "null", "12:30:45", "190:20:30", "2024-01-01", "=", "<<", "-", "--",
    "---", "...", "?", ":", "a:", "#x", "a#b", "a:b", "&a", "*a", "!x", "%x", "@x", "`x", "|", ">", "\"",
    "'", "{", "[", "}", "]", ",", "a,b", "{}", "[]", "{a:1}", "K10abc::server:secret", "hvs.abc",
]  # fmt: skip
DATA = [
    "1e10", "12e3", "0o14", "0x1F", "1234", "QUJD", "QUI=", "QQ==", "+/+/", "true", "null", "Tm8=", "1_00",
    "QU JD", "QU\tJD", "QUJD\n", "QU\r\nJD", "QUJ", "QQ===", "QQ==QQ==", "=QUJ", "Q=UJ", "QR==", "",
    "QUJD*", "QU\u00a0JD",
]  # fmt: skip
STORED = """\
# by hand
apiVersion: v1
kind: Config
clusters: [{name: home, cluster: {server: "https://home:6443"}}]
users:
- {name: home, user: {token: "0123"}}
contexts:
- context: {cluster: home, user: home, namespace: infra}
  name: k8s-home
current-context: k8s-home
"""


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory):
    """Load a kubeconfig with kubectl; its data, or None when it refuses the file."""
    builds.build(next(build for build in builds.BUILDS if build.name == "kubernetes"))
    program, file = builds.entry("kubernetes") / "kubectl", tmp_path_factory.mktemp("kubectl") / "config"

    def load(text):
        file.write_text(text, encoding="utf-8")
        command = [program, "--kubeconfig", file, "config", "view", "--raw", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    return load


def merged(text, machine, **user):
    """The text after a merge of what a machine sends, and its user's name; None where that is refused."""
    new = yaml.safe_load(K3S)
    new["users"][0]["user"] = user
    document = yaml_parse.parse(text, "it")
    try:
        from_machine.check(new, machine, "10.0.0.1")
        edit = kubeconfig.merge(document.data, new, machine, "10.0.0.1")
    except Fault:
        return None
    return yaml_edit.render(document, edit.data), edit.cluster


def users(data):
    return {entry["name"]: entry["user"] for entry in data["users"]}


@pytest.mark.parametrize("stored", [STORED, json.dumps(yaml.safe_load(STORED))], ids=["in place", "anew"])
def test_a_token_is_the_same_to_kubectl(kubectl, stored):
    text, tokens = stored, {"home": "0123"}
    for number, token in enumerate(TEXTS):
        text, name = merged(text, f"k8s-{number}", token=token)
        tokens[name] = token
    assert {name: user["token"] for name, user in users(kubectl(text)).items()} == tokens


@pytest.mark.parametrize("value", DATA)
def test_no_credential_of_a_machine_breaks_the_file(kubectl, value):
    found = merged(STORED, "k8s-dev", **{"client-certificate-data": value, "client-key-data": "QUJD"})
    if found is None:
        plain = STORED.replace('{token: "0123"}', f"{{client-key-data: {json.dumps(value)}}}")
        assert kubectl(plain) is None or not value.isprintable(), "what kubectl takes is not refused"
    else:
        seen = users(kubectl(found[0]))[found[1]].get("client-certificate-data", "")
        assert base64.b64decode(seen) == base64.b64decode(value)


@pytest.mark.parametrize("name", ["1e3", "y", "0o14", "no", "k8s-dev", "a.b", "1"])
def test_names_are_the_same_to_kubectl(kubectl, name):
    document = yaml_parse.parse("", "it")
    edit = kubeconfig.merge({}, yaml.safe_load(K3S), name, "10.0.0.1", name)
    data = kubectl(yaml_edit.render(document, edit.data))
    assert [data[part][0]["name"] for part in ("clusters", "contexts", "users")] == [name] * 3
    text = K3S.replace("current-context: default", "current-context: gone")
    document = yaml_parse.parse(text, "it")
    edit = kubeconfig.merge(document.data, yaml.safe_load(K3S), name, "10.0.0.1", name)
    assert kubectl(yaml_edit.render(document, edit.data))["current-context"] == name


def part(name, inner, text):
    return f"apiVersion: v1\nkind: Config\n{name}:\n- name: home\n  {inner}: {{{text}}}\n"


STORED_BADLY = [
    part("clusters", "cluster", "server: 7"),
    part("clusters", "cluster", "server: [x]"),
    part("clusters", "cluster", "insecure-skip-tls-verify: 'true'"),
    part("clusters", "cluster", "certificate-authority-data: QU*D"),
    part("clusters", "cluster", "certificate-authority-data: 'QU JD'"),
    part("contexts", "context", "cluster: 1, user: b"),
    part("contexts", "context", "cluster: a, user: b, namespace: 5"),
    *(part("users", "user", f"{key}: {value}") for key in ("token", "password") for value in (123, "0123", "yes")),
    part("users", "user", "tokenFile: {a: b}"),
    part("users", "user", "token: a") + "- name: home\n  user: {token: b}\n",
]  # fmt: skip
STORED_WELL = [
    STORED,
    part("users", "user", "token: null"),
    part("users", "user", "token: 2024-01-01"),
    part("users", "user", "unknown: [x], Token: 5, 7: 8"),
    part("clusters", "cluster", "certificate-authority-data: DATA+OMITTED"),
    part("users", "user", "client-key-data: ''"),
    part("users", "user", "exec: {command: aws, args: [eks]}"),
    part("clusters", "cluster", "insecure-skip-tls-verify: true, server: x, extensions: []"),
    part("clusters", "cluster", 'certificate-authority-data: "QU\\nJD"'),
]


@pytest.mark.parametrize("text", STORED_BADLY)
def test_what_kubectl_refuses_is_refused(kubectl, text):
    document = yaml_parse.parse(text, "the secret")
    assert kubectl(text) is None
    with pytest.raises(
        Fault, match=r"the secret has .*home.*entry 1 \(line 4\).*kubectl refuses such a file"
    ):
        readable.check(document.data, document, "the secret")


@pytest.mark.parametrize("text", STORED_WELL)
def test_what_kubectl_takes_is_not_refused(kubectl, text):
    document = yaml_parse.parse(text, "the secret")
    assert kubectl(text)
    readable.check(document.data, document, "the secret")
