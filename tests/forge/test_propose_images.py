"""Proposing newer builds of images: a real repository, and a small server that answers as GitHub's API does."""

import subprocess
from types import SimpleNamespace

import pytest

import propose_images
from tests.helpers.github_api import serving

BRANCH = "images-update"


def git(repo, *args):
    done = subprocess.run(["git", "-C", str(repo), *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def api(monkeypatch):
    """The requests that came: (method, path, query, what was sent). `refusal`: (status, message)."""

    api = SimpleNamespace(asked=[], open=[], refusal=None)

    def answer(request):
        assert request.headers["Authorization"] == "Bearer secret"
        api.asked.append(request[:4])
        if request.method == "GET":
            return 200, api.open
        if api.refusal:
            return api.refusal[0], {"message": api.refusal[1]}
        return 201, {"html_url": "https://forge/pulls/7"}

    with serving(answer) as address:
        monkeypatch.setenv("GITHUB_API_URL", address)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        monkeypatch.setenv("NO_PROXY", "*")
        for name in ("GITHUB_ACTIONS", "GITHUB_REF", "GITHUB_STEP_SUMMARY", "GITHUB_SERVER_URL"):
            monkeypatch.delenv(name, raising=False)
        yield api


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A clone whose lock has a newer build than its HEAD."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    bare, path = tmp_path / "origin.git", tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    subprocess.run(["git", "clone", "--quiet", bare, path], check=True, capture_output=True)
    git(path, "checkout", "-q", "-B", "main")
    (path / "proxmox").mkdir()
    lock = path / "proxmox/images.lock.yml"
    lock.write_text("old\n")
    git(path, "add", ".")
    git(path, "-c", "user.name=p", "-c", "user.email=p@x", "commit", "-qm", "first")
    git(path, "push", "-q", "origin", "main")
    lock.write_text("new\n")
    return path


@pytest.fixture
def propose(repo, tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("image  locked  newest\n")
    return lambda: propose_images.main(["--repo", str(repo), "--table", str(table)])


def on_origin(repo):
    return git(repo, "ls-remote", "origin", f"refs/heads/{BRANCH}").split()[:1]


def test_a_newer_lock_becomes_a_pull_request(propose, repo, api, capsys):
    assert propose() == 0
    assert "proposed: https://forge/pulls/7" in capsys.readouterr().out
    git(repo, "fetch", "-q", "origin", BRANCH)
    assert git(repo, "show", "FETCH_HEAD:proxmox/images.lock.yml") == "new"
    assert git(repo, "rev-list", "--count", "main..FETCH_HEAD") == "1"
    assert git(repo, "status", "--porcelain") == "M proxmox/images.lock.yml", "the checkout stays as it is"
    (_, path, query, _), (method, there, _, sent) = api.asked
    assert path == there == "/repos/o/r/pulls" and method == "POST"
    assert query == {"state": ["open"], "head": [f"o:{BRANCH}"], "base": ["main"]}
    assert (sent["head"], sent["base"]) == (BRANCH, "main")
    assert "```\nimage  locked  newest\n```" in sent["body"]


def test_an_open_pull_request_is_brought_up_to_date(propose, repo, api):
    api.open = [{"number": 7}]
    propose()
    first = on_origin(repo)
    assert [one[:2] for one in api.asked] == [("GET", "/repos/o/r/pulls"), ("PATCH", "/repos/o/r/pulls/7")]
    propose()
    assert on_origin(repo) == first, "what is there already is not pushed again"
    (repo / "proxmox/images.lock.yml").write_text("newer\n")
    propose()
    assert on_origin(repo) != first


def test_a_lock_that_is_committed_is_not_proposed(propose, repo, api, capsys):
    git(repo, "checkout", "-q", ".")
    assert propose() == 0 and capsys.readouterr().out.endswith("nothing is newer\n")
    (repo / "proxmox/images.lock.yml").unlink()
    assert propose() == 0
    assert not on_origin(repo) and not api.asked


def test_the_first_lock_is_proposed(propose, repo, api):
    git(repo, "rm", "-q", "--cached", "proxmox/images.lock.yml")
    git(repo, "-c", "user.name=p", "-c", "user.email=p@x", "commit", "-qm", "none yet")
    assert propose() == 0 and on_origin(repo)


def test_a_repository_that_does_not_permit_it(propose, repo, api, capsys):
    api.refusal = (403, "GitHub Actions is not permitted to create or approve pull requests.")
    assert propose() == 0
    err = capsys.readouterr().err
    assert err.startswith(
        f"warning: the branch {BRANCH} has newer builds; open its pull request at https://github.com/o/r"
    )
    assert on_origin(repo)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "Resource not accessible by integration"), "answers 403 Resource not accessible by integration to a pull"
                                                          " request; the job needs `pull-requests: write`"),
        ((422, "Validation Failed"), "answers 422 Validation Failed to a pull request\n"),
    ],
)  # fmt: skip
def test_other_refusals(propose, api, capsys, refusal, words):
    api.refusal = refusal
    assert propose() == 2
    assert words in capsys.readouterr().err


def test_nobody_there(propose, monkeypatch, api, capsys):
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert propose() == 2
    assert "gives no answer that can be used: " in capsys.readouterr().err
    monkeypatch.delenv("GITHUB_API_URL")
    assert propose() == 2
    assert "GITHUB_API_URL and GITHUB_REPOSITORY are needed" in capsys.readouterr().err
