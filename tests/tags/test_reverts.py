"""Commits that a later one takes back, in real repositories."""

from tests.helpers.clone import short


def test_an_unresolved_request_can_be_withdrawn(repo, extract):
    bad = repo.commit("x [ansible k8s-nope]")
    assert extract(repo.path)[0] == 1
    back = repo.commit(f"Withdraw the tag\n\nThis reverts commit {bad}.")
    code, answer, err = extract(repo.path)
    assert code == 0 and answer["requests"] == [] and back[:10] in err
    repo.commit(f"Withdraw the withdrawal\n\nThis reverts commit {back}.")
    assert extract(repo.path)[0] == 1


def test_a_real_git_revert(repo, extract):
    repo.vm("k8s-dev")
    repo.commit("feat: add [ansible k8s-dev]")
    repo.git("revert", "--no-edit", "HEAD")
    code, answer, _ = extract(repo.path)
    assert code == 0 and answer["requests"] == [] and "was reverted by" in answer["notes"][0]


def test_a_revert_by_the_forge_names_only_the_subject(repo, extract):
    repo.commit("feat: add [ansible k8s-nope] (#3)")
    repo.commit('Revert "feat: add [ansible k8s-nope] (#3)" (#4)\n\nReverts me/it#3')
    assert extract(repo.path)[:2][0] == 0


def test_a_revert_by_its_subject_means_the_last_one_before_it(repo, extract):
    repo.commit("add\n\n[ansible k8s-old]")
    repo.commit("add\n\n[ansible haproxy]")
    repo.commit('Revert "add" (#4)\n\nReverts me/it#3')
    repo.commit("add\n\n[ansible myapp]")
    code, answer, _ = extract(repo.path)
    assert code == 0 and [r["name"] for r in answer["requests"]] == ["k8s-old", "myapp"]


def test_a_revert_by_a_shortened_id(repo, extract):
    bad = repo.commit("x [ansible myapp]")
    repo.commit(f"Withdraw it\n\nThis reverts commit {bad[:9]}.")
    assert extract(repo.path)[1]["requests"] == []


def test_reverts_of_reverts(repo, extract):
    repo.vm("k8s-dev")
    repo.commit("add [ansible k8s-dev]")
    for times in range(1, 5):
        repo.git("revert", "--no-edit", "HEAD")
        assert len(extract(repo.path)[1]["requests"]) == (times + 1) % 2, times


def test_a_reverted_merge_takes_its_branch_along(repo, extract):
    repo.git("checkout", "-q", "-b", "side")
    repo.vm("k8s-dev")
    repo.commit("add [ansible k8s-dev]")
    repo.git("checkout", "-q", "main")
    repo.commit("meanwhile [ansible myapp]")
    repo.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side' [ansible k8s-dev]", "side")
    repo.git("revert", "--no-edit", "-m", "1", "HEAD")
    code, answer, _ = extract(repo.path)
    assert code == 0 and short(answer) == [("myapp", "myapp", None, [])]
