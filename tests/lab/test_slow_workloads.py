"""What runs on the clusters, from a push to releases: the workflows on the lab, on good days and on bad ones.

The tests build on each other in their order.
"""

from lab import user
from lab.demo import creation, proof, workloads
from lab.demo.workloads import MAPS, MARK, WORKSPACE, with_entry
from lab.forge import client

LATE, ADDRESS = "k8s-late", "192.168.1.25"
FULL = "echo K3S_STAND_IN_FULL=true | sudo tee /etc/default/k3s"


def marked(fleet) -> str:
    return fleet.git("ls-remote", "origin", MARK).split("\t")[0]


def jobs(runs) -> dict[str, str]:
    """The conclusion of each job that is about workspaces, by its short name."""
    found = {job["name"]: job["conclusion"] for run in runs for job in run["jobs"]}
    return {
        name.removeprefix("Workspace "): end for name, end in found.items() if name.startswith("Workspace ")
    }


def of_push(fleet, message, files, red=()):
    """The workspaces of a push and how they ended; all that is red must be among `red`."""
    runs = client.wait(fleet.push(message, files))
    ended = jobs(runs)
    assert {name for name, end in ended.items() if end != "success"} == set(red), proof.logs(runs)[-6000:]
    assert bool(client.failed(runs)) is bool(red)
    return ended, proof.logs(runs)


def test_without_a_workspace_no_job_is_started(fleet):
    creation.create(fleet)
    runs = client.wait(fleet.push("docs: a word", {"NOTES.md": "Our machines.\n"}))
    names = {job["name"] for run in runs for job in run["jobs"] if job["conclusion"] != "skipped"}
    assert not [name for name in names if "orkspace" in name or "applied" in name]


def test_one_push_installs_all_of_a_workspace(fleet):
    workloads.workloads(fleet)


def test_a_second_run_changes_nothing(fleet):
    workloads.workloads(fleet)


def test_a_push_that_changes_no_workspace_starts_none(fleet):
    before = marked(fleet)
    ended, _ = of_push(fleet, "docs: another word", {"NOTES.md": "All our machines.\n"})
    assert ended == {} and marked(fleet) == before


def test_a_cluster_that_is_not_provisioned_is_red_by_name_and_picked_up(fleet):
    machine = user.machine_file(LATE, ADDRESS, "node02", memory=2048, clone=creation.template.NAME)
    maps = with_entry(fleet.read(MAPS), "late", ("externaldns",), LATE)
    before = marked(fleet)
    files = {f"proxmox/vms/{LATE}.yaml": machine, MAPS: maps}
    ended, log = of_push(fleet, f"feat(proxmox): add {LATE}, and what runs on it", files, red=["late"])
    assert list(ended) == ["late"] and LATE in log
    assert marked(fleet) == before
    user.ssh(ADDRESS, FULL)
    ended, _ = of_push(fleet, f"feat(proxmox): now its cluster [ansible {LATE}]", {})
    assert ended == {"late": "success"}
    assert marked(fleet) != before
    assert "external-dns" in workloads.script(fleet, "with_kubeconfig.py", LATE, "--", "helm", "list", "-A")


def test_one_cluster_that_is_away_stops_no_other(fleet):
    user.ssh(ADDRESS, "sudo systemctl stop k3s")
    before = marked(fleet)
    fleet.pull()
    text = fleet.read(MAPS)
    text = text.replace('"external_secrets",\n', '"external_secrets",\n      "argocd",\n', 1)
    text = text.replace(
        'late = [\n      "externaldns"\n', 'late = [\n      "externaldns",\n      "cert_manager"\n'
    )
    ended, _ = of_push(fleet, "feat(clusters): more on both clusters", {MAPS: text}, red=["late"])
    assert ended == {"late": "failure", WORKSPACE: "success"}
    assert "argo-cd" in workloads.revisions()
    assert marked(fleet) == before
    user.ssh(ADDRESS, "sudo systemctl start k3s")
    assert not proof.not_ready(LATE, [LATE])
    revisions = workloads.revisions()
    ended, _ = of_push(fleet, "docs: one more word", {"NOTES.md": "Our machines, all of them.\n"})
    assert ended == {"late": "success", WORKSPACE: "success"}
    assert workloads.revisions() == revisions, "what had succeeded is applied again, and changes nothing"
    assert marked(fleet) != before


def test_twenty_workspaces_of_one_push(fleet):
    fleet.pull()
    text = fleet.read(MAPS)
    names = [f"many-{number:02}" for number in range(20)]
    for name in names:
        text = with_entry(text, name, (), proof.K8S)
    ended, _ = of_push(fleet, "feat(clusters): twenty at once", {MAPS: text})
    assert sorted(ended) == names


def test_a_branch_is_planned_by_hand_and_nothing_of_it_is_run(fleet):
    fleet.pull()
    trace = fleet.path.parent / "run-by-a-plan"
    text = with_entry(fleet.read(MAPS), "wanted", ("istio",), LATE)
    text += f'\nlocals {{\n  x = file("{trace}")\n}}\n'
    fleet.git("switch", "--quiet", "-C", "wanted")
    (fleet.path / MAPS).write_text(text)
    fleet.git("commit", "--quiet", "-am", "feat(clusters): istio")
    fleet.git("push", "--quiet", "origin", "wanted")
    fleet.git("switch", "--quiet", "main")
    before = workloads.script(fleet, "with_kubeconfig.py", LATE, "--", "helm", "list", "-A")
    number = client.dispatch("clusters-plan.yml", {"branch": "wanted"})
    (run,) = proof.served(number=number)
    # The file has more than other maps, which may concern all.
    assert "Plan of wanted" in [job["name"] for job in run["jobs"]]
    assert "istiod" in client.summary(number)
    assert workloads.script(fleet, "with_kubeconfig.py", LATE, "--", "helm", "list", "-A") == before
