"""Waiting for the release run, against a small server that answers as GitHub's API does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import wait_for_release
from fleet.findings import Fault
from fleet.forge.api import ask

SHA = "a" * 40


def run(status="completed", conclusion="success", number=7):
    return {
        "id": number,
        "status": status,
        "conclusion": conclusion,
        "html_url": f"https://forge/runs/{number}",
    }


class Api:
    """Answers with the next of `answers`, runs, an HTTP status or a redirect; the last one stays."""

    def __init__(self):
        self.answers: list = [[]]
        self.asked: list[tuple[str, str | None]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                api.asked.append((self.path, self.headers.get("Authorization")))
                answer = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
                body = b"not json" if answer == "garbage" else json.dumps({"workflow_runs": answer}).encode()
                moved = isinstance(answer, str) and "/" in answer
                self.send_response(302 if moved else answer if isinstance(answer, int) else 200)
                self.send_header("Location", str(answer))
                more = 5 if answer == "cut" else 0
                self.send_header("Content-Length", str(len(body) + more))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def api():
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


def call(api, *options):
    fast = ("--timeout", "0.6", "--grace", "0.1", "--interval", "0.02")
    return wait_for_release.main(["--sha", SHA, "--repository", "o/r", "--api", api.url, *fast, *options])


CASES = [
    # answers, exit, on stdout, on stderr
    ([[run()]], 0, "release: success", ""),
    ([[run("queued", None)], [run("in_progress", None)], [run()]], 0, "more: in_progress", ""),
    ([[], [run()]], 0, "more: not there yet", ""),
    ([[run(conclusion="skipped")]], 0, "skipped", ""),
    ([[run(conclusion="failure")]], 0, "", "ended with failure; Terraform continues"),
    ([[run(conclusion="cancelled")]], 0, "", "ended with cancelled"),
    ([[run(conclusion="failure", number=3), run(number=9)]], 0, "release: success", ""),  # a newer run
    ([[]], 0, "", "no release run of this commit after 0 s; Terraform continues"),
    ([[run("in_progress", None)]], 0, "", "still in_progress after 1 s; Terraform continues"),
    ([502, 500, [run()]], 0, "does not answer (502", ""),
    ([429, "garbage", [run()]], 0, "release: success", ""),
    (["cut", [run()]], 0, "release: success", ""),
    ([503], 2, "", "could not be asked for 1 s: 503"),
    (["garbage"], 2, "", "could not be asked"),
    ([404], 2, "", "o/r with release.yml must exist"),
    ([401], 2, "", "`actions: read`"),
]


@pytest.mark.parametrize(("answers", "code", "out", "err"), CASES)
def test_every_end(api, capsys, monkeypatch, answers, code, out, err):
    monkeypatch.setenv("GITHUB_TOKEN", "token")
    api.answers = list(answers)
    assert call(api) == code
    said = capsys.readouterr()
    assert out in said.out
    assert err in said.err
    assert not err or code == 2 or said.err.startswith("warning: ")
    path, authorization = api.asked[0]
    assert path.startswith(f"/repos/o/r/actions/workflows/release.yml/runs?head_sha={SHA}")
    assert authorization == "Bearer token"


def test_a_redirect_to_another_host_does_not_get_the_token(api, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "token")
    other = Api()
    api.answers = [f"{other.url}/elsewhere"]
    assert call(api) == 2
    assert "302" in capsys.readouterr().err and other.asked == []
    other.server.shutdown()
    other.server.server_close()
    api.asked.clear()
    api.answers = [f"{api.url}/repositories/1", [run()]]  # of a renamed repository
    assert call(api) == 0 and api.asked[1] == ("/repositories/1", "Bearer token")


def test_nobody_there(api, capsys):
    api.server.server_close()
    assert call(api) == 2
    said = capsys.readouterr()
    assert "does not answer (" in said.out
    assert "refused" in said.err


def test_it_says_once_what_it_waits_for(api, capsys):
    api.answers = [[run("in_progress", None)]] * 5 + [[run()]]
    assert call(api) == 0
    assert capsys.readouterr().out.count("in_progress") == 1


@pytest.mark.parametrize(
    "argv",
    [["--sha", "", "--repository", "o/r"], ["--sha", SHA, "--repository", "o/r", "--api", "file:///etc"]],
)
def test_wrong_usage(capsys, argv):
    assert wait_for_release.main(argv) == 2
    assert capsys.readouterr().err


def test_a_failed_release_stands_in_the_summary(api, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    api.answers = [[run(conclusion="failure")]]
    assert call(api) == 0
    assert "ended with failure" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize("token", ["hidden\nword", "hidden\x07word", "hidden\N{NO-BREAK SPACE}word"])
def test_a_token_that_no_header_can_have_is_not_quoted(api, token):
    with pytest.raises(Fault, match="has a line break or a character") as caught:
        ask(api.url, "repos/o/r", token)
    assert "hidden" not in str(caught.value) and not api.asked
