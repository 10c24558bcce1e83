"""The one issue: against an HTTP server that keeps issues as GitHub's API describes them, through the script itself."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.drift import issue
from fleet.paths import ROOT

ROW = {"machine": "web1", "kind": "changed", "what": "memory", "was": "1", "is": "2", "command": "make plan"}


@pytest.fixture
def forge():
    """The issues and comments that the server keeps; `server` has its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            parts = self.path.partition("?")[0].split("/")[4:]
            if self.command == "GET":
                said = [one for one in server.issues if one["state"] == "open"]
            elif self.command == "PATCH":
                said = server.issues[int(parts[1]) - 1]
                said.update(sent)
            elif len(parts) == 3:
                server.comments.append(said := sent)
            else:
                said = {
                    "number": len(server.issues) + 1,
                    "state": "open",
                    "user": {"login": "github-actions[bot]"},
                }
                server.issues.append(said := said | sent)
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.issues, server.comments = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def report(tmp_path, port, rows=(), unknown=()):
    file = tmp_path / "drift.json"
    file.write_text(json.dumps({"at": "", "rows": rows, "unknown": unknown}))
    env = {
        "GITHUB_API_URL": f"http://127.0.0.1:{port}",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "t",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    command = [sys.executable, ROOT / "scripts" / "report_drift.py", file]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8")


def test_opened_changed_left_and_closed(tmp_path, forge):
    port = forge.server_address[1]
    foreign = {"number": 1, "state": "open", "user": {"login": "mallory"}, "body": issue.MARKER}
    forge.issues.append(dict(foreign))
    assert report(tmp_path, port).stdout == "no issue is open\n"
    assert report(tmp_path, port, [ROW]).stdout == "opened issue 2\n"
    assert report(tmp_path, port, [ROW]).stdout == "issue 2 says it already\n"
    assert report(tmp_path, port, [ROW | {"is": "3"}]).stdout == "changed issue 2\n"
    assert "stays" in report(tmp_path, port, unknown=["Vault"]).stdout
    assert forge.issues[1]["state"] == "open"
    assert report(tmp_path, port).stdout == "closed issue 2\n"
    assert forge.issues[1]["state"] == "closed" and len(forge.comments) == 1
    assert report(tmp_path, port, [ROW]).stdout == "opened issue 3\n"
    assert forge.issues[0] == foreign


def test_the_forge_is_away(tmp_path):
    done = report(tmp_path, 1, [ROW])
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
