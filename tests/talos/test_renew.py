"""What the nightly run does for a cluster, by stages that are only noted: nothing where the cluster does not stand."""

import pytest

from fleet.talos import access, stages
from fleet.talos.configure import Outcome
from fleet.talos.stages import Run

CASES = [
    (None, False, False, [], False),
    ({}, False, False, ["secrets", "kubeconfig"], False),
    ({}, True, False, ["secrets", "kubeconfig"], True),
    ({}, False, True, ["secrets", "kubeconfig"], True),
]


@pytest.mark.parametrize(("known", "secrets", "kubeconfig", "done", "changed"), CASES)
def test_renew(monkeypatch, parse, known, secrets, kubeconfig, done, changed):
    called = []
    monkeypatch.setattr(access, "stored", lambda store, cluster: known)
    for name, outcome in (("secrets", secrets), ("kubeconfig", kubeconfig)):
        stage = lambda run, name=name, outcome=outcome: called.append(name) or Outcome(outcome, name)  # noqa: E731
        monkeypatch.setattr(stages, f"_{name}", stage)
    cluster = parse()
    run = Run(cluster, cluster.nodes[0], None, None, None, 1, False)
    assert stages.STAGES["renew"](run).changed is changed
    assert called == done
