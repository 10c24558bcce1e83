"""The workflow upgrade on the lab's forge: a release of the project becomes a branch there and a pull request."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.forge import client
from tests.helpers.upstream import Clone, nobody  # noqa: F401
from tests.lab.test_forge import ROOT, lab  # noqa: F401

STEP = "          BRANCH: ${{ steps.merge.outputs.branch }}\n"


@pytest.fixture
def pulls():
    """GitHub's answers to questions after pull requests; what was sent."""
    sent = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            if self.command == "POST":
                sent.append((self.headers["Authorization"], json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"html_url": "https://forge/pulls/7"} if length else []).encode())

        do_POST = do_GET

        def log_message(self, *_):
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


NEEDED = (".github", "scripts", "pyproject.toml", "constraints.txt", "docs/use.md")


def unpack(repo, path, revision="HEAD", names=NEEDED):
    """A copy of those files of a commit that the workflow needs."""
    with subprocess.Popen(
        ["git", "-C", repo, "archive", revision, *names], stdout=subprocess.PIPE
    ) as archive:
        subprocess.run(["tar", "-x", "-C", path], stdin=archive.stdout, check=True)


def ended(lab, **inputs):  # noqa: F811
    number = client.dispatch("upgrade.yml", inputs)
    client.wait(seconds=60)
    return client.run(number)["conclusion"], client.log(number)


def test_a_release_becomes_a_pull_request(lab, pulls, tmp_path):  # noqa: F811
    api, sent = pulls
    project = Clone(tmp_path / "project")
    unpack(ROOT, project.path)
    project.release("v0.1.0", {})
    project.release("v0.2.0", {"docs/use.md": "other words\n"})
    unpack(project.path, lab.clone, "v0.1.0")
    flows = lab.clone / ".github/workflows"
    for path in flows.glob("*"):
        if path.name != "upgrade.yml":
            path.unlink()
    text = (flows / "upgrade.yml").read_text()
    assert STEP in text
    lab.commit("Initial commit")
    record = {".gitops-version": f'version = "v0.1.0"\nupstream = "file://{project.path}"\n'}
    (lab.clone / ".gitops-version").write_text(record[".gitops-version"])
    head = lab.commit(upgrade=text.replace(STEP, f"{STEP}          GITHUB_API_URL: {api}\n"))

    conclusion, log = ended(lab, to="v0.7.0")
    assert conclusion == "failure" and "the project has no release 'v0.7.0'; it has v0.1.0, v0.2.0" in log
    conclusion, log = ended(lab)
    assert conclusion == "success" and "proposed: https://forge/pulls/7" in log
    ((token, body),) = sent
    assert token.startswith("Bearer ") and len(token) > 20
    assert (body["head"], body["base"]) == ("upgrade/v0.2.0", "main") and "v0.1.0" in body["body"]
    lab.git("fetch", "-q", "origin", "upgrade/v0.2.0")
    assert lab.git("rev-parse", "FETCH_HEAD^") == head
    assert lab.git("show", "FETCH_HEAD:docs/use.md") == "other words"
    lab.git("merge", "-q", "FETCH_HEAD")
    lab.commit("Upgrade")
    conclusion, log = ended(lab)
    assert conclusion == "success" and len(sent) == 1, "nothing is newer"
