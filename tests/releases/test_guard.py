"""The guard of a workspace's plan, on plans and releases as data."""

import base64
import gzip
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fleet.findings import Fault
from fleet.releases import guard, left, outcome, plan, stored
from fleet.releases.asked import Asked

NOW = 1_800_000_000.0


def secret(name="loki", status="deployed", revision=1, namespace="obs", age=1000.0, config=None, **more):
    """One revision as helm stores it."""
    chart = {"metadata": {"name": more.pop("chart", name), "version": more.pop("version", "1.0.0")}}
    said = {"name": name, "version": revision, "chart": chart, "config": config,
            "info": {"status": status, "description": more.pop("description", "")}}  # fmt: skip
    packed = base64.b64encode(gzip.compress(json.dumps(said).encode()))
    labels = {"owner": "helm", "name": name, "status": status, "modifiedAt": str(int(NOW - age))} | more
    made = SimpleNamespace(
        name=f"sh.helm.release.v1.{name}.v{revision}", namespace=namespace, labels=labels,
        creation_timestamp=datetime.fromtimestamp(NOW - age, UTC),
    )  # fmt: skip
    data = {"release": base64.b64encode(packed).decode()}
    return SimpleNamespace(type="helm.sh/release.v1", metadata=made, data=data)


def present(*secrets):
    return stored.read(SimpleNamespace(secrets=lambda label_selector: list(secrets)))


def resource(actions, name="loki", namespace="obs", before=None, after=None, address=None, **more):
    """An entry of `resource_changes`, and of `resource_drift`."""
    values = {
        "name": name,
        "namespace": namespace,
        "chart": name,
        "version": "1.0.0",
        "timeout": 60,
        "values": [],
    }
    there, wanted = "create" not in actions or "delete" in actions, actions not in (["delete"], ["forget"])
    change = {"actions": actions, "before": values | (before or {}) if there else None,
              "after": values | (after or {}) if wanted else None, **more}  # fmt: skip
    where = address or f"module.x[0].helm_release.{name}"
    return {"address": where, "mode": "managed", "type": "helm_release", "name": name, "change": change}


def judged(
    changes, has=(), drift=(), destroy=(), workloads=("observability",), owners=None, contexts=("x", "x")
):
    context = {"before": contexts[0], "after": contexts[1]}
    made = plan.read(
        {
            "resource_changes": list(changes),
            "resource_drift": list(drift),
            "output_changes": {"context": {"actions": ["no-op"]} | context},
        }
    )
    asked = Asked("w", workloads, frozenset(destroy), owners or {})
    return [(one.level, one.message) for one in guard.judge(made, present(*has), asked, NOW)]


SAME, NEW, GO = ["no-op"], ["create"], ["delete"]
AGAIN = ["delete", "create"]
KEEP = resource(SAME, "other")
FORGOTTEN = resource(GO, before={"metadata": {"revision": 2}})

QUIET = {
    "nothing to do": ([resource(SAME)], [secret()], {}),
    "a first installation": ([resource(NEW)], [], {}),
    "an upgrade": ([resource(["update"], after={"version": "2"})], [secret()], {}),
    "removed with a word": ([resource(GO), KEEP], [secret()], {"destroy": ["w/loki"]}),
    "made again with a word": ([resource(AGAIN)], [secret()], {"destroy": ["w/loki"]}),
    "all of an empty map": ([resource(GO)], [secret()], {"destroy": ["w/loki"], "workloads": ()}),
    "an upgrade that helm rolled back": (
        [resource(["update"])],
        [secret(status="failed", revision=2), secret(revision=3, description="Rollback to 1")],
        {"drift": [resource(["update"], before={"metadata": {"revision": 1}})]},
    ),
    "an uninstallation that was cut off": (
        [resource(GO), KEEP], [secret(status="uninstalling")], {"destroy": ["w/loki"]}
    ),
    "a pending one that is to go": (
        [resource(GO), KEEP], [secret(status="pending-install")], {"destroy": ["w/loki"]}
    ),
    "another's release": ([resource(SAME)], [secret(), secret("grafana", status="pending-install")], {}),
    "the same name elsewhere": ([resource(NEW)], [secret(namespace="monitoring")], {}),
    "another workspace's approval": ([resource(SAME)], [secret()], {"destroy": ["v/loki"]}),
    "values in another order": (
        [resource(SAME, before={"values": ["a: 1\nb: {c: [1]}\n", "b: {d: null, e: 2.0}\n"]})],
        [secret(config={"b": {"e": 2, "c": [1]}, "a": 1})],
        {},
    ),
    "a new cluster for what has nothing yet": ([resource(NEW)], [], {"contexts": ("k8s-a", "k8s-b")}),
    "a first apply": ([resource(NEW)], [], {"contexts": (None, "k8s-b")}),
    "values that `set` decides": (
        [resource(SAME, before={"values": ["a: 1\n"], "set": [{"name": "b.c", "value": "2"}]})],
        [secret(config={"a": 1, "b": {"c": 2}})],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes, has, more", QUIET.values(), ids=QUIET)
def test_passes_without_a_word(changes, has, more):
    assert judged(changes, has, **more) == []


SPOKEN = {
    "the provider could not read it": (
        [resource(NEW)], [secret(revision=2)], {"drift": [FORGOTTEN]},
        "error", "Terraform takes loki for gone, but it is in the cluster (namespace obs, revision 2, deployed)",
    ),
    "it was not read, and has left the map": (
        [KEEP], [secret()], {"drift": [FORGOTTEN], "destroy": ["w/loki"]}, "error", "takes loki for gone",
    ),
    "another cluster, which has nothing": (
        [resource(NEW)], [], {"drift": [FORGOTTEN], "contexts": ("k8s-a", "k8s-b")},
        "error", "w has loki on k8s-a, and its context is now k8s-b: they would go on running there",
    ),
    "another cluster, which has a namesake": (
        [resource(["update"])], [secret()], {"contexts": ("k8s-a", "k8s-b")}, "error", "workspace delete -force w`",
    ),
    "another cluster, and a word for what is on this one": (
        [resource(GO), KEEP], [secret()], {"destroy": ["w/loki"], "contexts": ("k8s-a", "k8s-b")},
        "error", "w has loki, other on k8s-a",
    ),
    "removed by hand": (
        [resource(NEW)], [], {"drift": [FORGOTTEN]}, "notice", "was removed outside of Terraform",
    ),
    "installed by hand": (
        [resource(NEW)], [secret(chart="mine")], {},
        "error", "env TF_WORKSPACE=w terraform -chdir=clusters import 'module.x[0].helm_release.loki' obs/loki`",
    ),
    "installed by hand with other values": ([resource(NEW)], [secret(config={"a": 1})], {}, "error", "already, and"),
    "renamed to one installed by hand": (
        [resource(AGAIN, after={"name": "tempo"}, replace_paths=[["name"]])], [secret(), secret("tempo")],
        {"destroy": ["w/loki"]}, "error", "tempo is in namespace obs already",
    ),
    "installed by a run that was killed": ([resource(NEW)], [secret()], {}, "notice", "this apply takes it over"),
    "a first installation that failed": (
        [resource(NEW, after={"values": ["a: 1"]})], [secret(status="failed", config={"a": 1})], {},
        "notice", "this apply repairs it",
    ),
    "somebody's that failed": (
        [resource(NEW)], [secret(status="failed", config={"persistence": True})], {}, "error", "not by this workspace",
    ),
    "somebody's of another version that failed": (
        [resource(NEW)], [secret(status="failed", version="2.0.0")], {}, "error", "not by this workspace",
    ),
    "another chart's that failed": ([resource(NEW)], [secret(status="failed", chart="mine")], {}, "error", "import"),
    "another workspace's": (
        [resource(NEW)], [secret()], {"owners": {"obs/loki": "v"}},
        "error", "is in the state of workspace v; take it out of one of the two",
    ),
    "moved in the configuration": (
        [resource(NEW, address="module.y.helm_release.loki"), resource(GO), KEEP], [secret()],
        {"destroy": ["w/loki"]},
        "error", "state mv 'module.x[0].helm_release.loki' module.y.helm_release.loki`",
    ),
    "removed without a word": (
        [resource(GO), KEEP], [secret()], {}, "error", "would uninstall loki; put it back into the configuration, or"
        " commit with [destroy w/loki]",
    ),
    "made again without a word": (
        [resource(AGAIN, after={"namespace": "x"}, replace_paths=[["namespace"]])], [secret()], {},
        "error", "install it again because of namespace; revert that, or commit with [destroy w/loki]",
    ),
    "forgotten by the configuration": ([resource(["forget"]), KEEP], [secret()], {}, "error", "would go on running"),
    "all of a map that is not empty": (
        [resource(GO)], [secret()], {"destroy": ["w/loki"]}, "error", "every release of w although its workloads are",
    ),
    "an install that was killed": (
        [resource(NEW)], [secret(status="pending-install")], {}, "error", "`helm uninstall loki -n obs`",
    ),
    "an upgrade that was killed": (
        [resource(SAME)], [secret(revision=3), secret(revision=4, status="pending-upgrade")], {},
        "error", "is pending-upgrade since 16 min, longer than its timeout of 60 s: the run that began it was killed."
        " If none is at it any more, end that with `helm rollback loki 3 -n obs`",
    ),
    "an upgrade that was killed after a rollback that failed": (
        [resource(SAME)], [secret(revision=4, status="failed"), secret(revision=5, status="pending-upgrade")], {},
        "error", "`helm rollback loki REVISION -n obs`, to a good one of `helm history loki -n obs`, and run this",
    ),
    "an upgrade that runs": (
        [resource(SAME)], [secret(revision=4, status="pending-upgrade", age=40)], {},
        "error", "since 40 s: another run is at it; wait until it ends, 60 s at most",
    ),
    "an uninstallation that was killed": (
        [resource(["update"])], [secret(status="uninstalling")], {}, "error", "`helm uninstall loki -n obs`",
    ),
    "uninstalled with its history kept": (
        [resource(SAME)], [secret(status="uninstalled", age=1)], {}, "error", "takes it for installed; end that with",
    ),
    "values changed by hand": (
        [resource(SAME, before={"values": ["a: {b: 1, c: s3cret}\n"]})], [secret(config={"a": {"b": 2, "c": "x"}})], {},
        "warning", "values were changed in the cluster, at a.b, a.c; nothing changes them back: `helm history loki -n",
    ),
    "values changed by hand before an upgrade": (
        [resource(["update"], before={"values": ["a: 1\n"]}, after={"values": ["a: 3\n"]})], [secret(config={"a": 2})],
        {}, "warning", "at a; this apply overwrites them",
    ),
    "upgraded by hand": (
        [resource(SAME)], [secret(revision=3)],
        {"drift": [resource(["update"], before={"metadata": {"revision": 2}})]},
        "notice", "is at revision 3, and the last apply made 2",
    ),
    "an approval of what stays": ([resource(SAME)], [secret()], {"destroy": ["w/loki"]}, "notice", "release is wanted"),
    "an approval with a slip": (
        [resource(SAME)], [secret()], {"destroy": ["w/lokki"]}, "warning", "releases: loki; did you mean loki?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes, has, more, level, said", SPOKEN.values(), ids=SPOKEN)
def test_says(changes, has, more, level, said):
    found = judged(changes, has, **more)
    assert len(found) == 1, found
    assert found[0][0] == level and said in found[0][1]
    assert (level == "error") == found[0][1].startswith("refused: ")
    assert "s3cret" not in found[0][1]


UNREADABLE = {
    "no release": {},
    "no base64": {"release": "%%"},
    "no gzip": {"release": base64.b64encode(base64.b64encode(b"{}")).decode()},
    "cut off": {"release": base64.b64encode(base64.b64encode(gzip.compress(b"[1,2,3]" * 99)[:-9])).decode()},
    "no JSON": {"release": base64.b64encode(base64.b64encode(gzip.compress(b"x"))).decode()},
    "another JSON": {"release": base64.b64encode(base64.b64encode(gzip.compress(b"[]"))).decode()},
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_a_secret_that_helm_did_not_write(data):
    made = secret()
    made.data = data
    with pytest.raises(Fault, match=r"kubectl get secret sh\.helm\.release\.v1\.loki\.v1 -n obs"):
        present(made)


def test_a_release_that_unpacks_without_end(monkeypatch):
    monkeypatch.setattr(stored, "MOST", 1000)
    with pytest.raises(Fault):
        present(secret(config={"a": "x" * 2000}))


def test_other_secrets_are_not_read():
    made = secret()
    made.type, made.data = "Opaque", None
    assert present(made) == {}


OUTCOMES = [
    # the change, what was there, what is there, the row's end, a part of the error
    (resource(NEW), [], [secret()], "installed", None),
    (resource(["update"]), [secret()], [secret(revision=2)], "upgraded", None),
    (resource(SAME), [secret()], [secret()], "-", None),
    (resource(GO), [secret()], [], "uninstalled", None),
    (resource(AGAIN), [secret(revision=7)], [secret(revision=1)], "reinstalled", None),
    (resource(NEW), [], [], "not installed", "its installation failed and was undone; the next run"),
    (resource(GO), [secret()], [secret()], "not uninstalled", "`helm uninstall loki -n obs`"),
    (resource(["update"]), [secret()], [secret()], "not changed", "see Terraform's error above"),
    (resource(["update"]), [secret()], [secret(status="failed", revision=2, description="timed out")], "failed",
     "loki is failed: timed out; the next run tries again"),
    (resource(["update"]), [secret()],
     [secret(status="failed", revision=2, description="timed out"), secret(revision=3, description="Rollback to 1")],
     "rolled back", "could not be upgraded and was rolled back: timed out; the next run"),
]  # fmt: skip


@pytest.mark.parametrize("change, before, after, row, said", OUTCOMES)
def test_outcome(change, before, after, row, said):
    found = outcome.of(plan.read({"resource_changes": [change]}), present(*before), present(*after))
    assert [one[-1] for one in found.rows] == [row] and found.rows[0][:2] == ("loki", "obs")
    assert [said in one.message for one in found.findings] == ([True] if said else [])


STATE = {
    "resources": [
        {"mode": "managed", "module": "module.x[0]", "type": "helm_release", "name": "this",
         "instances": [{"attributes": {"name": "loki", "namespace": "obs"}}]},
        {"mode": "managed", "type": "null_resource", "name": "a", "instances": [{"index_key": "k", "attributes": {}}]},
        {"mode": "data", "type": "x", "name": "a", "instances": [{"attributes": {}}]},
    ]
}  # fmt: skip


def test_state_of_a_workspace_that_left_the_maps():
    found = plan.state(json.dumps(STATE))
    assert found == {"module.x[0].helm_release.this": "obs/loki", 'null_resource.a["k"]': ""}
    said = left.left_maps("w", found).message
    assert "[destroy w/loki];" in said and "`w = []`" in said and "workspace delete -force w`" in said
    assert left.left_maps("w", plan.state("")) is None
    assert "put k8s-w back" in left.without_cluster("w", "k8s-w", found)
    for text in ("[]", "{}", "x"):
        with pytest.raises(Fault):
            plan.state(text)


PRINTED = """\
  ~ resource "helm_release" "this" {
      ~ id               = "loki" -> (known after apply)
      ~ metadata         = {
          ~ notes        = <<-EOT
                s3cret

                }
            EOT -> (known after apply)
          ~ values       = jsonencode(
                {
                  - password = "s3cret"
                }
            ) -> (known after apply)
        } -> (known after apply)
        name             = "loki"
      ~ values           = [
          - "a: 1",
        ]
    }
      - metadata = {} -> null
"""


def test_a_plan_is_shown_without_what_was_read_in_the_cluster():
    shown = plan.shown(PRINTED)
    assert "s3cret" not in shown and shown.count("metadata") == 1
    assert shown.count("\n") == 8 and '- "a: 1"' in shown


def test_another_json_is_no_plan():
    for other in ({"resource_changes": [{"type": "helm_release"}]}, {"resource_drift": [1]}):
        with pytest.raises(Fault):
            plan.read(other)


@pytest.mark.parametrize(
    ("given", "idle"),
    [
        ({}, True),
        ({"resource_changes": [{"actions": ["no-op"]}], "output_changes": {"releases": ["no-op"]}}, True),
        ({"resource_changes": [{"actions": ["update"]}]}, False),
        ({"output_changes": {"releases": ["update"]}}, False),
        ({"resource_drift": [{"actions": ["update"]}]}, False),  # the state is to be written
    ],
)
def test_whether_an_apply_would_do_anything(given, idle):
    release = {"address": "helm_release.a", "type": "helm_release", "name": "a", "mode": "managed"}
    values = {"name": "a", "namespace": "a"}
    for part in ("resource_changes", "resource_drift"):
        given[part] = [
            release | {"change": {"before": values, "after": values} | one} for one in given.get(part, ())
        ]
    given["output_changes"] = {
        name: {"actions": said} for name, said in given.get("output_changes", {}).items()
    }
    assert plan.read(given).idle is idle
