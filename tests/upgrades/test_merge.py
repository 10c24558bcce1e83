"""What becomes of a file, by what the project and the fleet each did to it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.upstream import PROJECT

LINES = "".join(f"line {number}\n" for number in range(20))
OTHER = LINES.replace("line 3\n", "line three\n")
YOURS = LINES.replace("line 15\n", "line fifteen\n")
BOTH = OTHER.replace("line 15\n", "line fifteen\n")
CLASH = LINES.replace("line 3\n", "line drei\n")

# name: the project's old and new files, the fleet's changes, and the files that the branch must have then
CLEAN = {
    "only the project changed it": ({"Makefile": LINES}, {"Makefile": OTHER}, {}, {"Makefile": OTHER}),
    "both changed other lines": ({"Makefile": LINES}, {"Makefile": OTHER}, {"Makefile": YOURS}, {"Makefile": BOTH}),
    "both made the same change": ({"Makefile": LINES}, {"Makefile": OTHER}, {"Makefile": OTHER}, {"Makefile": OTHER}),
    "the project added it": ({}, {"docs/new.md": "x"}, {}, {"docs/new.md": "x"}),
    "the project deleted it": ({"docs/old.md": LINES}, {"docs/old.md": None}, {}, {"docs/old.md": None}),
    "the fleet deleted it": ({"bench/a.py": LINES, "bench/b.py": LINES}, {"bench/a.py": OTHER, "bench/c.py": OTHER},
        {"bench/a.py": None}, {"bench/a.py": None, "bench/b.py": LINES, "bench/c.py": OTHER}),
    "the fleet deleted a folder": ({"bench/a.py": LINES}, {"bench/a.py": OTHER, "bench/b.py": LINES},
        {"bench/a.py": None}, {"bench/a.py": None, "bench/b.py": None}),
    "the project renamed what the fleet changed": (
        {"docs/old.md": LINES}, {"docs/old.md": None, "docs/new.md": OTHER}, {"docs/old.md": YOURS},
        {"docs/old.md": None, "docs/new.md": BOTH}),
    "the fleet renamed what the project changed": (
        {"docs/old.md": LINES}, {"docs/old.md": OTHER}, {"docs/old.md": None, "docs/mine.md": YOURS},
        {"docs/old.md": None, "docs/mine.md": BOTH}),
    "a file of the fleet stays in a folder that the project renamed": (
        {"docs/a/1.md": LINES, "docs/a/2.md": OTHER},
        {"docs/a/1.md": None, "docs/a/2.md": None, "docs/b/1.md": LINES, "docs/b/2.md": OTHER},
        {"docs/a/mine.md": "mine"}, {"docs/a/mine.md": "mine", "docs/b/1.md": LINES}),
    "VM files are the fleet's": (
        {"proxmox/vms/a.yaml": LINES}, {"proxmox/vms/a.yaml": OTHER, "proxmox/vms/b.yaml": "b"},
        {"proxmox/vms/a.yaml": None, "proxmox/vms/c.yaml": LINES},
        {"proxmox/vms/a.yaml": None, "proxmox/vms/b.yaml": None, "proxmox/vms/c.yaml": LINES}),
    "a file of the fleet's that looks like a deleted one of the project": (
        {"docs/a.md": LINES}, {"docs/a.md": OTHER}, {"docs/a.md": None, "proxmox/vms/a.yaml": LINES},
        {"proxmox/vms/a.yaml": LINES}),
    "own playbooks": ({"proxmox/playbooks/k8s.yml": LINES}, {"proxmox/playbooks/k8s.yml": OTHER},
        {"proxmox/playbooks/mine.yml": "mine"},
        {"proxmox/playbooks/k8s.yml": OTHER, "proxmox/playbooks/mine.yml": "mine"}),
    "the fleet's own version": (
        {}, {"pyproject.toml": PROJECT["pyproject.toml"].replace("0.1.0", "0.2.0") + "x = 1\n"},
        {"pyproject.toml": PROJECT["pyproject.toml"].replace("0.1.0", "3.4.5")},
        {"pyproject.toml": PROJECT["pyproject.toml"].replace("0.1.0", "3.4.5") + "x = 1\n"}),
    "the fleet's own changelog": (
        {"CHANGELOG.md": LINES}, {"CHANGELOG.md": OTHER}, {"CHANGELOG.md": CLASH}, {"CHANGELOG.md": CLASH}),
    "odd names": ({"docs/ü ö\n.md": LINES}, {"docs/ü ö\n.md": OTHER}, {'docs/"\t\udcff.md': "mine"},
        {"docs/ü ö\n.md": OTHER, 'docs/"\t\udcff.md': "mine"}),
    "bytes": ({"docs/a.png": b"\0\xff1"}, {"docs/a.png": b"\0\xff2"}, {}, {"docs/a.png": "\0\udcff2"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_what_needs_nobody(project, tmp_path, run, name):
    old, new, yours, expected = CLEAN[name]
    project.release("v0.1.0", PROJECT | old)
    project.release("v0.2.0", new)
    fleet = project.copy(tmp_path / "fleet", "v0.1.0")
    fleet.commit(yours)
    code, said = run(fleet, project, "v0.2.0")
    assert code == 0, said
    found = fleet.files("upgrade/v0.2.0")
    expected = {name: text and text.strip() for name, text in expected.items()}
    assert {name: found.get(name) for name in expected} == expected
    assert 'version = "v0.2.0"' in found[".gitops-version"]
    gone = {"the fleet deleted it": "bench/a.py", "the fleet deleted a folder": "bench/"}
    assert name not in gone or f"{gone[name]}: notice: you deleted it" in said


CONFLICTS = {
    "the same lines": ({"Makefile": LINES}, {"Makefile": OTHER}, {"Makefile": CLASH},
        "Makefile: you and v0.2.0 changed the same lines"),
    "changed and deleted": ({"docs/a.md": LINES}, {"docs/a.md": None}, {"docs/a.md": YOURS},
        "docs/a.md: you changed it, v0.2.0 deletes it"),
    "both added it": ({}, {"proxmox/playbooks/mine.yml": "theirs\n"}, {"proxmox/playbooks/mine.yml": "mine\n"},
        "proxmox/playbooks/mine.yml: you have a file where v0.2.0 adds one"),
    "bytes": ({"docs/a.png": b"\0\xff1"}, {"docs/a.png": b"\0\xff2"}, {"docs/a.png": b"\0\xff3"},
        "docs/a.png: you and v0.2.0 changed it, and it is not text"),
    "a folder where the project has a file": ({}, {"docs/x": "x"}, {"docs/x/mine.md": "mine"},
        "docs/x~PROJECT: you and v0.2.0 moved or replaced it"),
    "renamed in two ways": ({"docs/a.md": LINES}, {"docs/a.md": None, "docs/b.md": LINES},
        {"docs/a.md": None, "docs/c.md": LINES}, "docs/b.md: you and v0.2.0 moved or replaced it"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_a_person_has_to_decide(project, tmp_path, run, name):
    old, new, yours, expected = CONFLICTS[name]
    project.release("v0.1.0", PROJECT | old | {"docs/other.md": "old"})
    project.release("v0.2.0", new | {"docs/other.md": "new"})
    fleet = project.copy(tmp_path / "fleet", "v0.1.0")
    fleet.commit(yours)
    code, said = run(fleet, project)
    assert code == 1 and expected in said and "--keep-conflicts" in said
    assert fleet.git("branch", "--list", "upgrade/*") == "", "no branch that somebody might merge"
    code, said = run(fleet, project, "--keep-conflicts")
    assert code == 1 and expected in said
    found = fleet.files("upgrade/v0.2.0")
    assert found["docs/other.md"] == "new"
    marked = "<<<<<<< YOURS" in "".join(found.values())
    assert marked == (name in ("the same lines", "both added it"))


def test_modes_and_links(project, tmp_path, run):
    project.release("v0.1.0", PROJECT | {"scripts/a.sh": "#!/bin/sh\n", "docs/a.md": "a"})
    (project.path / "scripts/a.sh").chmod(0o755)
    (project.path / "docs/link").symlink_to("a.md")
    project.release("v0.2.0", {})
    fleet = project.copy(tmp_path / "fleet", "v0.1.0")
    fleet.commit({"scripts/a.sh": "#!/bin/sh\nmine\n"})
    assert run(fleet, project)[0] == 0
    lines = fleet.git("ls-tree", "-r", "upgrade/v0.2.0", "scripts/a.sh", "docs/link").splitlines()
    assert [line.split()[0] for line in lines] == ["120000", "100755"]
    assert fleet.files("upgrade/v0.2.0")["scripts/a.sh"] == "#!/bin/sh\nmine"


NAMES = ("Makefile", "docs/a.md", "scripts/b.py", "proxmox/vms/a.yaml", "mine/x")
TREES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from((LINES, OTHER, YOURS, CLASH)))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(old=TREES, new=TREES, ours=TREES)
def test_what_always_holds(tmp_path_factory, old, new, ours):
    """Who changed nothing gets the other's files, and what is the fleet's is never touched."""
    from fleet.upgrades import merge, paths, scratch
    from tests.helpers.upstream import Clone

    repo = Clone(tmp_path_factory.mktemp("trees") / "repo")

    def commit(tree):
        clear = dict.fromkeys(repo.files()) if repo.git("rev-parse", "-q", "HEAD", check=False) else {}
        return repo.commit(clear | PROJECT | tree)

    repo.commit(PROJECT)
    at = [commit(tree) for tree in (old, new, ours)]
    mine = {name: text for name, text in ours.items() if name.startswith("proxmox/vms/")}
    with scratch.worktree(repo.path, at[2]) as tree:
        for base, theirs, head in (at, (at[0], at[1], at[0]), (at[0], at[0], at[2])):
            merged = merge.merge(repo.path, tree, head, base, theirs)
            lists = paths.of_version(repo.path, theirs)
            found, have = merged.entries, scratch.listing(repo.path, head)
            assert {n: e for n, e in found.items() if lists.is_yours(n)} == {
                n: e for n, e in have.items() if lists.is_yours(n)
            }
            if head == base:
                wanted = paths.of_project(scratch.listing(repo.path, theirs), lists)
                assert paths.of_project(found, lists) == wanted and not merged.conflicts
            if theirs == base:
                assert found == have and not merged.conflicts
    assert repo.files(at[2]).get("proxmox/vms/a.yaml", "").strip() == "".join(mine.values()).strip()
