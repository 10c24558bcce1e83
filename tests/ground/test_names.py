"""The table of kinds: what a machine's name decides, and that nothing else contradicts it."""

import ast
import json
import re

import pytest

from fleet import names
from fleet.paths import INVENTORY, PROXMOX_DIR, ROOT, SCHEMA

SCRIPTS = ROOT / "scripts"
K3S = {"k3s", *(group for group, parent in names.PARENTS.items() if parent == "k3s")}
PATTERNS = [pattern for kind in names.KINDS for pattern in kind.patterns]


@pytest.mark.parametrize(
    ("name", "group", "playbook", "tag_playbook", "contexts"),
    [
        ("k8s-dev", "k3s", "k8s", "k8s", ["k8s-dev"]),
        ("k8s-dev2", "k3s", "k8s", "k8s", ["k8s-dev2"]),
        ("k8s-prod-cp01", "k3s_control_plane", "k8s-ha", "k8s-ha", ["k8s-prod-cp01", "k8s-prod"]),
        ("k8s-prod-w1", "k3s_workers", "k8s-ha", "k8s-ha", ["k8s-prod-w1"]),
        ("k8s-cp", "k3s", "k8s", "k8s", ["k8s-cp"]),  # the last part has no number
        ("k8s-cp1", "k3s", "k8s", "k8s", ["k8s-cp1"]),  # no cluster's name: a machine of its own
        ("k8s-web", "k3s", "k8s", "k8s", ["k8s-web"]),
        ("k8s-", None, None, None, []),
        ("k8s", None, None, None, []),
        ("xk8s-dev", None, None, None, []),
        ("haproxy", "haproxy", "haproxy", None, []),
        ("haproxy-dev", "haproxy", "haproxy", None, []),
        ("myhaproxy-x", None, None, None, []),
        ("haproxyx", None, None, None, []),
        ("talos-prod-cp01", "talos_control_plane", "talos", "talos", ["talos-prod-cp01", "talos-prod"]),
        (
            "talos-eu-west-cp1",
            "talos_control_plane",
            "talos",
            "talos",
            ["talos-eu-west-cp1", "talos-eu-west"],
        ),
        ("talos-prod-w03", "talos_workers", "talos", "talos", ["talos-prod-w03"]),
        ("talos-w1-cp2", "talos_control_plane", "talos", "talos", ["talos-w1-cp2", "talos-w1"]),
        ("talos-prod-web", None, None, None, []),
        ("talos-prod", None, None, None, []),
        ("db-01", None, None, None, []),
    ],
)
def test_a_name_decides(name, group, playbook, tag_playbook, contexts):
    assert (names.group_of(name), names.playbook_of(name)) == (group, playbook)
    assert names.tag_playbook_of(name) == tag_playbook
    assert names.contexts_of(name) == tuple(contexts)
    assert all(map(names.is_context, contexts))


@pytest.mark.parametrize("name", ["home", "haproxy-dev", "xk8s-dev", "talos", "k8s-"])
def test_a_context_of_a_person(name):
    assert not names.is_context(name)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_earlier_kind_hides_a_pattern(pattern):
    kind = names.kind_of(pattern.replace("*", "x").replace("<n>", "1"))
    assert pattern in kind.patterns, f"{kind.patterns} comes first: move the row of {pattern} up"


# What a new row of the table needs besides: each test names the place.
@pytest.mark.parametrize("group", names.GROUPS)
def test_the_inventory_has_a_heading_for_each_group(group):
    kinds = [kind for kind in names.KINDS if kind.group == group]
    (heading,) = {kind.heading for kind in kinds}
    patterns = ", ".join(pattern for kind in kinds for pattern in kind.patterns)
    wanted = f"# {heading}: {patterns}\n[{group}]\n"
    assert f"\n{wanted}" in INVENTORY.read_text(), f"write this into {INVENTORY}:\n{wanted}"


def test_the_inventory_has_the_groups_in_the_tables_order():
    found = re.findall(r"^\[(\w+)\]$", INVENTORY.read_text(), re.MULTILINE)
    assert [group for group in found if group in names.GROUPS] == list(names.GROUPS)


def test_the_schema_names_each_pattern():
    said = json.loads(SCHEMA.read_text())["properties"]["name"]["description"]
    assert f"({', '.join(PATTERNS)})" in said, f"update the description of `name` in {SCHEMA.resolve()}"


def test_terraforms_output_k8s_nodes_has_the_machines_of_the_k3s_group():
    path = PROXMOX_DIR / "outputs.tf"
    block = re.search(r'output "k8s_nodes" \{.*?\n\}', path.read_text(), re.DOTALL)[0]
    (prefix,) = re.findall(r'if startswith\(name, "([^"]+)"\)', block)
    assert f"{prefix}*" in block.splitlines()[1]
    for pattern in PATTERNS:
        is_k3s = names.kind_of(pattern.replace("*", "x").replace("<n>", "1")).group in K3S
        assert pattern.startswith(prefix) is is_k3s, f"update the output k8s_nodes in {path} for {pattern}"


@pytest.mark.parametrize(
    ("name", "cluster", "control_plane", "member"),
    [
        ("k8s-dev", "k8s-dev", True, False),
        ("k8s-cp1", "k8s-cp1", True, False),
        ("k8s-prod-cp01", "k8s-prod", True, True),
        ("k8s-prod-w01", "k8s-prod", False, True),
        ("k8s-eu-w1-cp2", "k8s-eu-w1", True, True),
        ("talos-prod-cp01", "talos-prod", True, True),
        ("talos-prod-w1", "talos-prod", False, True),
        ("talos-prod", None, False, False),
        ("haproxy-prod", None, False, False),
        ("db-cp1", None, False, False),
    ],
)
def test_the_cluster_of_a_name(name, cluster, control_plane, member):
    assert names.cluster_of(name) == cluster
    assert (names.is_control_plane(name), names.is_member(name)) == (control_plane, member)


@pytest.mark.parametrize(
    ("name", "clusters"),
    [
        ("haproxy-prod", ("k8s-prod", "talos-prod")),
        ("haproxy-prod-2", ("k8s-prod", "talos-prod")),
        ("haproxy-prod-12", ("k8s-prod", "talos-prod")),
        ("haproxy-eu-west", ("k8s-eu-west", "talos-eu-west")),
        ("haproxy-prod-1-2", ("k8s-prod-1", "talos-prod-1")),
        ("haproxy-prod2", ("k8s-prod2", "talos-prod2")),
        ("haproxy", ()),
        ("haproxy-1", ()),  # a number is its own
        ("haproxy--1", ()),
        ("k8s-prod", ()),
        ("nas", ()),
    ],
)
def test_the_clusters_of_a_load_balancer(name, clusters):
    assert names.clusters_served_by(name) == clusters


def test_the_load_balancers_of_a_cluster():
    machines = ["haproxy-prod-2", "haproxy-prod-1", "haproxy-dev", "haproxy", "k8s-prod-cp01", "nas"]
    assert names.load_balancers_of("k8s-prod", machines) == ["haproxy-prod-1", "haproxy-prod-2"]
    assert names.load_balancers_of("talos-dev", machines) == ["haproxy-dev"]
    assert names.load_balancers_of("k8s-eu", machines) == []


@pytest.mark.parametrize(
    ("waiting", "first"),
    [
        (["k8s-ha"], "k8s-ha"),
        (["k8s-ha", "base", "haproxy"], "haproxy"),
        (["talos", "haproxy", "k8s"], "haproxy"),
        (["base", "k8s", "haproxy"], "base"),  # neither: what a person asked for first
        (["haproxy", "k8s"], "haproxy"),
        (["k8s", "k8s-ha"], "k8s"),
    ],
)
def test_load_balancers_are_played_before_clusters(waiting, first):
    assert names.next_playbook(waiting) == first


def test_the_inventory_names_the_groups_below_another():
    assert names.PARENTS.keys() <= set(names.GROUPS) and set(names.PARENTS.values()) <= set(names.GROUPS)
    lines = INVENTORY.read_text().splitlines()
    for parent in set(names.PARENTS.values()):
        below = [group for group, above in names.PARENTS.items() if above == parent]
        index = lines.index(f"[{parent}:children]")
        assert lines[index + 1 : index + 1 + len(below)] == below


# No other module knows a kind.
PREFIXES = sorted({re.split(r"\*|-\*", pattern)[0] for pattern in PATTERNS} | set(names.GROUPS))
NAMED = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, PREFIXES))})(?![\w.])")


def literals(code: str):
    """The string literals of a module that are neither docstrings, help nor examples of how it is called."""
    nodes = list(ast.walk(ast.parse(code)))
    shown = [node.value for node in nodes if isinstance(node, ast.Expr)]
    shown += [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "help"]
    shown += [node.value for node in nodes if isinstance(node, ast.Assign) and is_examples(node)]
    skipped = {id(node) for node in shown if isinstance(node, ast.Constant)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def is_examples(node: ast.Assign) -> bool:
    return [getattr(target, "id", None) for target in node.targets] == ["EXAMPLES"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('name.startswith("k8s-")', True),
        ('re.compile(r"(k8s|haproxy)-.+")', True),
        ('group == "k3s"', True),
        ('name = f"talos-{part}"', True),
        ('said = "names no k8s-… machine"', True),  # a message goes out of date as code does
        ('"""Reads k8s-dev."""', False),
        ('option("--name", help="such as k8s-dev")', False),
        ('EXAMPLES = "run.py k8s-dev"', False),
        ('PROXMOX_DIR / "k8s.ini"', False),
        ('command = "talosctl"', False),
    ],
)
def test_what_counts_as_knowing_a_kind(code, found):
    assert any(NAMED.search(text) for _, text in literals(code)) is found


def is_about_a_kind(path) -> bool:
    """Rooms for K3s and Talos themselves, and the scripts over them: what they say and call has those names."""
    if path.parent == SCRIPTS:
        return bool(re.search(r"^from fleet\.(members|talos)\b", path.read_text(), re.MULTILINE))
    return path.parent.name in ("members", "talos") or path.stem == "talos"


def test_no_other_module_knows_a_kind():
    known = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in sorted(SCRIPTS.rglob("*.py"))
        if path.name != "names.py" and not is_about_a_kind(path)
        for line, text in literals(path.read_text())
        if NAMED.search(text)
    ]
    assert not known, "ask fleet.names instead"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("web", "db", ""),
        ("k8s-a", "k8s-b", ""),
        ("haproxy-1", "haproxy-2", ""),
        ("haproxy-prod-1", "haproxy-prod-2", ""),
        ("haproxy-prod", "haproxy-dev", "haproxy-prod serves other clusters than haproxy-dev"),
        ("web", "k8s-web", "web is in no group and k8s-web is a single-node K3s cluster"),
        ("k8s-a", "haproxy-a", "k8s-a is a single-node K3s cluster and haproxy-a is a load balancer"),
        ("k8s-prod-cp1", "k8s-prod-cp2", "k8s-prod-cp1 is a member of a cluster"),
        ("k8s-prod", "k8s-prod-cp1", "k8s-prod-cp1 is a member of a cluster"),
        ("talos-prod-w1", "talos-prod-w2", "talos-prod-w1 is a member of a cluster"),
        ("boot-server", "web", "boot-server is not managed here"),
        ("web", "boot-server", "boot-server is not managed here"),
    ],
)
def test_which_name_a_machine_may_get(old, new, why):
    said = names.not_renamed(old, new)
    assert said.startswith(why) and bool(said) is bool(why)
