"""What the nightly run does for a cluster, by stages that are only noted: nothing where the cluster does not stand."""

import pytest

from fleet.findings import Fault
from fleet.talos import access, stages
from fleet.talos.configure import Outcome
from fleet.talos.stages import Run

ALL = ["secrets", "kubeconfig", "register"]
CASES = [  # what Vault has, what each stage finds, which are called, whether something changed
    (None, {}, [], False),
    ({}, {}, ALL, False),
    ({}, {"secrets": True}, ALL, True),
    ({}, {"kubeconfig": True}, ALL, True),
    ({}, {"register": True}, ALL, True),
    ({}, {"register": Fault("the API does not answer", code=2)}, ALL, False),
    ({}, {"register": Fault("somebody else's mount")}, ALL, None),
]


@pytest.mark.parametrize(("known", "found", "done", "changed"), CASES)
def test_renew(monkeypatch, parse, known, found, done, changed):
    called = []
    monkeypatch.setattr(access, "stored", lambda store, cluster: known)

    def stage(name):
        called.append(name)
        outcome = found.get(name, False)
        if isinstance(outcome, Fault):
            raise outcome
        return Outcome(outcome, name)

    for name in ALL:
        monkeypatch.setattr(stages, f"_{name}", lambda run, name=name: stage(name))
    cluster = parse()
    run = Run(cluster, cluster.nodes[0], None, None, None, None, 1, False)
    if changed is None:
        with pytest.raises(Fault, match="somebody"):
            stages.STAGES["renew"](run)
    else:
        assert stages.STAGES["renew"](run).changed is changed
    assert called == done
