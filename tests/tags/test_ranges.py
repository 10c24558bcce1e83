"""Which commits are open, in real repositories: pushes, forced pushes, new branches, shallow clones."""

import pytest

from tests.helpers.clone import Repo, short


def test_before_counts_only_while_nothing_was_served(repo, extract):
    first = repo.commit("one [ansible myapp]")
    repo.commit("two [ansible haproxy]")
    assert len(extract(repo.path, "--before", first)[1]["requests"]) == 2
    repo.git("update-ref", "-d", "refs/gitops/served")
    code, answer, err = extract(repo.path, "--before", first)
    assert (code, err, answer["since"]) == (0, "", first)
    assert [r["name"] for r in answer["requests"]] == ["haproxy"]


def test_first_push_of_a_branch_starts_where_it_left_the_default_branch(repo, extract, tmp_path):
    repo.commit("old [ansible myapp]")
    clone = tmp_path / "clone"
    repo.git("clone", "-q", str(repo.path), str(clone))
    fork = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "-b", "feature", cwd=clone)
    for name in ("haproxy", "k8s-ha"):
        repo.git("commit", "-q", "--allow-empty", "-m", f"x [ansible {name}]", cwd=clone)
    code, answer, err = extract(clone, "--before", "0" * 40)
    assert (code, answer["since"]) == (0, fork) and "the branch is new" in err
    assert [r["name"] for r in answer["requests"]] == ["haproxy", "k8s-ha"]


def test_first_push_of_a_repository_reads_the_last_commit(repo, extract):
    repo.git("update-ref", "-d", "refs/gitops/served")
    repo.commit("one [ansible k8s-old]")
    repo.commit("two [ansible myapp]")
    code, answer, err = extract(repo.path, "--before", "0" * 40)
    assert code == 0 and [r["name"] for r in answer["requests"]] == ["myapp"] and "not read" in err
    (root,) = extract(repo.path, "--range", repo.start)[1:2]
    assert (root["since"], root["head"], root["requests"]) == (None, repo.start, [])


def test_a_repository_of_one_commit(tmp_path, extract):
    only = Repo(tmp_path / "r")
    only.vm("web-a")
    only.git("add", "-A")
    only.git("commit", "-q", "--amend", "-m", "start [ansible myapp]")
    code, answer, _ = extract(only.path)
    assert code == 0 and answer["since"] is None and short(answer) == [("myapp", "myapp", None, ["web-a"])]


@pytest.mark.parametrize("more", ["", "\n\n(cherry picked from commit {})"])
def test_force_push_falls_back_to_where_both_agree(repo, extract, more):
    base = repo.commit("base [ansible k8s-old]")
    lost = repo.commit("lost [ansible haproxy]")
    repo.served(lost)
    repo.git("reset", "-q", "--hard", base)
    repo.commit("new [ansible myapp]" + more.format(lost))
    code, answer, err = extract(repo.path)
    assert (code, answer["since"]) == (0, base)
    assert [r["name"] for r in answer["requests"]] == ["myapp"]
    assert lost[:10] in err and "rewritten" in err and answer["notes"]


def test_force_push_whose_old_head_is_gone(repo, extract):
    repo.git("update-ref", "-d", "refs/gitops/served")
    repo.commit("new [ansible myapp]")
    code, answer, err = extract(repo.path, "--before", "dead" * 10)
    assert code == 0 and len(answer["requests"]) == 1
    assert "dead" * 10 in err and "not in this clone" in err


def test_unrelated_histories(repo, extract):
    served = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit("anew [ansible myapp]")
    repo.served(served)
    code, answer, err = extract(repo.path)
    assert code == 0 and answer["since"] is None and "from the first commit on" in err
    assert len(answer["requests"]) == 1


def test_an_old_checkout_has_nothing_open(repo, extract):
    repo.commit("one [ansible myapp]")
    repo.served(repo.commit("two"))
    repo.git("reset", "-q", "--hard", "HEAD~1")
    code, answer, err = extract(repo.path)
    assert code == 0 and answer["requests"] == [] and "older than refs/gitops/served" in err


def shallow(repo, path, depth):
    repo.git("clone", "-q", "--depth", str(depth), f"file://{repo.path}", str(path))
    return path


def test_a_shallow_clone_says_what_it_could_not_see(repo, extract, tmp_path):
    repo.vm("web-a", "web-b")
    hidden = repo.commit("hidden")
    repo.vm("web-c")
    repo.commit("edge [ansible myapp]")
    repo.vm("k8s-dev")
    repo.commit("seen [ansible k8s-dev]")
    clone = shallow(repo, tmp_path / "clone", 2)
    code, answer, err = extract(clone, "--range", "HEAD")
    assert code == 0 and err == "" and len(answer["requests"]) == 1  # all of this range is there
    repo.git("fetch", "-q", "--depth", "2", "origin", "+refs/heads/main:refs/gitops/served", cwd=clone)
    repo.git("update-ref", "refs/gitops/served", "HEAD", cwd=clone)
    assert extract(clone)[2] == ""
    repo.git("update-ref", "-d", "refs/gitops/served", cwd=clone)
    code, answer, err = extract(clone, "--before", repo.start)
    assert code == 0 and "not in this clone" in err
    code, answer, err = extract(clone, "--range", f"{hidden}..HEAD")
    assert code == 2 and "not a commit of this clone" in err


def test_the_edge_of_a_shallow_clone_changed_no_files(repo, extract, tmp_path):
    repo.vm("web-a", "web-b")
    hidden = repo.commit("hidden")
    repo.vm("web-c")
    edge = repo.commit("edge [ansible myapp]")
    clone = shallow(repo, tmp_path / "clone", 1)
    repo.git("fetch", "-q", "--depth", "1", "origin", f"{repo.start}:refs/gitops/served", cwd=clone)
    code, answer, err = extract(clone)
    assert code == 0 and short(answer) == [("myapp", "myapp", None, [])]
    assert hidden[:10] in err and edge[:10] in err and "git fetch --unshallow" in err


def test_ranges(repo, extract):
    first = repo.commit("one [ansible myapp]")
    repo.commit("two [ansible haproxy]")
    for text, expected in {
        f"{repo.start}..HEAD": ["myapp", "haproxy"],
        f"{first}..": ["haproxy"],
        f"{repo.start}..{first}": ["myapp"],
        first: ["myapp"],
    }.items():
        assert [r["name"] for r in extract(repo.path, "--range", text)[1]["requests"]] == expected
