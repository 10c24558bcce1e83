"""Bringing checkouts to the head and publishing, on real repositories in a temporary folder."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import checkout_head
from fleet.findings import Fault
from fleet.git import publish
from fleet.git.checkout import bring_to_head, default_branch
from fleet.git.command import SERVED, resolve
from lab.forge import triggers

QUEUE = "proxmox/new_hosts.txt"


def git(repo, *args, **more):
    done = subprocess.run(["git", "-C", str(repo), *args], capture_output=True, text=True, check=True, **more)
    return done.stdout.strip()


def commit(repo, message, **files):
    for name, text in files.items():
        path = Path(repo) / name.replace("__", "/").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repo, "add", "--all")
    git(
        repo, "-c", "user.name=p", "-c", "user.email=p@x", "commit", "--quiet", "--allow-empty", "-m", message
    )
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(publish.time, "sleep", lambda _seconds: None)


@pytest.fixture
def origin(tmp_path):
    bare = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    seed = clone(bare, tmp_path / "seed")
    commit(seed, "first", proxmox__new_hosts_txt="")
    commit(seed, "second")
    git(seed, "push", "--quiet", "origin", "main")
    return bare


def clone(origin, path, *options):
    subprocess.run(
        ["git", "clone", "--quiet", *options, f"file://{origin}", str(path)], check=True, capture_output=True
    )
    if not git(path, "branch", "--list", "main"):
        git(path, "checkout", "--quiet", "-B", "main")
    return path


def appending(repo, line):
    def change():
        with (Path(repo) / QUEUE).open("a") as file:
            file.write(f"{line}\n")
        return f"add {line}"

    return change


def test_the_automations_own_commit_starts_nothing_and_hides_nobodys(origin, tmp_path):
    """GitHub reads the newest commit of a push: it must be the only one, whoever pushes meanwhile."""
    checkout, other = clone(origin, tmp_path / "checkout"), clone(origin, tmp_path / "other")
    pushes = tmp_path / "pushes"
    hook = origin / "hooks/post-receive"
    hook.write_text(
        f"#!/bin/sh\nwhile read old new ref; do git rev-list $old..$new | wc -l >> {pushes}; done\n"
    )
    hook.chmod(0o755)

    def change():
        if not resolve(origin, "main~2"):
            commit(other, "feat: a person's [ansible k8s-dev]")
            git(other, "push", "--quiet", "origin", "main")
        return appending(checkout, "a")()

    publish.publish(checkout, change)
    assert pushes.read_text().split() == ["1", "1"]
    newest, before = (git(origin, "log", "-1", "--format=%B", name) for name in ("main", "main^"))
    assert newest.splitlines()[1:] == ["", "[skip ci]"] and triggers.SKIP.search(newest)
    assert not triggers.SKIP.search(before)


# --- bring_to_head


def test_a_stale_checkout_comes_to_the_head(origin, tmp_path):
    stale, other = clone(origin, tmp_path / "stale"), clone(origin, tmp_path / "other")
    head = commit(other, "third")
    git(other, "push", "--quiet", "origin", "main", f"{head}:refs/gitops/served")
    assert bring_to_head(stale) == head
    assert resolve(stale, SERVED) == head


def test_a_workflow_need_not_ask_for_the_branch(origin, tmp_path, monkeypatch):
    checkout = clone(origin, tmp_path / "checkout")
    assert default_branch(checkout) == "main"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    for ref in ("refs/tags/other", "refs/pull/1/merge", "refs/heads/"):
        monkeypatch.setenv("GITHUB_REF", ref)
        assert default_branch(checkout) == "main", ref
    monkeypatch.setenv("GITHUB_REF", "refs/heads/feat/x")
    assert default_branch(checkout) == "feat/x"
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    git(checkout, "remote", "set-url", "origin", str(tmp_path / "away"))
    assert default_branch(checkout) == "main"


def test_a_shallow_or_detached_checkout_becomes_a_whole_one(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    shallow = clone(origin, tmp_path / "shallow", "--depth=1")
    git(shallow, "checkout", "--quiet", "--detach")
    bring_to_head(shallow)
    assert git(shallow, "log", "--format=%s").split() == ["second", "first"]
    assert git(shallow, "symbolic-ref", "--short", "HEAD") == "main"


def test_a_forced_push_is_followed_in_a_workflow(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stale, other = clone(origin, tmp_path / "stale"), clone(origin, tmp_path / "other")
    git(other, "reset", "--quiet", "--hard", "HEAD^")
    head = commit(other, "instead")
    git(other, "push", "--quiet", "--force", "origin", "main")
    (stale / QUEUE).write_text("half written by a killed run\n")
    assert bring_to_head(stale) == head
    assert git(stale, "status", "--porcelain") == ""


@pytest.mark.parametrize("work", ["uncommitted", "unpushed"])
def test_a_persons_work_is_never_thrown_away(origin, tmp_path, work):
    checkout = clone(origin, tmp_path / "checkout")
    if work == "uncommitted":
        (checkout / QUEUE).write_text("mine\n")
    else:
        commit(checkout, "mine")
    with pytest.raises(Fault, match="would be lost"):
        bring_to_head(checkout)
    assert checkout_head.main(["--repo", str(checkout)]) == 1


def test_a_change_that_fails_half_way_can_be_made_again(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")

    def change():
        (checkout / QUEUE).write_text("half\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish.publish(checkout, change)
    assert publish.publish(checkout, appending(checkout, "whole"))
    assert git(origin, "show", f"main:{QUEUE}") == "whole"


def test_untracked_files_stay(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")
    (checkout / "outputs.json").write_text("{}")
    bring_to_head(checkout)
    assert (checkout / "outputs.json").exists()


def test_a_copied_checkout_is_not_written_anew(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    checkout = tmp_path / "copied"
    shutil.copytree(clone(origin, tmp_path / "first"), checkout)
    before = (checkout / QUEUE).stat().st_mtime_ns
    bring_to_head(checkout)
    assert (checkout / QUEUE).stat().st_mtime_ns == before


def test_no_origin(tmp_path, capsys):
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "alone")], check=True)
    assert checkout_head.main(["--repo", str(tmp_path / "alone")]) == 2
    assert "origin" in capsys.readouterr().err


# --- publish


def test_commit_and_mark_go_in_one_push(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")
    asked = git(checkout, "rev-parse", "HEAD")
    (checkout / "outputs.json").write_text("{}")
    made = publish.publish(checkout, appending(checkout, "a"), served=asked)
    assert git(origin, "rev-parse", "main") == made
    assert git(origin, "rev-parse", SERVED) == asked
    assert git(origin, "show", "--format=%an %s", "--name-only", made).split("\n") == [
        "proxmox-gitops add a", "", QUEUE,
    ]  # fmt: skip
    assert resolve(checkout, SERVED) == asked


def test_nothing_to_write_pushes_nothing(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")
    before = git(origin, "for-each-ref")
    assert publish.publish(checkout, lambda: None) is None
    assert publish.publish(checkout, lambda: "says so, but writes nothing") is None
    assert git(origin, "for-each-ref") == before


def test_only_the_automations_files_are_committed(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")

    def change():
        (checkout / "README.md").write_text("not mine to publish\n")
        return appending(checkout, "a")()

    made = publish.publish(checkout, change)
    assert git(origin, "show", "--format=", "--name-only", made) == QUEUE


def test_the_mark_alone_moves_and_never_backwards(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")
    old, new = git(checkout, "rev-parse", "HEAD^"), git(checkout, "rev-parse", "HEAD")
    for served, then in ((old, old), (new, new), (old, new), (new, new)):
        assert publish.publish(checkout, lambda: None, served=served) is None
        assert git(origin, "rev-parse", SERVED) == then


def test_a_faster_push_is_taken_in(origin, tmp_path):
    checkout, other = clone(origin, tmp_path / "checkout"), clone(origin, tmp_path / "other")
    calls = []

    def change():
        calls.append(1)
        if len(calls) < 3:  # somebody pushes between our fetch and our push, twice
            git(other, "pull", "--quiet", "--ff-only", "origin", "main")
            commit(other, f"other {len(calls)}")
            git(other, "push", "--quiet", "origin", "main")
        return appending(checkout, "a")()

    publish.publish(checkout, change, served=git(checkout, "rev-parse", "HEAD"))
    assert len(calls) == 3
    log = git(origin, "log", "--format=%s", "main").split("\n")
    assert log == ["add a", "other 2", "other 1", "second", "first"]
    assert git(origin, "show", f"main:{QUEUE}") == "a"


def test_a_mark_moved_by_another_run_is_taken_in(origin, tmp_path):
    checkout = clone(origin, tmp_path / "checkout")
    old, new = git(checkout, "rev-parse", "HEAD^"), git(checkout, "rev-parse", "HEAD")

    def change():
        if resolve(origin, SERVED) is None:
            git(origin, "update-ref", SERVED, new)
        return appending(checkout, "a")()

    publish.publish(checkout, change, served=old)
    assert git(origin, "rev-parse", SERVED) == new
    assert git(origin, "show", f"main:{QUEUE}") == "a"


def test_it_gives_up_in_the_end_and_can_be_run_again(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    checkout, other = clone(origin, tmp_path / "checkout"), clone(origin, tmp_path / "other")
    busy = True

    def change():
        if busy:
            git(other, "pull", "--quiet", "--ff-only", "origin", "main")
            commit(other, "other")
            git(other, "push", "--quiet", "origin", "main")
        return appending(checkout, "a")()

    with pytest.raises(Fault, match="not pushed after 3 attempts") as caught:
        publish.publish(checkout, change, attempts=3)
    assert caught.value.code == 2
    busy = False
    publish.publish(checkout, change)
    assert git(origin, "show", f"main:{QUEUE}") == "a"


RULES = "error: GH013: Repository rule violations found for refs/heads/main.\n\n- {}\n"
REFUSALS = {  # what the server prints, and what the way out is
    "error: GH006: Protected branch update failed for refs/heads/main.\nerror: At least 1 approving review is required "
    "by reviewers with write access.": "secret DEPLOY_KEY; .*At least 1 approving review",
    RULES.format("Changes must be made through a pull request."): "secret DEPLOY_KEY; .*- Changes must be made through",
    RULES.format('Required status check "validate" is expected.'): "secret DEPLOY_KEY; ",
    RULES.format("Cannot update this protected ref."): "secret DEPLOY_KEY; ",
    RULES.format("Commits must have verified signatures."): "secret DEPLOY_KEY; ",
    RULES.format("Commit message must match a given regex pattern: ^[A-Z]+-"): "change that rule.*GH013.*given regex",
    RULES.format("Push cannot contain secrets\n\n  \u2014\u2014 Key \u2014\u2014\n  locations:\n    - commit: 1\n"
                 "      path: a"): "change that rule.*cannot contain secrets.*path: a",
    RULES.format("File path a.bin is restricted."): "change that rule.*a.bin is restricted",
}  # fmt: skip
HOOKS = [
    *((f"cat >&2 <<'E'\n{text}\nE\nexit 1", 1, said) for text, said in REFUSALS.items()),
    (
        "echo 'refusing to allow a GitHub App to create or update workflow `a.yml` (\u2026)' >&2; exit 1",
        1,
        "may not push over changed workflow files; store a deploy key",
    ),
]


@pytest.mark.parametrize(("hook", "code", "message"), HOOKS)
def test_a_protected_branch_is_told_at_once(origin, tmp_path, hook, code, message):
    checkout = clone(origin, tmp_path / "checkout")
    # An update hook's refusal reads like one of the server itself: [remote rejected].
    place = origin / "hooks" / ("update" if "workflow" in hook else "pre-receive")
    place.write_text(f"#!/bin/sh\n{hook}\n")
    place.chmod(0o755)
    with pytest.raises(Fault, match=message) as caught:
        publish.publish(checkout, appending(checkout, "a"), served=git(checkout, "rev-parse", "HEAD"))
    assert caught.value.code == code
    assert resolve(origin, SERVED) is None


def test_six_at_once_lose_nothing(origin, tmp_path, monkeypatch):
    monkeypatch.undo()
    checkouts = [clone(origin, tmp_path / f"c{number}") for number in range(6)]

    def one(number):
        checkout = checkouts[number]
        publish.publish(checkout, appending(checkout, f"host{number}"), attempts=60)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(checkouts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queued = git(origin, "show", f"main:{QUEUE}").split()
    assert sorted(queued) == [f"host{number}" for number in range(len(checkouts))]


@pytest.mark.parametrize("moment", ["change", "push"])
def test_killed_and_run_again(origin, tmp_path, moment):
    """SIGKILL inside the change, or while the server takes the push in; the second run completes it once."""
    checkout = clone(origin, tmp_path / "checkout")
    hook = origin / "hooks" / ("post-receive" if moment == "push" else "off")
    hook.write_text("#!/bin/sh\nkill -9 $(cat ../pid)\n")
    hook.chmod(0o755)
    program = f"""
import os, signal, sys
from pathlib import Path
from fleet.git import command as git, publish
Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
def change():
    queue = Path({str(checkout / QUEUE)!r})
    if "a\\n" in queue.read_text(): return None
    queue.write_text("a\\n")
    if {moment!r} == "change" and sys.argv[1] == "1": os.kill(os.getpid(), signal.SIGKILL)
    return "add a"
publish.publish({str(checkout)!r}, change, served=git.resolve({str(checkout)!r}, "HEAD"))
"""
    environment = {
        **os.environ,
        "GITHUB_ACTIONS": "true",
        "PYTHONPATH": str(Path(publish.__file__).parents[2]),
    }
    codes = []
    for attempt in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", program, attempt], env=environment, check=False)
        codes.append(done.returncode)
        hook.unlink(missing_ok=True)
    assert codes == [-9, 0]
    assert git(origin, "log", "--format=%s", "main").split("\n")[:2] == ["add a", "second"]
    assert resolve(origin, SERVED)


# --- the mark's beginning


def test_the_mark_begins_before_the_push(origin, tmp_path, capsys):
    checkout = clone(origin, tmp_path / "checkout")
    before = git(checkout, "rev-parse", "HEAD^")
    assert checkout_head.main(["--repo", str(checkout), "--before", before]) == 0
    assert git(origin, "rev-parse", SERVED) == before
    assert "served up to" in capsys.readouterr().out
    # Once there it stays, whatever later runs say.
    assert checkout_head.main(["--repo", str(checkout), "--before", git(checkout, "rev-parse", "HEAD")]) == 0
    assert git(origin, "rev-parse", SERVED) == before


@pytest.mark.parametrize("before", ["", "0" * 40, "f" * 40, "$(touch /tmp/x)", "--all"])
def test_an_unknown_begin_is_the_parent_of_the_commit_that_started_the_run(
    origin, tmp_path, monkeypatch, before
):
    checkout = clone(origin, tmp_path / "checkout")
    monkeypatch.setenv("GITHUB_SHA", commit(checkout, "asks"))
    commit(checkout, "chore(release): 1.0.0")
    git(checkout, "push", "--quiet", "origin", "main")
    assert checkout_head.main(["--repo", str(checkout), f"--before={before}"]) == 0
    assert git(origin, "log", "-1", "--format=%s", SERVED) == "second"


def test_a_repository_of_one_commit_has_no_mark_yet(tmp_path):
    bare = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    checkout = clone(bare, tmp_path / "checkout")
    commit(checkout, "only")
    git(checkout, "push", "--quiet", "origin", "main")
    bring_to_head(checkout)
    assert publish.ensure_served(checkout, "0" * 40) is None
