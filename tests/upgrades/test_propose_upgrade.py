"""Proposing an upgrade: real repositories, and a small server that answers as GitHub's API does."""

import os
from types import SimpleNamespace

import pytest

import propose_upgrade
import upgrade
from fleet.tags import message
from tests.helpers.github_api import serving
from tests.helpers.upstream import PROJECT, Clone

BRANCH = "upgrade/v0.2.0"


@pytest.fixture
def api(monkeypatch, nobody):
    """The requests that came: (method, path, what was sent)."""

    api = SimpleNamespace(asked=[], open=[], closed=[], refusal=None, template=None)

    def answer(request):
        api.asked.append((request.method, request.path, request.sent))
        if request.path == "/repos/o/r":
            return 200, {"template_repository": api.template}
        if request.method != "GET":
            return api.refusal or (201, {"html_url": "https://forge/pulls/7"})
        return 200, api.closed if request.query.get("state") == ["closed"] else api.open

    with serving(answer) as address:
        monkeypatch.setenv("GITHUB_API_URL", address)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        monkeypatch.setenv("GITHUB_TOKEN", "secret")
        monkeypatch.setenv("NO_PROXY", "*")
        yield api


@pytest.fixture
def fleet(project, tmp_path, run):
    """A fleet's clone that has the branch of an upgrade, and an origin that has not."""
    project.release("v0.1.0", PROJECT | {"docs/a.md": "1"})
    notes = "# CHANGELOG\n\n## v0.2.0 (2026-02-01)\n\n- ``` [destroy k8s-dev] @everybody\n"
    project.release("v0.2.0", {"docs/a.md": "2", ".github/workflows/x.yml": "x", "CHANGELOG.md": notes})
    made = project.copy(tmp_path / "fleet", "v0.1.0")
    made.origin = tmp_path / "origin.git"
    made.git("init", "-q", "--bare", "-b", "main", made.origin)
    made.git("remote", "add", "origin", made.origin)
    made.git("push", "-q", "origin", "main")
    report = tmp_path / "report.txt"

    def again():
        code, said = run(made, project)
        report.write_text(said)
        assert code == 0, said

    again()
    made.again = again
    made.propose = lambda: propose_upgrade.main([BRANCH, "--report", str(report), "--repo", str(made.path)])
    return made


def on_origin(fleet):
    return fleet.git("ls-remote", "origin", f"refs/heads/{BRANCH}").partition("\t")[0]


def test_the_branch_becomes_a_pull_request(fleet, api, capfd):
    assert fleet.propose() == 0
    assert "proposed: https://forge/pulls/7" in capfd.readouterr().out
    assert on_origin(fleet) == fleet.git("rev-parse", BRANCH)
    assert [one[:2] for one in api.asked] == [("GET", "/repos/o/r/pulls"), ("POST", "/repos/o/r/pulls")]
    sent = api.asked[-1][2]
    assert (sent["head"], sent["base"]) == (BRANCH, "main")
    assert sent["title"] == "feat(upgrade): v0.2.0 of proxmox-gitops"
    before, fence, rest = sent["body"].partition("````\n")
    assert (
        fence and "[destroy k8s-dev] @everybody" in rest.rpartition("\n````")[0] and "destroy" not in before
    )
    tags, findings = message.read(f"{sent['title']} (#7)\n\n{sent['body']}")
    assert not tags and {one.level for one in findings} <= {"notice", "warning"}, "a squash asks for nothing"


def test_it_is_brought_up_to_date_until_a_person_works_on_it(fleet, api, tmp_path, capfd):
    fleet.propose()
    first = on_origin(fleet)
    api.open = [{"number": 7}]
    assert fleet.propose() == 0 and on_origin(fleet) == first, "what is there already is not pushed again"
    fleet.commit({"docs/mine.md": "mine"})
    fleet.again()
    assert fleet.propose() == 0 and on_origin(fleet) not in ("", first)
    assert api.asked[-1][:2] == ("PATCH", "/repos/o/r/pulls/7")
    person = Clone(tmp_path / "person")
    person.git("pull", "-q", str(fleet.origin), BRANCH)
    mended = person.commit({"docs/a.md": "mended"})
    person.git("push", "-q", str(fleet.origin), f"HEAD:refs/heads/{BRANCH}")
    fleet.commit({"docs/mine.md": "more"})
    fleet.again()
    api.asked.clear()
    assert fleet.propose() == 0
    assert on_origin(fleet) == mended and not api.asked
    assert "has commits of a person's and is left alone" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        ("refusing to allow a GitHub App to create or update workflow `.github/workflows/x.yml` without `workflows`"
         " permission", 1, "the workflow's own token may not push changed workflows; store a deploy key"),
        ("GH013: Repository rule violations found", 1, "a rule of the repository refuses this push"),
    ],
)  # fmt: skip
def test_a_push_that_is_refused(fleet, api, capfd, says, code, words):
    # An update hook's refusal reads like one of the server itself: [remote rejected].
    hook = fleet.origin / "hooks" / ("update" if "workflow" in says else "pre-receive")
    hook.write_text(f"#!/bin/sh\ncat <<'EOF' >&2\n{says}\nEOF\nexit 1\n")
    hook.chmod(0o755)
    assert fleet.propose() == code
    assert words in capfd.readouterr().err and not api.asked, "no pull request for a part of it"


def test_a_repository_that_does_not_permit_it(fleet, api, capfd):
    api.refusal = (403, {"message": "GitHub Actions is not permitted to create or approve pull requests."})
    assert fleet.propose() == 0
    assert f"open its pull request at https://github.com/o/r/compare/{BRANCH}" in capfd.readouterr().err
    assert on_origin(fleet)


def test_what_a_person_closed_is_not_opened_again_each_week(fleet, api, capfd, monkeypatch):
    monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    api.closed = [{"number": 6, "merged_at": None}]
    assert fleet.propose() == 0 and not on_origin(fleet)
    assert "somebody closed the pull request of upgrade/v0.2.0; start" in capfd.readouterr().out
    assert {method for method, *_ in api.asked} == {"GET"}
    api.open = [{"number": 7}]
    assert fleet.propose() == 0 and on_origin(fleet), "it was opened again"
    api.open, api.closed = [], [{"number": 6, "merged_at": "2026-01-01T00:00:00Z"}]
    assert fleet.propose() == 0 and api.asked[-1][0] == "POST", "reverted after its merge"
    monkeypatch.setenv("GITHUB_EVENT_NAME", "workflow_dispatch")
    api.closed = [{"number": 6, "merged_at": None}]
    assert fleet.propose() == 0 and api.asked[-1][0] == "POST", "by hand"


def test_no_branch_and_no_forge(fleet, api, tmp_path, capfd, monkeypatch):
    call = ["upgrade/v9.9.9", "--report", str(tmp_path / "report.txt"), "--repo", str(fleet.path)]
    assert propose_upgrade.main(call) == 2 and "there is no branch upgrade/v9.9.9" in capfd.readouterr().err
    monkeypatch.delenv("GITHUB_API_URL")
    assert fleet.propose() == 2 and "GITHUB_API_URL" in capfd.readouterr().err


def test_the_forge_knows_the_template(fleet, project, api, capfd):
    call = ["--repo", str(fleet.path)]
    assert upgrade.main(call) == 2, "no template"
    api.template = {"clone_url": f"file://{project.path}"}
    assert upgrade.main(call) == 0 and "it goes to v0.2.0" in capfd.readouterr().out
    api.template = {"clone_url": "ext::touch x"}
    assert upgrade.main(call) == 2
    assert os.environ["GITHUB_TOKEN"] not in "".join(capfd.readouterr())
