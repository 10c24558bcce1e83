"""Commits that a later one takes back, in real repositories."""

import pytest

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


FORMS = {  # the reverted message, the one that reverts it; {id} is the reverted commit
    "GitHub, squashes": ("feat: X [ansible myapp] (#12)", 'Revert "feat: X [ansible myapp]" (#13)\n\nReverts o/r#12'),
    "GitHub, edited title": ("feat: Y [ansible myapp] (#12)", 'Revert "feat: X" (#13)\n\nReverts o/r#12'),
    "a destroy": ("chore: x [destroy k8s-old] (#2)", 'Revert "chore: x [destroy k8s-old]" (#3)\n\nReverts o/r#2'),
    "GitHub, tag in the body": ("feat: X (#12)\n\n[ansible myapp]", 'Revert "feat: X" (#13)\n\nReverts o/r#12'),
    "GitHub, title alone": ("feat: X [ansible myapp] (#12)", 'Revert "feat: X [ansible myapp]"'),
    "GitLab, commit": ("feat: X [ansible myapp]", 'Revert "feat: X [ansible myapp]"\n\nThis reverts commit {id}'),
    "GitLab, squashed": (
        "feat: X [ansible myapp]\n\nSee merge request o/r!12",
        'Revert "feat: X [ansible myapp]"\n\nThis reverts merge request !12',
    ),
    "Gitea": ("feat: X [ansible myapp]", "revert {id}\n\nrevert feat: X [ansible myapp]"),
    "convention, by ids": ("feat: X [ansible myapp]", "revert: let us never do that\n\nRefs: 676104e, {id}"),
    "convention, by header": ("feat: X [ansible myapp] (#12)", "revert: feat: X [ansible myapp] (#13)"),
    "several ids": ("feat: X [ansible myapp]", "Back to what was\n\nThis reverts commits 676104e and {id}."),
    "git --reference": ("feat: X [ansible myapp]", "Back\n\nThis reverts commit {id} (feat: X, 2024-01-01)."),
}  # fmt: skip


@pytest.mark.parametrize("message, revert", FORMS.values(), ids=FORMS)
def test_forms_of_reverts(repo, extract, message, revert):
    done = repo.commit(message)
    repo.commit("feat: other [ansible haproxy] (#11)")
    assert len(extract(repo.path)[1]["requests"]) == 2
    back = repo.commit(revert.format(id=done))
    code, answer, _ = extract(repo.path)
    assert code == 0 and [one["name"] for one in answer["requests"]] == ["haproxy"]
    assert back[:10] in answer["notes"][0]
    repo.commit(f'Revert "x" (#14)\n\nThis reverts commit {back}.')
    assert len(extract(repo.path)[1]["requests"]) == 2


NOT_REVERTS = [
    "feat: bump tool (#13)\n\nTheir notes:\n\nReverts example/tool#12\nRefs: {id}",
    "fix: x (#13)\n\nReverts o/r#12",  # somebody's remark: the title says otherwise
    'Revert "feat: Z" (#13)\n\nReverts o/r#99',
    'Revert "feat: X [ansible myapp]"\n\nThis reverts commit 676104e.',  # another one of that title
]


@pytest.mark.parametrize("message", NOT_REVERTS)
def test_what_takes_nothing_back(repo, extract, message):
    done = repo.commit("feat: X [ansible myapp] (#12)")
    repo.commit(message.format(id=done))
    assert [one["name"] for one in extract(repo.path)[1]["requests"]] == ["myapp"]


MERGES = [
    ("Merge pull request #12 from o/side\n\nfeat: X", 'Revert "feat: X" (#13)\n\nReverts o/r#12'),
    ("Merge branch 'side' into 'main'\n\nfeat: X\n\nSee merge request o/r!12",
     'Revert "feat: X"\n\nThis reverts merge request o/r!12'),
    ("Merge pull request 'feat: X' (#12) from side into main",
     "Merge pull request 'Revert \"feat: X\"' (#13) from back into main\n\nReverts #12"),
]  # fmt: skip


@pytest.mark.parametrize("merge, revert", MERGES)
def test_a_merge_without_a_tag_is_found_by_its_number(repo, extract, merge, revert):
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("add [ansible myapp]")
    repo.git("checkout", "-q", "main")
    repo.commit("meanwhile [ansible haproxy]")
    repo.git("merge", "-q", "--no-ff", "-m", merge, "side")
    assert len(extract(repo.path)[1]["requests"]) == 2
    repo.commit(revert)
    assert [one["name"] for one in extract(repo.path)[1]["requests"]] == ["haproxy"]
