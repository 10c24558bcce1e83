"""What the check of a pull request says of each way to merge it."""

import json

import pytest

import check_pull_request
from tests.helpers.clone import repo

__all__ = ["repo"]
ALL = {"allow_squash_merge": True, "allow_merge_commit": True, "allow_rebase_merge": True}
SQUASH = {"allow_squash_merge": True, "allow_merge_commit": False, "allow_rebase_merge": False}
BY_TITLE = {"squash_merge_commit_title": "PR_TITLE", "squash_merge_commit_message": "BLANK"}
BY_BODY = {"squash_merge_commit_title": "PR_TITLE", "squash_merge_commit_message": "PR_BODY"}
BY_COMMITS = {
    "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
    "squash_merge_commit_message": "COMMIT_MESSAGES",
}
MERGE = {"allow_squash_merge": False, "allow_merge_commit": True, "allow_rebase_merge": False}
REBASE = {"allow_squash_merge": False, "allow_merge_commit": False, "allow_rebase_merge": True}
LOST = "[ansible myapp] of commit"

CASES = {  # settings, title, description, commits, exit, what is said (nothing if empty)
    "in order": (ALL, "feat: x", "Text.", ["feat: x"], 0, ""),
    "the same everywhere": (ALL, "feat: x [ansible myapp]", "", ["feat: x [ansible myapp]"], 0, ""),
    "wrong in the title": (SQUASH | BY_TITLE, "feat: [ansible nope]", "", ["a", "b"], 1, "(feat: [ansible nope] (#7))"),
    "wrong in the title, of one way": (
        ALL | BY_TITLE, "feat: [ansible nope]", "", ["a", "b"], 1, "merged by squash: commit message"),
    "wrong in the description": (SQUASH | BY_BODY, "feat: x", "Needs [ansible nope].", ["a"], 1, "nope] names"),
    "… that is not merged": (REBASE, "feat: x", "Needs [ansible nope].", ["a"], 0, ""),
    "lost by the squash": (SQUASH | BY_TITLE, "feat: x", "", ["a [ansible myapp]", "b"], 1, LOST),
    "lost by one way": (ALL | BY_TITLE, "feat: x", "", ["a [ansible myapp]", "b"], 0, "merge commit or rebase, or"),
    "kept by the only commit's title": (SQUASH | BY_COMMITS, "feat: x", "", ["a [ansible myapp]"], 0, ""),
    "… which the setting drops": (SQUASH | BY_TITLE, "feat: x", "", ["a [ansible myapp]"], 1, LOST),
    "kept by the list of commits": (SQUASH | BY_COMMITS, "feat: x", "", ["a\n\n[ansible myapp]", "b"], 0, ""),
    "kept by merge": (MERGE, "feat: x", "", ["a [ansible myapp]", "b"], 0, ""),
    "the title of a merge": (MERGE, "feat: x [ansible myapp]", "", ["a"], 0, ""),
    "lost by rebase": (REBASE, "feat: x [ansible myapp]", "", ["a"], 1, "or the description would be"),
    "taken back": (SQUASH | BY_TITLE, "feat: x", "", ["a [ansible k8s]", 'Revert "a [ansible k8s]"'], 0, ""),
    "approval in a sentence": (SQUASH | BY_BODY, "feat: x", "So [destroy k8s-old] it.", ["a"], 0, "in a sentence"),
    "settings that nobody tells": ({}, "feat: [ansible nope]", "", ["a", "b"], 1, "[ansible nope] names neither"),
    "no run afterwards": (SQUASH | BY_BODY, "feat: x", "- fix typo [skip ci]", ["a"], 0, "starts no workflow"),
    "shell code": (SQUASH | BY_BODY, "$(touch x) `id`", "'; touch x #", ["a"], 0, ""),
    "no description": (SQUASH | BY_BODY, "feat: x", None, ["a"], 0, ""),
}  # fmt: skip


def check(tmp_path, repo, event) -> int:
    file = tmp_path / "event.json"
    file.write_text(event if isinstance(event, str) else json.dumps(event))
    return check_pull_request.main(["--repo", str(repo.path), "--event", str(file)])


@pytest.mark.parametrize("settings, title, body, commits, code, said", CASES.values(), ids=CASES)
def test_ways_to_merge(repo, tmp_path, capsys, settings, title, body, commits, code, said):
    for message in commits:
        head = repo.commit(message)
    pull = {
        "number": 7, "title": title, "body": body, "head": {"label": "me:it", "sha": head},
        "base": {"sha": repo.start, "repo": settings},
    }  # fmt: skip
    assert check(tmp_path, repo, {"action": "edited", "pull_request": pull}) == code
    err = capsys.readouterr().err
    assert said in err and (said or not err)


@pytest.mark.parametrize("message, code", [("a [ansible nope] (#7)", 1), ("a [ansible myapp] (#7)", 0)])
def test_a_merge_queue_has_the_merged_commits(repo, tmp_path, message, code):
    group = {"base_sha": repo.start, "head_sha": repo.commit(message)}
    assert check(tmp_path, repo, {"merge_group": group}) == code


@pytest.mark.parametrize("event", ["", "[]", "{}", '{"pull_request": null}', '{"merge_group": {}}'])
def test_another_event(repo, tmp_path, capsys, event):
    assert check(tmp_path, repo, event) == 2
    assert "event" in capsys.readouterr().err
