"""What tags ask for: names that exist, and what is said of the others."""

import pytest

from tests.helpers.clone import short

RESOLVED = [
    ("[ansible k8s]", "k8s", None),
    ("[ansible k8s-ha]", "k8s-ha", None),  # a playbook goes before a machine of that look
    ("[ansible k8s-old]", "k8s", "k8s-old"),  # known to the inventory alone
    ("[ansible k8s-new]", "k8s", "k8s-new"),  # known to vms/ alone
    ("[ansible k8s-prod-cp01]", "k8s-ha", "k8s-prod-cp01"),
    ("[ansible myapp]", "myapp", None),
    ("[destroy k8s-old]", None, "k8s-old"),
    ("[destroy k8s-new]", None, "k8s-new"),
    ("[destroy web-gone]", None, "web-gone"),  # was in vms/ once
    ("[adopt k8s-old]", None, "k8s-old"),
    ("[adopt k8s-new]", None, "k8s-new"),
    ("[drop-disk k8s-old scsi2]", None, "k8s-old"),
]


@pytest.mark.parametrize("tag, playbook, machine", RESOLVED)
def test_resolution(repo, extract, tag, playbook, machine):
    repo.vm("k8s-new", "k8s-prod-cp01", "web-gone")
    repo.served(repo.commit("machines"))
    (repo.path / "proxmox/vms/web-gone.yaml").unlink()
    repo.commit(f"x {tag}")
    code, answer, _ = extract(repo.path)
    (request,) = answer["requests"]
    assert (code, request["playbook"], request["machine"]) == (0, playbook, machine)


@pytest.mark.parametrize(
    ("line", "refused"),
    [("ostype: win11", True), ("ostype: other", True), ("cloudinit: none", True), ("ostype: l24", False),
     ("cloudinit: {slot: ide0}", False)],
)  # fmt: skip
def test_a_machine_on_which_no_play_runs(repo, extract, line, refused):
    repo.vm("k8s-new", text=f"name: k8s-new\n{line}\n")
    repo.commit("x [ansible k8s-new] [destroy k8s-new]")
    code, answer, err = extract(repo.path)
    assert code == int(refused)
    assert [(one["action"], one["machine"]) for one in answer["requests"]] == [
        *([] if refused else [("ansible", "k8s-new")]), ("destroy", "k8s-new")
    ]  # fmt: skip
    assert (f"/proxmox/vms/k8s-new.yaml says {line}; correct that" in err) is refused


UNRESOLVED = [
    ("[drop-disk k8s-odl scsi2]", "did you mean k8s-old?"),
    ("[drop-disk boot-server scsi2]", "is not managed here and is never changed"),
    (
        "[ansible k8s-nope]",
        "neither the inventory nor vms/ has; a tag can name: k8s-old",
    ),
    ("[ansible k8s-odl]", "did you mean k8s-old?"),
    (
        "[ansible nope]",
        "nor a machine that a tag can name; playbooks: haproxy, k8s, k8s-ha, myapp",
    ),
    ("[ansible haproxy-dev]", "did you mean [ansible haproxy]?"),
    ("[ansible k3s]", "names neither a playbook"),  # a group without a playbook
    ("[ansible MyApp]", "did you mean myapp?"),
    ("[destroy nope]", "names a machine that was never in the inventory or vms/"),
    ("[destroy k8s-home]", "is never destroyed"),
    ("[adopt nope]", "a machine that is not in the inventory or vms/; existing machines: k8s-old"),
    ("[adopt k8s-odl]", "did you mean k8s-old?"),
    ("[adopt k8s-home]", "is never changed"),
]


@pytest.mark.parametrize("tag, said", UNRESOLVED)
def test_unresolved(repo, extract, tag, said):
    head = repo.commit(f"feat: x {tag} [ansible myapp]")
    code, answer, err = extract(repo.path)
    assert code == 1 and said in err
    assert head[:10] in err and f"This reverts commit {head}." in err
    assert [name for name, *_ in short(answer)] == ["myapp"]  # the others are read all the same


def test_a_machine_that_no_tag_can_name(repo, extract):
    repo.vm("app0", "haproxy-one")
    repo.commit("add [ansible app0] [ansible haproxy-one]")
    said = extract(repo.path)[2]
    assert (
        "[ansible app0] names a machine, and of these a tag can only name talos-*-cp<n>, talos-*-w<n>,"
        " k8s-*-cp<n>, k8s-*-w<n>, k8s-*;" in said
    )
    assert "myapp; did you mean [ansible haproxy]?" in said


def test_a_cluster_of_several_machines_is_no_machine(repo, extract):
    (repo.path / "proxmox/playbooks/k8s-ha.yml").touch()
    repo.vm("k8s-prod-cp01", "k8s-prod-w01")
    repo.commit("add [ansible k8s-prod]")
    said = extract(repo.path)[2]
    assert "[ansible k8s-prod] names a cluster; [ansible k8s-ha] is for its waiting machines" in said


def test_playbook_of_k8s_machines_is_missing(repo, extract):
    (repo.path / "proxmox/playbooks/k8s.yml").unlink()
    repo.commit("x [ansible k8s-old]")
    code, _, err = extract(repo.path)
    assert code == 1 and "playbooks/k8s.yml, which does not exist" in err


@pytest.mark.parametrize("message", ["x [ansible k8s-nope]", "x [\u0430nsible myapp]", "x [destroy nope]"])
def test_a_fault_stops_its_own_push_and_no_later_one(repo, extract, message):
    bad = repo.commit(message)
    assert extract(repo.path, "--before", repo.start)[0] == 1
    assert extract(repo.path, "--before", "0" * 40)[0] == 1
    repo.commit("y [ansible myapp]")
    code, answer, err = extract(repo.path, "--before", bad)
    assert (code, short(answer)) == (0, [("myapp", "myapp", None, [])])
    assert f"warning: commit {bad[:10]}" in err and "was refused by the run of its own push" in err
    assert extract(repo.path, "--before", "")[0] == 0, "by hand nobody pushed anything"
    assert extract(repo.path)[0] == 1, "and a person who asks is told all"


def test_a_machine_removed_by_a_later_commit_needs_nothing(repo, extract):
    repo.vm("k8s-dev")
    repo.commit("add [ansible k8s-dev]")
    (repo.path / "proxmox/vms/k8s-dev.yaml").unlink()
    repo.commit("remove it [destroy k8s-dev]")
    code, answer, err = extract(repo.path)
    assert code == 0 and [r["action"] for r in answer["requests"]] == ["destroy"]
    assert "a later commit removed the machine" in err


def test_a_guest_of_a_machine_removed_later_is_not_adopted(repo, extract):
    repo.vm("k8s-dev")
    repo.commit("take it over [adopt k8s-dev]")
    (repo.path / "proxmox/vms/k8s-dev.yaml").unlink()
    repo.commit("rather not")
    code, answer, err = extract(repo.path)
    assert (code, answer["requests"]) == (0, []) and "so it has no effect" in err


def test_our_own_commits_ask_for_nothing(repo, extract):
    repo.commit("Auto-update Ansible inventory [ansible k8s-gone]")
    repo.commit("chore(release): 1.0.0\n\n- add k8s-gone [ansible k8s-gone]")
    assert extract(repo.path)[:2] == (
        0,
        {"head": repo.git("rev-parse", "HEAD"), "since": repo.start, "notes": [], "requests": []},
    )


MAPS = """variable "workload" {
  type    = map(list(string))
  default = { obs = ["observability"] }
}
variable "config" {
  type    = map(object({ kubernetes_context = string }))
  default = { obs = { kubernetes_context = "k8s-old" } }
}
variable "charts" {
  type    = map(object({ repository = string, chart = string, version = string }))
  default = {}
}
"""


def test_a_release_of_a_workspace(repo, extract):
    repo.write("clusters/variables.tf", MAPS)
    repo.commit("less\n\n[destroy obs/loki]")
    code, answer, _ = extract(repo.path)
    (request,) = answer["requests"]
    assert (code, request["name"], request["machine"], request["playbook"]) == (0, "obs/loki", None, None)


@pytest.mark.parametrize(
    "maps, said",
    [
        (MAPS, "names no workspace of clusters/variables.tf; workspaces: obs; did you mean obs?"),
        (None, "names no workspace of clusters/variables.tf; workspaces: none"),
        ("variable {", "clusters/variables.tf"),
    ],
)
def test_a_release_of_no_workspace(repo, extract, maps, said):
    if maps:
        repo.write("clusters/variables.tf", maps)
    head = repo.commit("less [ansible myapp]\n\n[destroy obss/loki]")
    code, answer, err = extract(repo.path)
    assert code == 1 and said in err and f"This reverts commit {head}." in err
    assert [name for name, *_ in short(answer)] == ["myapp"]
