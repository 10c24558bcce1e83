"""Which workspaces a run applies: those that any commit since the mark has changed."""

import json
import subprocess

import pytest

import open_workspaces
from fleet.git.command import WORKSPACES

TYPES = {
    "workload": "map(list(string))",
    "config": "map(object({ kubernetes_context = string, dns = optional(string) }))",
    "charts": "map(object({ repository = string, chart = string, version = string }))",
}


class Repo:
    def __init__(self, folder):
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args):
        who = ("-c", "user.name=p", "-c", "user.email=p@x")
        command = ["git", "-C", str(self.folder), *who, *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text=None, file="clusters/variables.tf"):
        """A commit with this text of a file, or with none."""
        if text is not None:
            path = self.folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "next")
        return self.git("rev-parse", "HEAD")

    def maps(self, **workspaces):
        """A commit with these workspaces: the value of `dns` of each."""
        values = {
            "workload": {name: ["argocd"] for name in workspaces},
            "config": {
                name: {"kubernetes_context": f"k8s-{name}", "dns": dns} for name, dns in workspaces.items()
            },
            "charts": {},
        }
        blocks = (
            f'variable "{name}" {{\n  type    = {kind}\n  default = {json.dumps(values[name])}\n}}\n'
            for name, kind in TYPES.items()
        )
        return self.commit("\n".join(blocks))

    def mark(self, commit):
        self.git("update-ref", WORKSPACES, commit)


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    (tmp_path / "repo").mkdir()
    return Repo(tmp_path / "repo")


@pytest.fixture
def run(repo, capsys, tmp_path):
    def call(scope="open", before="", code=0):
        (tmp_path / "output").write_text("")
        assert open_workspaces.main([scope, "--before", before, "--repo", str(repo.folder)]) == code
        out, err = capsys.readouterr()
        outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
        if code == 0:
            assert outputs.get("matrix", "[]") == out.strip(), "no output of an empty matrix"
            return [one["workspace"] for one in json.loads(out)], outputs
        return err, outputs

    return call


def test_what_changed_since_the_mark(repo, run):
    first = repo.maps(a="1", b="1")
    assert run()[0] == ["a", "b"], "nothing was recorded"
    repo.mark(first)
    assert run()[0] == []
    repo.commit("a word", "NOTES.md")
    assert run()[0] == []
    head = repo.maps(a="1", b="2", c="1")
    found, outputs = run()
    assert found == ["b", "c"]
    assert outputs["head"] == head and outputs["since"] == first
    assert json.loads(outputs["matrix"])[1] == {"workspace": "c", "context": "k8s-c", "reason": "new"}
    assert run("all")[0] == ["a", "b", "c"]


def test_a_change_that_was_reverted_may_have_been_begun(repo, run):
    repo.mark(repo.maps(a="1", b="1"))
    repo.maps(a="2", b="1")
    repo.maps(a="1", b="1")
    assert run()[0] == ["a"]


def test_what_left_the_maps_and_came_back(repo, run):
    repo.mark(repo.maps(a="1", b="1"))
    repo.maps(a="1")
    assert run()[0] == [], "its releases are told of by left_workspaces.py"
    repo.maps(a="1", b="1")
    assert run()[0] == ["b"]


def test_a_commit_that_cannot_be_read_hides_nothing(repo, run):
    repo.mark(repo.maps(a="1", b="1"))
    repo.commit('variable "workload" {')
    err, outputs = run(code=1)
    assert "clusters/variables.tf:" in err and "matrix" not in outputs
    repo.maps(a="1", b="2")
    assert run()[0] == ["b"]


def test_a_merge_counts_as_what_it_brings(repo, run):
    repo.mark(repo.maps(a="1", b="1"))
    repo.git("switch", "--quiet", "-c", "branch")
    repo.maps(a="1", b="2")
    repo.git("switch", "--quiet", "main")
    repo.commit()
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "branch")
    assert run()[0] == ["b"]


def test_after_a_forced_push_all_are_applied(repo, run):
    first = repo.maps(a="1", b="1")
    repo.mark(repo.maps(a="2", b="1"))
    repo.git("reset", "--quiet", "--hard", first)
    head = repo.commit("a word", "NOTES.md")
    found, outputs = run()
    assert (found, outputs["since"]) == (["a", "b"], first), "approvals are read from the last commit alone"
    assert run(before=first)[1]["since"] == first
    assert run(before="0" * 40)[1]["since"] == first
    assert outputs["head"] == head


def test_more_commits_than_are_compared(repo, run, monkeypatch):
    monkeypatch.setattr(open_workspaces, "MOST", 2)
    repo.mark(repo.maps(a="1", b="1"))
    for number in "234":
        repo.maps(a="1", b=number)
    assert run()[0] == ["a", "b"]


def test_without_clusters(repo, run):
    repo.mark(repo.commit())
    repo.commit()
    assert run()[0] == run("all")[0] == []


def test_of_one_commit_alone(repo, run):
    head = repo.maps(a="1")
    assert run()[1]["since"] == head
