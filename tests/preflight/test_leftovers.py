"""What an interrupted apply left in Proxmox."""

import pytest

from fleet.findings import Fault
from fleet.preflight import leftovers, offered
from fleet.proxmox.client import Guest
from fleet.proxmox.errors import Refused
from tests.helpers.machines import Cluster, made

MARKED = {"name": "k8s-dev", "description": "tests\n\nproxmox-gitops: k8s-dev"}


@pytest.mark.parametrize(
    ("name", "configs", "vmid", "found", "problem"),
    [
        ("k8s-dev", {510: MARKED}, None, 510, ""),
        ("", {510: MARKED}, None, 510, ""),  # so new that the cluster's list has no name for it
        ("k8s-dev", {510: MARKED}, 510, 510, ""),
        ("k8s-dev", {510: MARKED}, 511, None, "but its file says 511"),
        ("k8s-dev", {510: {"name": "k8s-dev"}}, None, None, "already exists as VMID 510 on node01"),
        ("k8s-dev", {510: {"name": "k8s-dev"}}, 510, 510, ""),  # taken over, since the file names it
        ("k8s-dev2", {510: MARKED | {"name": "k8s-dev2"}}, None, None, ""),
        ("", {510: {"name": "other"}}, None, None, ""),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=192.168.1.20/24"}}, None, 510, ""),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=dhcp"}}, None, 510, ""),
        (
            "k8s-dev",
            {510: MARKED | {"ipconfig0": "ip=10.0.0.9/24"}},
            None,
            None,
            "already exists as VMID 510",
        ),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=10.0.0.9/24"}}, 510, 510, ""),
    ],
)
def test_orphans(name, configs, vmid, found, problem):
    cluster = Cluster([Guest(510, name, "node01", False, "stopped", "")], configs)
    wanted = {"k8s-dev": made("k8s-dev", **({"vmid": vmid} if vmid else {}))}
    imports, findings = leftovers.orphans(cluster, cluster.guests(), wanted)
    assert {name: machine.vmid for name, machine in imports.items()} == ({"k8s-dev": found} if found else {})
    assert problem in "".join(finding.message for finding in findings)
    assert bool(problem) == bool(findings)


def test_containers_are_ignored():
    """Of a nameless one, or one of the same name, there is no machine's configuration to ask for."""
    found = [
        Guest(id, name, "node01", False, "running", "", True) for id, name in ((105, ""), (106, "k8s-dev"))
    ]
    cluster = Cluster([*found, Guest(107, "ubuntu24-template", "node01", True, "stopped", "", True)], {})
    assert leftovers.orphans(cluster, found, {"k8s-dev": made("k8s-dev")}) == ({}, [])
    assert offered.template_of(made("k8s-dev"), cluster.guests()) is None


def test_an_orphan_is_waited_for_while_its_clone_goes_on(capsys):
    cluster = Cluster(
        [Guest(510, "k8s-dev", "node01", False, "stopped", "clone")],
        {510: [MARKED, *[MARKED | {"lock": "clone"}] * 2, MARKED]},
    )
    slept = []
    imports, findings = leftovers.orphans(
        cluster, cluster.guests(), {"k8s-dev": made("k8s-dev")}, sleep=slept.append
    )
    assert (list(imports), findings, len(slept)) == (["k8s-dev"], [], 2)
    assert "the clone of an interrupted run is still in progress" in capsys.readouterr().err


def test_a_clone_that_was_cut_off_is_told():
    cluster = Cluster(
        [Guest(510, "k8s-dev", "node01", False, "stopped", "")], {510: MARKED | {"lock": "clone"}}
    )
    cluster.working = False
    with pytest.raises(Fault, match=r"locked \(clone\), but no task runs there.*`qm unlock 510`"):
        leftovers.orphans(cluster, cluster.guests(), {"k8s-dev": made("k8s-dev")})


TASKS = "nodes/node01/tasks"
BEGUN = {"upid": "UPID:node01:0001:0002:0003:qmcreate:510:terraform@pve!gitops:"}
NAMELESS = Guest(510, "VM 510", "node01", False, "stopped", "create")
CUT_OFF = (
    "VMID 510 on node01 has a lock (create) and no name, and no task works on it: a creation was cut off there; remove"
    " it with `qm unlock 510` and `qm destroy 510`"
)


@pytest.mark.parametrize(
    ("tasks", "after", "found", "said"),
    [
        ([BEGUN], MARKED, ["k8s-dev"], []),
        ([BEGUN], {"name": "other"}, [], []),
        ([BEGUN], Refused("does not exist", 500), [], []),  # the creation failed
        ([BEGUN | {"upid": BEGUN["upid"].replace("terraform", "ana")}], MARKED, [], []),  # is not waited for
        ([BEGUN | {"endtime": 1}], MARKED, [], [CUT_OFF]),
        ([], MARKED, [], [CUT_OFF]),
    ],
)
def test_a_machine_that_an_interrupted_run_has_begun_to_make(tasks, after, found, said):
    """Until its first disk is filled, Proxmox shows a lock alone."""
    begun = [{"lock": "create"}] * 3
    cluster = Cluster([NAMELESS], {510: [*begun, *[after] * 5]}, told={TASKS: tasks})
    machines = cluster.guests()
    cluster.list = [NAMELESS] if isinstance(after, dict) else []
    imports, findings = leftovers.orphans(
        cluster, machines, {"k8s-dev": made("k8s-dev")}, sleep=lambda _: None
    )
    assert (list(imports), [one.message for one in findings]) == (found, said)
    assert all(one.level == "warning" for one in findings)


def test_two_orphans_of_one_name():
    machines = [Guest(vmid, "k8s-dev", "node01", False, "stopped", "") for vmid in (510, 511)]
    cluster = Cluster(machines, {510: MARKED, 511: MARKED})
    imports, findings = leftovers.orphans(cluster, machines, {"k8s-dev": made("k8s-dev")})
    assert not imports
    assert "exists twice in Proxmox, as VMID 510 on node01 and VMID 511 on node01" in findings[0].message
