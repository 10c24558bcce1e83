"""The mark of what was applied, on real repositories: it moves forward only, whoever moves it meanwhile."""

import subprocess
import threading

import pytest

import mark_workspaces
from fleet.findings import Fault
from fleet.git import mark
from fleet.git.command import WORKSPACES, resolve


def git(repo, *args):
    done = subprocess.run(["git", "-C", str(repo), *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repo, message):
    who = ("-c", "user.name=p", "-c", "user.email=p@x")
    git(repo, *who, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def clones(tmp_path, monkeypatch):
    """Two clones of one origin, and the ids of its four commits."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    first = tmp_path / "first"
    git(tmp_path, "clone", "--quiet", f"file://{tmp_path}/origin.git", str(first))
    git(first, "checkout", "--quiet", "-B", "main")
    ids = [commit(first, str(number)) for number in range(4)]
    git(first, "push", "--quiet", "origin", "main")
    git(tmp_path, "clone", "--quiet", f"file://{tmp_path}/origin.git", str(tmp_path / "second"))
    return first, tmp_path / "second", ids


def on_origin(repo):
    return git(repo, "ls-remote", "origin", WORKSPACES).split("\t")[0]


def test_it_is_made_moves_forward_and_never_back(clones, capsys):
    first, second, ids = clones
    for repo, given, wanted in ((first, 1, 1), (second, 1, 1), (second, 3, 3), (first, 2, 3), (first, 0, 3)):
        assert mark_workspaces.main([ids[given], "--repo", str(repo)]) == 0
        assert on_origin(repo) == resolve(repo, WORKSPACES) == ids[wanted], given
    assert capsys.readouterr().out.count("a later run has recorded") == 3
    assert mark_workspaces.main(["nothing", "--repo", str(first)]) == 2


def test_a_commit_that_came_after_the_clone(clones):
    first, second, _ = clones
    newer = commit(first, "newer")
    git(first, "push", "--quiet", "origin", "main")
    assert mark.move(second, WORKSPACES, newer) and on_origin(first) == newer


def test_after_a_rewritten_branch_it_follows(clones):
    first, second, ids = clones
    mark.move(first, WORKSPACES, ids[3])
    git(second, "reset", "--quiet", "--hard", ids[0])
    other = commit(second, "another past")
    git(second, "push", "--quiet", "--force", "origin", "main")
    assert mark.move(second, WORKSPACES, other)
    assert on_origin(first) == other


def test_of_two_at_once_the_later_commit_wins(clones, monkeypatch):
    first, second, ids = clones
    barrier, push, tried = threading.Barrier(2), mark.push, []

    def together(repo, *args):
        if repo not in tried:  # the first attempt of each meets the other's
            tried.append(repo)
            barrier.wait(10)
        return push(repo, *args)

    monkeypatch.setattr(mark, "push", together)
    faults = []

    def run(repo, target):
        try:
            mark.move(repo, WORKSPACES, target)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in ((first, ids[1]), (second, ids[3]))]
    [one.start() for one in threads], [one.join() for one in threads]
    assert not faults and on_origin(first) == ids[3]


def test_one_that_never_gets_through_says_so(clones, monkeypatch):
    first, _, ids = clones
    monkeypatch.setattr(mark, "push", lambda *_: "stale info")
    with pytest.raises(Fault, match="not moved after 8 attempts, run it again: stale info"):
        mark.move(first, WORKSPACES, ids[1])
