"""Merging kubeconfigs as data, and keeping the text of every entry that does not change."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.clusters import cluster_names, kubeconfig, yaml_edit, yaml_parse
from fleet.clusters.contents import PARTS, check, with_context
from fleet.findings import Fault

K3S = """\
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
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
"""

FLEET = """\
# kept by hand: the clusters of others
apiVersion: v1
kind: Config
preferences:
  colors: true
current-context: k8s-home   # at home
clusters:
  # the old one
  - name: home
    cluster: {server: "https://192.168.1.5:6443", insecure-skip-tls-verify: true}
    x-unknown: [1, 2]

  # in the cloud
  - cluster:
      server: 'https://eks.example.com'
      certificate-authority-data: |
        # not a remark
        Q0E=
      extensions:
      - name: minikube
        extension: {last-update: 2024-01-01, version: "1.0"}
    name: cloud
  # the last remark
contexts:
  - name: k8s-home
    context: {cluster: home, user: home-admin, namespace: infra}
  - context:
      cluster: cloud
      user: cloud
    name: cloud
users:
  - name: home-admin
    user: {token: "0123"}
  - name: cloud
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: aws
        args: [eks, get-token]
        interactiveMode: Never
extensions:
- name: mine
  extension: {a: 1}
"""


def data_of(text):
    data = yaml_parse.parse(text, "it").data
    check(data, "it")
    return data


def merged(text, machine="k8s-dev", new=K3S, address="192.168.1.20", given=None):
    document = yaml_parse.parse(text, "the secret")
    check(document.data, "the secret")
    change = kubeconfig.merge(document.data, data_of(new), machine, address, given)
    return yaml_edit.render(document, change.data), change


def removed(text, machine="k8s-dev"):
    document = yaml_parse.parse(text, "the secret")
    change = kubeconfig.remove(document.data, machine)
    return yaml_edit.render(document, change.data), change


def entry(data, part, name):
    (found,) = [item for item in data[part] if item["name"] == name]
    return found


def test_the_first_cluster():
    text, change = merged("")
    name = change.cluster
    assert name in text and len(name.split("-")) == 2
    data = yaml.safe_load(text)
    assert data == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "k8s-dev",
        "clusters": [
            {"name": name,
             "cluster": {"certificate-authority-data": "Q0E=", "server": "https://192.168.1.20:6443"}}
        ],
        "contexts": [{"name": "k8s-dev", "context": {"cluster": name, "user": name}}],
        "users": [
            {"name": name, "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}
        ],
    }  # fmt: skip


EMPTY = ["", " \n", "# nothing\n", "---\n", "{}", "null", "apiVersion: v1\nkind: Config\n",
         "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: ''\n"
         "kind: Config\npreferences: {}\nusers: null\n"]  # fmt: skip


@pytest.mark.parametrize("text", EMPTY)
def test_nothing_there_yet(text):
    data = yaml.safe_load(merged(text)[0])
    assert data["current-context"] == "k8s-dev" and len(data["users"]) == 1


def test_entries_of_others_stay_byte_for_byte():
    text, change = merged(FLEET)
    assert yaml.safe_load(text) == change.data
    lines = text.splitlines()
    assert [line for line in FLEET.splitlines() if line not in lines] == []
    rest = [line for line in lines if line not in FLEET.splitlines()]
    assert all(line.startswith("  ") for line in rest)  # what was put in, in the indentation that was there
    assert change.data["current-context"] == "k8s-home"
    again, same = merged(text)
    assert again == text and same.cluster == change.cluster
    assert removed(text)[0] == FLEET


def test_a_recreated_machine_keeps_its_name_and_place():
    text, change = merged(merged(FLEET)[0], "k8s-two")
    fresh = K3S.replace("S0VZ", "TkVX").replace("6443", "7443")
    after, again = merged(text, "k8s-dev", fresh)
    assert again.cluster != change.cluster and again.cluster in text
    assert [c["name"] for c in again.data["clusters"]] == [
        c["name"] for c in yaml.safe_load(text)["clusters"]
    ]
    assert entry(again.data, "users", again.cluster)["user"]["client-key-data"] == "TkVX"
    assert len(after.splitlines()) == len(text.splitlines())
    different = [(a, b) for a, b in zip(text.splitlines(), after.splitlines(), strict=True) if a != b]
    assert len(different) == 2


def test_an_own_entry_that_says_the_same_stays_as_it_was_written():
    text = merged(FLEET)[0]
    by_hand = text.replace("server: https://192.168.1.20:6443", "server: 'https://192.168.1.20:6443'  # mine")
    after, _ = merged(by_hand, new=K3S.replace("S0VZ", "TkVX"))
    assert "6443'  # mine\n" in after and "TkVX" in after and "S0VZ" not in after


def test_an_invalid_stored_name_is_replaced():
    text = FLEET.replace("k8s-home", "k8s-dev").replace("cluster: home,", "cluster: my home,")
    change = merged(text.replace("name: home\n", "name: my home\n"))[1]
    assert change.cluster == next(cluster_names.draws("k8s-dev")) and "my home" not in str(change.data)


def test_given_stored_and_drawn_names():
    text, drawn = merged(FLEET)
    assert merged(text, given=None)[1].cluster == drawn.cluster
    renamed, change = merged(text, given="prod")
    assert change.cluster == "prod" and drawn.cluster not in renamed
    assert merged(renamed)[1].cluster == "prod"
    assert merged(FLEET, given="k8s-dev")[1].cluster == "k8s-dev"  # as the old documentation had it
    with pytest.raises(Fault, match="the cluster name cloud for k8s-dev is already used by cloud"):
        merged(FLEET, given="cloud")
    with pytest.raises(Fault, match="name home-admin for k8s-dev is already used by k8s-home"):
        merged(FLEET, given="home-admin")
    with pytest.raises(Fault, match="not a valid cluster name"):
        merged(FLEET, given="a\nb")


def test_a_drawn_name_that_is_taken_is_drawn_again():
    first = next(cluster_names.draws("k8s-dev"))
    change = merged(FLEET.replace("cloud", first))[1]
    assert change.cluster != first
    orphan = FLEET.replace("- name: home-admin", f"- name: {first}\n    user: {{}}\n  - name: home-admin")
    assert merged(orphan)[1].cluster != first
    alone = FLEET.replace("clusters:\n", f"clusters:\n  - name: {first}\n    cluster: {{}}\n")
    assert merged(alone)[1].cluster != first
    lost = FLEET.replace("user: home-admin, namespace", f"user: {first}, namespace")
    assert merged(lost)[1].cluster != first, "what a context points at may come back"


def test_draws_never_end_and_are_the_same_every_time():
    def some():
        return [name for name, _ in zip(cluster_names.draws("k8s-dev"), range(3000), strict=False)]

    assert some() == some() and len(set(some())) > 2500
    assert all(cluster_names.CLUSTER.fullmatch(name) for name in some())


def test_an_entry_without_a_context_gives_way_to_the_name_that_was_given():
    text = FLEET.replace("users:\n", "users:\n  - name: prod\n    user: {token: stale}\n")
    after, change = merged(text, given="prod")
    assert "stale" not in after and change.cluster == "prod"


def test_names_that_two_machines_share_are_parted():
    both = """\
clusters: [{name: default, cluster: {server: 'https://a'}}]
users: [{name: default, user: {token: a}}]
contexts:
- {name: k8s-dev, context: {cluster: default, user: default}}
- {name: k8s-two, context: {cluster: default, user: default}}
"""
    change = merged(both)[1]
    assert change.cluster != "default" and "k8s-two also uses the cluster name default" in change.notes[0]
    assert entry(change.data, "clusters", "default")["cluster"]["server"] == "https://a"
    after = removed(both)[1].data
    assert [c["name"] for c in after["contexts"]] == ["k8s-two"] and len(after["clusters"]) == 1


def test_a_persons_alias_of_a_machines_cluster_follows_it():
    text, change = merged("")
    data = yaml.safe_load(text)
    data["contexts"].append(
        {"name": "dev", "context": {"cluster": change.cluster, "user": change.cluster, "namespace": "x"}}
    )
    text, again = merged(yaml.safe_dump(data), new=K3S.replace("S0VZ", "TkVX"))
    assert again.cluster == change.cluster and len(again.data["clusters"]) == 1 and "TkVX" in text
    gone = removed(text)[1]
    assert len(gone.data["clusters"]) == 1 and "context dev also uses" in gone.notes[0]


def test_a_user_of_another_name_is_replaced_too():
    text = """\
clusters: [{name: dev, cluster: {server: 'https://old'}}]
users: [{name: dev-admin, user: {token: stale}}]
contexts: [{name: k8s-dev, context: {cluster: dev, user: dev-admin}}]
"""
    after, change = merged(text)
    assert change.cluster == "dev" and "dev-admin" not in after and "stale" not in after


def test_doubles_of_the_own_entries_become_one():
    text = merged("", given="dev")[0]
    data = yaml.safe_load(text)
    for part in PARTS:
        data[part] *= 2
    change = merged(yaml.safe_dump(data))[1]
    assert [len(change.data[part]) for part in PARTS] == [1, 1, 1]


def test_equal_names_of_others_are_not_lost():
    data = yaml.safe_load(FLEET)
    data["users"].append({"name": "cloud", "user": {"token": "second"}})
    change = merged(yaml.safe_dump(data))[1]
    assert [u["name"] for u in change.data["users"]].count("cloud") == 2


CURRENT = [
    ("current-context: k8s-home", "k8s-home"),
    ("current-context: cloud", "cloud"),
    ("current-context: gone", "k8s-dev"),
    ("current-context: ''", "k8s-dev"),
    ("", "k8s-dev"),
]


@pytest.mark.parametrize("line, expected", CURRENT)
def test_current_context(line, expected):
    text, change = merged(FLEET.replace("current-context: k8s-home   # at home", line))
    assert change.data["current-context"] == expected == yaml.safe_load(text)["current-context"]


def test_removing_the_current_context_chooses_no_other():
    text, change = removed(FLEET, "k8s-home")
    assert change.cluster == "home" and yaml.safe_load(text)["current-context"] == ""
    assert "home-admin" not in text and "cloud" in text


def test_remarks_behind_what_leaves_are_those_of_the_next():
    others = [
        "clusters:\n", "# in the cloud\n- name: cloud\n  cluster: {server: b}\n",
        "users:\n", "# its user\n- name: cloud\n  user: {token: y}\n",
        "contexts:\n", "# both\n- name: cloud\n  context: {cluster: cloud, user: cloud}\n",
    ]  # fmt: skip
    own = ["- name: dev\n  cluster: {server: a}\n", "- name: dev\n  user: {token: x}\n",
           "- name: k8s-dev\n  context: {cluster: dev, user: dev}\n"]  # fmt: skip
    text = "".join(a + b + c for a, b, c in zip(others[::2], own, others[1::2], strict=True))
    assert removed(text)[0] == "".join(others)


def test_removing_the_last_and_the_unknown():
    text = merged("")[0]
    after = yaml.safe_load(removed(text)[0])
    assert [after[part] for part in PARTS] == [[], [], []] and after["current-context"] == ""
    assert removed(text, "k8s-nope")[0] == text
    assert removed("", "k8s-nope")[0] == ""
    bare = "contexts:\n- name: k8s-dev\n  context: {cluster: a, user: a}\nclusters: null\nusers:\n"
    assert yaml.safe_load(removed(bare)[0]) == {"contexts": [], "clusters": None, "users": None}
    assert yaml.safe_load(merged(removed(text)[0])[0]) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "rest",
    ["contexts: null\nkind: Config\nusers: null\n", "contexts: []\nusers: []  # none\n", "kind: Config"],
)
def test_lists_that_are_empty_or_missing(rest):
    """As `kubectl config set-cluster` leaves them; what others wrote stays."""
    others = """clusters:
- cluster: {server: "https://home:6443"}   # by hand
  name: home
  extensions: [{name: e, extension: {at: 12:30:45}}]
"""
    after, change = merged(others + rest)
    assert others in after and data_of(after) == change.data
    assert others in removed(after)[0]


def test_the_last_machine_leaves_and_remarks_stay():
    own = (
        "- {name: d, cluster: {}}\n",
        "- {name: d, user: {}}\n",
        "- {name: k8s-dev, context: {cluster: d, user: d}}\n",
    )
    text = "# mine\nclusters:  # all\n{}users:\n{}contexts:\n{}".format(*own)
    assert removed(text)[0] == "# mine\nclusters: []  # all\nusers: []\ncontexts: []\n"


def test_dangling_contexts_are_kept_and_reported():
    text = "contexts:\n- name: lost\n  context: {cluster: gone, user: gone}\n- name: bare\n  context:\n"
    after, change = merged(text)
    assert "- name: bare" in after
    assert "context lost refers to a cluster that does not exist" in change.notes
    assert "context bare refers to a user that does not exist" in change.notes
    assert len(removed(after, "bare")[1].data["contexts"]) == 2
    assert (
        "current-context refers to a context that does not exist"
        in removed(FLEET.replace("k8s-home   #", "gone   #"), "x")[1].notes
    )


def changed(**changes):
    return yaml.safe_dump({**yaml.safe_load(K3S), **changes})


USELESS = [
    (changed(contexts=[]), "no context"),
    (changed(contexts=None), "no context"),
    (changed(clusters=[]), "a cluster that does not exist"),
    (changed(users=None), "a user that does not exist"),
    (changed(users=[{"name": "default", "user": {}}]), "a user that does not exist or is empty"),
    (changed(clusters=[{"name": "default", "cluster": {"tls-server-name": "x"}}]), "no server"),
    (
        changed(**{"current-context": "x", "contexts": yaml.safe_load(K3S)["contexts"] * 2}),
        "several contexts",
    ),
    (
        K3S.replace("S0VZ", "REDACTED"),
        "client-key-data is redacted; export it with `kubectl config view --raw",
    ),
    (K3S.replace("Q0E=", "DATA+OMITTED"), "certificate-authority-data is redacted"),
    (K3S.replace("S0VZ", "QUJD*"), "client-key-data is not valid base64"),
    (K3S.replace("S0VZ", "[7]"), "client-key-data is not valid base64"),
    (K3S.replace("    client-key-data: S0VZ\n", ""), "a client certificate without its key"),
]


@pytest.mark.parametrize("new, said", USELESS, ids=[said for _, said in USELESS])
def test_a_machines_kubeconfig_that_is_useless(new, said):
    with pytest.raises(Fault, match=said):
        merged("", new=new)


def test_of_several_contexts_one_is_taken_only_when_it_is_named():
    data = yaml.safe_load(FLEET)
    entry(data, "clusters", "cloud")["cluster"]["certificate-authority-data"] = "Q0E="
    fleet = yaml.safe_dump(data | {"current-context": "cloud"})
    with pytest.raises(Fault, match=r"several contexts.*k8s-home, cloud; choose one with --context"):
        merged("", "k8s-new", fleet)
    with pytest.raises(Fault, match="no context clout; it has k8s-home, cloud"):
        with_context(data, "clout")
    change = merged("", "k8s-new", yaml.safe_dump(with_context(data, "cloud")))[1]
    assert change.data["users"][0]["user"]["exec"]["args"] == ["eks", "get-token"]
    extension = change.data["clusters"][0]["cluster"]["extensions"][0]["extension"]
    assert extension["version"] == "1.0" and len(change.data["users"]) == 1
    own = merged("", "k8s-home", fleet)[1].data["clusters"][0]["cluster"]["server"]
    assert own == entry(data, "clusters", "home")["cluster"]["server"], "its own goes first"


def test_the_file_of_another_machine_is_reported():
    text = merged("", "k8s-a", K3S)[0]
    assert merged(text, "k8s-b", K3S)[1].notes == [
        "context k8s-a has the same certificate authority; check that the file is not from that machine"
    ]
    assert merged(text, "k8s-b", K3S.replace("Q0E=", "Q0Ey"))[1].notes == []


def test_what_a_machines_kubeconfig_does_elsewhere_is_reported():
    data = yaml.safe_load(K3S)
    data["users"][0]["user"] = {"exec": {"command": "rm"}, "tokenFile": "/root/.ssh/id"}
    notes = merged("", new=yaml.safe_dump(data))[1].notes
    assert "runs a command" in notes[0] and notes[1].endswith("whoever uses it: tokenFile")
    data["users"][0]["user"] = {"auth-provider": {"name": "oidc"}}
    assert "runs a command" in merged("", new=yaml.safe_dump(data))[1].notes[0]
    data["clusters"][0]["cluster"]["certificate-authority"] = "/etc/ca.pem"
    assert merged("", new=yaml.safe_dump(data))[1].notes[1].endswith("whoever uses it: certificate-authority")


def test_what_is_particular_in_a_machines_kubeconfig_is_kept():
    data = yaml.safe_load(K3S)
    data["contexts"][0]["context"] |= {
        "namespace": "x",
        "extensions": [{"name": "e", "extension": {"on": "y"}}],
    }
    for number, part in enumerate(PARTS):
        data[part][0] |= {"x-more": number}
    data["users"][0]["user"] |= {"token": "1e3", "username": "yes", "password": "0755"}
    text, change = merged(FLEET, new=yaml.safe_dump(data))
    assert entry(change.data, "contexts", "k8s-dev")["context"]["namespace"] == "x"
    names = (change.cluster, "k8s-dev", change.cluster)
    kept = [entry(change.data, part, name) for part, name in zip(PARTS, names, strict=True)]
    assert [item["x-more"] for item in kept] == [0, 1, 2]
    assert yaml.safe_load(text) == change.data
    assert entry(yaml.safe_load(text), "users", change.cluster)["user"]["password"] == "0755"


NOT_KUBECONFIGS = [
    ("just words", "not a YAML mapping"),
    ("- a\n- b\n", "not a YAML mapping"),
    ("a: 1\n", "no clusters, contexts and users"),
    ("kind: Pod\nclusters: []\n", "kind must be Config"),
    ("apiVersion: v2\nclusters: []\n", "kind must be Config"),
    ("clusters: {}\nusers: x\n", "users must be a list"),
    ("clusters: [x]\n", "entry 1 of its clusters"),
    ("users: [{user: {}}]\n", "entry 1 of its users"),
    ("contexts: [{name: a}, {name: b, context: [x]}]\n", "entry 2 of its contexts"),
    ("a: [1\nSECRET: x", "not valid YAML \\(line 2"),
    ("a: 1\nb: *SECRET", "not valid YAML"),
    ("a: !!python/object:SECRET.x {}", "not valid YAML"),
    ("users: []\nb: 2024-13-45", "does not match its type"),
    ("users: []\nb: !!int SECRET", "does not match its type"),
    ("users: []\nb: !!int ''", "does not match its type"),
    ("users: []\nb: !!timestamp SECRET", "does not match its type"),
    ("users: []\n? [SECRET]\n: 1", "not valid YAML"),
    ("users: []\n---\nSECRET: x", "not valid YAML"),
    ("users: []\nusers: [SECRET]", "duplicate key on lines 1 and 2"),
    ("\x00SECRET", "not valid YAML"),
    ("a: \ud800", "does not match|not valid YAML"),
    *(
        (text, "deeper than 100 levels")
        for text in (
            "[" * 5000,
            "[" * 300_000,
            "- " * 300_000,
            "? " * 300_000,
            "a: [" + "{SECRET: [" * 5000,
            "a: " + "{b: " * 101 + "}" * 101,
            "a: " + "[b: " * 51 + "]" * 51,
            "".join(" " * level + "SECRET:\n" for level in range(3000)),
            "".join(f"{' ' * level}a:\n{' ' * level}-\n" for level in range(51)),
            "".join(f"{' ' * level}a:\r{' ' * level}-\r" for level in range(51)),
            "a:\r" + "- " * 300_000,
            "a:\x85" + "- " * 300_000,
            "a:\u2028" + "- " * 300_000,
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1500)),
        )
    ),
    ("a: [" + "[]," * 300 + "SECRET", "not valid YAML"),  # many brackets, but not one in another
]


@pytest.mark.parametrize("text, said", NOT_KUBECONFIGS, ids=[ascii(row[0])[:30] for row in NOT_KUBECONFIGS])
def test_not_a_kubeconfig(text, said):
    with pytest.raises(Fault, match=said) as fault:
        data_of(text)
    assert "SECRET" not in str(fault.value)


NESTED = {
    "flow": "a: " + "{b: " * 99 + "x" + "}" * 99,
    "block": "".join(f"{' ' * level}a:\n{' ' * level}-\n" for level in range(49)),
    "keys that are numbers": "a: " + "{1: " * 99 + "x" + "}" * 99,
    "brackets in a text": f"a: '{'[' * 500}'",
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_nesting_within_the_bound(text):
    document = yaml_parse.parse(text, "it")
    assert yaml_parse.parse(yaml_edit.dump(document.data), "it").data == document.data


def test_alias_bombs_are_refused_and_plain_aliases_are_not():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(Fault, match="expands to more than"):
        data_of(bomb + "users: []\n")
    with pytest.raises(Fault, match="deeper than"):
        data_of("users: &a [*a]\n")  # a list that contains itself
    text = "users:\n- &a\n  name: one\n  user: &u {token: x}\n- name: two\n  user: *u\n"
    assert merged(text)[1].data["users"][1]["user"] == {"token": "x"}
    assert yaml.safe_load(merged(text)[0])["users"][1]["user"] == {"token": "x"}
    flow = "{users: [{name: one, user: &u {token: x}}, {name: two, user: *u}], clusters: [], contexts: []}"
    assert "&" not in merged(flow)[0], "kubectl is the reader"


LAYOUTS = {
    "json": json.dumps(yaml.safe_load(K3S)),
    "json in lines": json.dumps(yaml.safe_load(K3S), indent=2),
    "no line end": FLEET.rstrip("\n"),
    "lines of Windows": FLEET.replace("\n", "\r\n"),
    "start and end marks": f"---\n{FLEET}...\n",
    "flow lists": "users: [{name: a, user: {token: x}}]\nclusters: []\ncontexts: []\n",
    "dashes alone": "users:\n-\n  name: a\n  user: {token: x}\n- # a - b\n  name: b\n  user: {}\n",
    "sorted": yaml.safe_dump(yaml.safe_load(FLEET)),
    "byte order mark": "\ufeff" + K3S,
    "beyond ASCII": FLEET.replace("home-admin", "h\u00f6me-\U0001f600"),
    "other line breaks": FLEET.replace("minikube", '"a\u2028b\u0085c"'),
    "quoted on": "users:\n- name: a\n  user: {token: 'x\n\n   y'}\n- name: b\n  more: \"x\n\n   \"\n\n",
    "plain on": "users:\n- name: a\n  user:\n    token: x\n\n      y\n\n\nclusters:\n- name: q\n",
    "tabs behind": FLEET.replace("kind: Config", "kind: Config\t"),
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(text):
    before = data_of(text)
    after, change = merged(text, "k8s-new")
    assert data_of(after) == change.data
    for part in PARTS:
        assert [e for e in change.data[part] if e in (before.get(part) or [])] == (before.get(part) or [])
    back = data_of(removed(after, "k8s-new")[0])
    assert {key: value for key, value in back.items() if key in before and value} == {
        key: value for key, value in before.items() if value
    }


def test_the_order_of_the_keys_stays():
    text = '{"users": [], "kind": "Config", "preferences": {}, "clusters": [], "contexts": []}'
    assert list(data_of(merged(text)[0]))[:5] == ["users", "kind", "preferences", "clusters", "contexts"]


# Properties

NAMES = st.sampled_from(["k8s-a", "k8s-b", "k8s-c", "home", "cloud", "dev", "x y", "123", "true", "~"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(
    st.sampled_from(["server", "token", "exec", "extensions", "odd"]), VALUES, max_size=3
)


def entries(inner):
    return st.lists(
        st.fixed_dictionaries({"name": NAMES, inner: BODIES}, optional={"more": VALUES}), max_size=4
    )


CONTEXTS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "context": st.fixed_dictionaries({"cluster": NAMES, "user": NAMES},
                                                         optional={"namespace": st.text(max_size=5)})}
    ), max_size=5
)  # fmt: skip
CONFIGS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Config"), "clusters": entries("cluster"),
     "contexts": CONTEXTS, "current-context": NAMES | st.just(""), "users": entries("user")},
    optional={"extensions": VALUES, "preferences": VALUES},
)  # fmt: skip
STYLES = st.fixed_dictionaries(
    {"sort_keys": st.booleans(), "indent": st.sampled_from([2, 4]),
     "default_flow_style": st.sampled_from([False, None])}
)  # fmt: skip


def texts_of_others(text, machine):
    """The text of every entry that the machine has no part in."""
    document = yaml_parse.parse(text, "it")
    own = {c["context"][inner] for c in document.data["contexts"] if c["name"] == machine
           for inner in ("cluster", "user")} | {machine}  # fmt: skip
    found = []
    for key, node in document.node.value:
        if key.value in PARTS:
            places = yaml_edit._places(text, node) or []
            found += [text[a:b] for (a, b), e in zip(places, document.data[key.value], strict=False)
                      if e["name"] not in own]  # fmt: skip
    return found


@settings(max_examples=150, deadline=None)
@given(CONFIGS, STYLES)
def test_a_merge_touches_no_byte_of_others(config, style):
    text = yaml.dump(config, Dumper=yaml.SafeDumper, allow_unicode=True, **style)
    before = data_of(text)
    after, change = merged(text, "k8s-a")
    assert data_of(after) == change.data  # also where the text is not read again
    assert change.data.get("extensions") == before.get("extensions")
    others = [c for c in before["contexts"] if c["name"] != "k8s-a"]
    assert [c for c in change.data["contexts"] if c["name"] != "k8s-a"] == others
    own = next(c["context"] for c in change.data["contexts"] if c["name"] == "k8s-a")
    assert own["cluster"] == own["user"]
    for part in ("clusters", "users"):
        assert [e["name"] for e in change.data[part]].count(own["cluster"]) == 1
    if all(config[part] for part in PARTS):
        kept = texts_of_others(text, "k8s-a")
        assert [entry for entry in kept if entry not in after] == []
    assert merged(after, "k8s-a")[0] == after  # twice is once


@settings(max_examples=150, deadline=None)
@given(CONFIGS)
def test_merge_then_remove_is_the_identity(config):
    config["contexts"] = [c for c in config["contexts"] if c["name"] != "k8s-a"]
    if config["current-context"] not in [c["name"] for c in config["contexts"]]:
        config["current-context"] = ""
    text = yaml.safe_dump(config, sort_keys=False)
    back, _ = removed(merged(text, "k8s-a")[0], "k8s-a")
    assert data_of(back) == config
    if all(config[part] for part in PARTS) and config["current-context"]:
        assert back == text


@settings(max_examples=150, deadline=None)
@given(CONFIGS)
def test_merges_commute_up_to_order(config):
    config["contexts"] = [c for c in config["contexts"] if c["name"] not in ("k8s-a", "k8s-b")]
    config["contexts"].append({"name": "here", "context": {"cluster": "home", "user": "home"}})
    config["current-context"] = "here"
    text = yaml.safe_dump(config)

    def both(*machines):
        result = text
        for machine in machines:
            result = merged(result, machine)[0]
        data = data_of(result)
        return {key: sorted(map(repr, value)) if key in PARTS else value for key, value in data.items()}

    assert both("k8s-a", "k8s-b") == both("k8s-b", "k8s-a")


def renamed(text: str, old: str, new: str) -> tuple[str, kubeconfig.Edit]:
    document = yaml_parse.parse(text, "x")
    change = kubeconfig.rename(document.data, old, new)
    return yaml_edit.render(document, change.data), change


def test_a_renamed_machine_keeps_cluster_user_and_credentials():
    text, before = merged(FLEET)
    after, change = renamed(text, "k8s-dev", "k8s-new")
    assert change.cluster == before.cluster
    assert [c["name"] for c in change.data["contexts"]] == [
        {"k8s-dev": "k8s-new"}.get(c["name"], c["name"]) for c in before.data["contexts"]
    ]
    assert (change.data["clusters"], change.data["users"]) == (before.data["clusters"], before.data["users"])
    assert yaml.safe_load(after) == change.data
    assert renamed(after, "k8s-dev", "k8s-new")[0] == after  # again
    assert merged(after, "k8s-new")[1].cluster == before.cluster  # its next play finds it
    assert renamed(after, "k8s-new", "k8s-dev")[1].data == before.data
    here = renamed(
        text.replace("current-context: k8s-home", "current-context: k8s-dev"), "k8s-dev", "k8s-new"
    )[1]
    assert here.data["current-context"] == "k8s-new"
    with pytest.raises(
        Fault, match="has a context k8s-home already, of cluster home, so k8s-dev cannot be called so"
    ):
        renamed(text, "k8s-dev", "k8s-home")


@settings(max_examples=100, deadline=None)
@given(CONFIGS, STYLES)
def test_a_rename_touches_no_byte_of_others(config, style):
    config["contexts"] = [c for c in config["contexts"] if c["name"] != "k8s-new"]
    text = yaml.dump(config, Dumper=yaml.SafeDumper, allow_unicode=True, **style)
    after, change = renamed(text, "k8s-a", "k8s-new")
    assert data_of(after) == change.data
    back = renamed(after, "k8s-new", "k8s-a")[1].data
    assert back == data_of(text)
    if all(config[part] for part in PARTS):
        assert [entry for entry in texts_of_others(text, "k8s-a") if entry not in after] == []
