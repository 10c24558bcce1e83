"""The one issue: against an HTTP server that keeps issues as GitHub's API describes them, through the script itself."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fleet.drift import issue
from fleet.paths import ROOT
from tests.helpers.github_api import serving

ROW = {"machine": "web1", "kind": "changed", "what": "memory", "was": "1", "is": "2", "command": "make plan"}


@pytest.fixture
def forge():
    """The issues and comments that the server at `address` keeps."""

    kept = SimpleNamespace(issues=[], comments=[])

    def answer(request):
        parts = request.path.split("/")[4:]
        if request.method == "GET":
            return 200, [one for one in kept.issues if one["state"] == "open"]
        if request.method == "PATCH":
            found = kept.issues[int(parts[1]) - 1]
            found.update(request.sent)
            return 200, found
        if len(parts) == 3:
            kept.comments.append(request.sent)
            return 200, request.sent
        made = {"number": len(kept.issues) + 1, "state": "open", "user": {"login": "github-actions[bot]"}}
        kept.issues.append(made | request.sent)
        return 200, kept.issues[-1]

    with serving(answer) as kept.address:
        yield kept


def report(tmp_path, address, rows=(), unknown=()):
    file = tmp_path / "drift.json"
    file.write_text(json.dumps({"at": "", "rows": rows, "unknown": unknown}))
    env = {
        "GITHUB_API_URL": address,
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "t",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    command = [sys.executable, ROOT / "scripts" / "report_drift.py", file]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8")


def test_opened_changed_left_and_closed(tmp_path, forge):
    address = forge.address
    foreign = {"number": 1, "state": "open", "user": {"login": "mallory"}, "body": issue.MARKER}
    forge.issues.append(dict(foreign))
    assert report(tmp_path, address).stdout == "no issue is open\n"
    assert report(tmp_path, address, [ROW]).stdout == "opened issue 2\n"
    assert report(tmp_path, address, [ROW]).stdout == "issue 2 says it already\n"
    assert report(tmp_path, address, [ROW | {"is": "3"}]).stdout == "changed issue 2\n"
    assert "stays" in report(tmp_path, address, unknown=["Vault"]).stdout
    assert forge.issues[1]["state"] == "open"
    assert report(tmp_path, address).stdout == "closed issue 2\n"
    assert forge.issues[1]["state"] == "closed" and len(forge.comments) == 1
    assert report(tmp_path, address, [ROW]).stdout == "opened issue 3\n"
    assert forge.issues[0] == foreign


def test_the_forge_is_away(tmp_path):
    done = report(tmp_path, "http://127.0.0.1:1", [ROW])
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "web1" in (tmp_path / "summary").read_text()


def test_a_text_of_a_stranger_is_text():
    text = issue.body({"rows": [ROW | {"machine": "a|b @all <img> [x](y)\n# z"}], "unknown": []})
    assert not any(part in text for part in ("@all", "<img", "[x]", "\n# z"))
    assert text.splitlines()[-1].count("|") == len(issue.HEADS) + 1


def test_a_thousand_rows_are_cut_at_a_row():
    text = issue.body({"rows": [ROW | {"machine": "m" * 60}] * 1000, "unknown": []})
    assert len(text) < 65_536 and text.endswith("more lines are in the run's log.")
    assert text.count("| make plan |") == text.count("| mmm")
