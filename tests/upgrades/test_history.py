"""A fleet with changes of its own goes through versions of this very project, release by release and at once."""

import subprocess
import sys

import pytest

from fleet.paths import ROOT
from fleet.upgrades import paths
from tests.helpers.upstream import Clone

COUNT = 6
LISTS = paths.parse((ROOT / paths.LIST).read_text())
# What a fleet has of its own: whole files, and lines in files of the project.
OWN = {
    "proxmox/vms/k8s-dev.yaml": "name: k8s-dev\ntarget_node: node01\ncores: 2\nmemory: 4096\nclone: ubuntu24-template\n"
    'ciuser: me\nipconfig0: "ip=192.0.2.20/24,gw=192.0.2.1"\ndisks:\n  scsi0: {size: 20G, storage: local-lvm}\n',
    "proxmox/k8s.ini": "k8s-dev ansible_host=192.0.2.20 ansible_user=me # terraform\n\n[k3s]\nk8s-dev\n",
    "proxmox/new_hosts.txt": "192.0.2.20,k8s-dev\n",
    "proxmox/known_hosts": "192.0.2.20 ssh-ed25519 AAAA\n",
    "proxmox/authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgkvEH4LPcuMxe5yzFg9NBOTAaNeCyZHW2nOY9QnE5e me\n",
    "proxmox/playbooks/mine.yml": '# needs: nothing\n- name: Mine\n  hosts: "{{ target_hosts }}"\n  tasks: []\n',
    "proxmox/playbooks/roles/mine/tasks/main.yml": "[]\n",
    "proxmox/vms/boot-server.yaml": None,
    ".github/workflows/mine.yml": "name: mine\non: workflow_dispatch\njobs: {}\n",
    "CHANGELOG.md": "# The fleet's own\n\n## v7.0.0 (2026-01-01)\n",
}
EDITS = {
    "Makefile": ("", "\nmine: ## of the fleet's\n\t@true\n"),  # at its end
    "pyproject.toml": ('version = "0.1.0"', 'version = "7.0.0"'),
    "README.md": ("# proxmox-gitops\n", "# proxmox-gitops of our house\n"),
    ".gitignore": ("__pycache__/\n", "__pycache__/\n/ours/\n"),
}


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The project with a release at every n-th commit of its history; of a shallow clone, at what it has."""
    path = tmp_path_factory.mktemp("upstream") / "project.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--shared", ROOT, path], check=True, capture_output=True)

    def git(*args):
        done = subprocess.run(["git", "-C", path, *args], capture_output=True, text=True, check=True)
        return done.stdout.split()

    commits = git("rev-list", "--first-parent", "--reverse", "HEAD")
    first = len(commits) // 3  # from where on there is a README to start a fleet from
    chosen = [commits[first + (len(commits) - 1 - first) * n // (COUNT - 1)] for n in range(COUNT)]
    if len(set(chosen)) < COUNT:
        chosen = _made(path, commits[-1])
    for number, commit in enumerate(chosen, 1):
        git("tag", f"v0.{number}.0", commit)
    return path, [f"v0.{number}.0" for number in range(1, COUNT + 1)]


def _made(path, head):
    """Versions made from the newest: of each less is missing."""
    work, folders, made = path.parent / "work", ["bench", "clusters", "docs", "lab", "schemas"], []

    def git(*args, at=work):
        who = ("-c", "user.name=x", "-c", "user.email=x")
        done = subprocess.run(["git", "-C", at, *who, *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("clone", "-q", path, work, at=path)
    for number in range(COUNT - 1):
        git("checkout", "-q", head, "--", ".")
        git("rm", "-rqf", *folders[number:])
        git("commit", "-qm", "x", "--allow-empty")
        made.append(git("rev-parse", "HEAD"))
    git("push", "-q", path, "HEAD:refs/heads/made")
    return [*made, git("commit-tree", f"{head}^{{tree}}", "-p", made[-1], "-m", "x", at=path)]


@pytest.fixture
def fleet(releases, tmp_path, nobody):
    path, (first, *_) = releases
    project = object.__new__(Clone)
    project.path = path
    made = project.copy(tmp_path / "fleet", first)
    edits = {}
    for name, (old, new) in EDITS.items():
        text = (made.path / name).read_text() if (made.path / name).exists() else ""
        if old in text:
            edits[name] = text.replace(old, new, 1) if old else text + new
    assert len(edits) >= 3, "the first version has files to change"
    made.edited = set(edits)
    there = {name: text for name, text in OWN.items() if text is not None or (made.path / name).exists()}
    made.commit(there | edits, "our machines")
    return made


def check(fleet, path, version):
    """The project's files are the release's, the fleet's are as they were, and both edits are in the others."""
    found = dict(line.split("\t")[::-1] for line in fleet.git("ls-tree", "-r", "HEAD").splitlines())
    done = subprocess.run(
        ["git", "-C", path, "ls-tree", "-r", version], capture_output=True, text=True, check=True
    )
    wanted = dict(line.split("\t")[::-1] for line in done.stdout.splitlines())
    theirs = {name: entry for name, entry in wanted.items() if not LISTS.is_yours(name)}
    assert {n: found.get(n) for n in theirs.keys() - fleet.edited} == {
        n: theirs[n] for n in theirs.keys() - fleet.edited
    }
    assert {n for n in found.keys() - theirs.keys() if not LISTS.is_yours(n)} <= OWN.keys()
    for name, text in OWN.items():
        assert (text is None and name not in found) or fleet.git("show", f"HEAD:{name}") == text.strip()
    for name in fleet.edited:
        assert EDITS[name][1].strip() in fleet.git("show", f"HEAD:{name}")


def test_from_the_first_release_to_the_last(releases, fleet, tmp_path, run):
    path, (_, *later) = releases
    project = object.__new__(Clone)
    project.path = path
    fleet.git("branch", "start")
    fleet.git("tag", later[0])  # of the fleet's own releases
    for version in later:
        code, said = run(fleet, project, version)
        assert code == 0, said
        fleet.git("merge", "-q", f"upgrade/{version}")
        check(fleet, path, version)
        assert f"the fleet has {version} (as .gitops-version" in run(fleet, project, version)[1]
    tree = fleet.git("rev-parse", "HEAD^{tree}")
    fleet.git("checkout", "-q", "start")
    assert run(fleet, project)[0] == 0
    assert fleet.git("rev-parse", f"upgrade/{later[-1]}^{{tree}}") == tree, "at once is as release by release"


def test_the_new_version_checks_the_fleet(releases, fleet, monkeypatch, run):
    """The last version's own validators, over the fleet's files."""
    path, _ = releases
    project = object.__new__(Clone)
    project.path = path
    monkeypatch.setenv("PROXMOX_GITOPS_VENV", sys.prefix)
    code, said = run(fleet, project, "--check")
    assert code == 0, said
    for words in ("2 VM files: valid", "0 workspaces: valid", "playbooks: valid"):
        assert words in said
    fleet.commit({"proxmox/vms/k8s-bad.yaml": "name: other\n"})
    code, said = run(fleet, project, "--check")
    assert code == 1 and "the new version's validate_vms.py ends with 1, see above" in said
