"""The lab's forge with small workflows of its own: filters, tokens, concurrency, API, what a crash leaves."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.forge import client, gated, triggers
from lab.forge.groups import Groups

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "person-0123456789"
CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"
HEAD = f"permissions: {{}}\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n    - uses: {CHECKOUT}\n"


def workflow(on, *run, more="", **env):
    """A workflow of one job; each of `run` is a step with the environment `env`."""
    steps = "".join(f"    - run: {json.dumps(one)}\n      env: {json.dumps(env)}\n" for one in run)
    return f"on: {json.dumps(on)}\n{more}{HEAD}{steps}"


class Lab:
    """A forge of its own and a person's clone."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.clone = folder / "clone"
        self.environment = {
            **os.environ,
            "GITHUB_TOKEN": TOKEN,
            "PYTHONPATH": str(ROOT),
            "LAB_DIR": str(folder),
        }
        self.environment |= {
            "VAULT_TOKEN": "s3cret-vault-token",
            "SSH_PRIVATE_KEY": "-----\nline-of-the-key\n-----\n",
        }
        self.environment |= {"K3S_VERSION": "v1.34"}
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "lab.forge", "serve", "--port", "0"]
        with (self.folder / "forge.log").open("a") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        for _ in range(200):
            if client.alive():
                return self
            time.sleep(0.05)
        raise AssertionError((self.folder / "forge.log").read_text())

    def stop(self, crash=False):
        self.process.kill() if crash else self.process.terminate()
        self.process.wait(10)

    def git(self, *args, **more):
        done = subprocess.run(
            ["git", *args], cwd=self.clone, capture_output=True, text=True, check=True, **more
        )
        return done.stdout.strip()

    def commit(self, message="commit", **files):
        """Commit workflow files (by name) and others (by path) and push; the commit's id."""
        for name, text in files.items():
            path = self.clone / (f".github/workflows/{name}.yml" if "/" not in name else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("push", "--quiet", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def settings(self, **changes):
        (self.folder / "forge" / "settings.json").write_text(json.dumps(changes))


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_DIR", str(tmp_path))
    for name, value in (("GIT_AUTHOR", "p"), ("GIT_COMMITTER", "p")):
        monkeypatch.setenv(f"{name}_NAME", value)
        monkeypatch.setenv(f"{name}_EMAIL", "p@x")
    lab = Lab(tmp_path).start()
    lab.clone.mkdir()
    lab.git("init", "--quiet", "--initial-branch=main")
    lab.git("remote", "add", "origin", str(tmp_path / "forge" / "repo.git"))
    yield lab
    lab.stop()
    assert not [one for one in client.processes_of(tmp_path) if one != os.getpid()]


def ends(runs):
    return {Path(run["path"]).stem: run["conclusion"] for run in runs}


def test_a_push_runs_the_pushed_workflows_and_their_results_are_kept(lab):
    sha = lab.commit(
        good=workflow("push", 'echo "sha $GITHUB_SHA in $GITHUB_REPOSITORY" >> "$GITHUB_STEP_SUMMARY"'),
        bad=workflow("push", "echo about to fail; exit 3"),
        other=workflow("pull_request", "true"),
    )
    assert ends(client.wait(sha, seconds=30)) == {"good": "success", "bad": "failure"}
    by_name = {Path(run["path"]).stem: run for run in client.runs(sha)}
    assert f"sha {sha} in lab/fleet" in client.summary(by_name["good"]["id"])
    assert "about to fail" in client.log(by_name["bad"]["id"])
    jobs = client.run(by_name["bad"]["id"])["jobs"]
    assert [(job["job_id"], job["conclusion"], job["steps"][-1]["conclusion"]) for job in jobs] == [
        ("one", "failure", "failure")
    ]
    lab.stop(crash=True)
    lab.start()
    assert ends(client.runs(sha)) == {"good": "success", "bad": "failure"}


def test_a_push_answers_with_its_runs_and_the_command_that_follows_them(lab):
    files = {name: workflow({"push": {"paths": ["go"]}}, "true") for name in ("good", "bad")}
    files["bad"] = files["bad"].replace('"true"', '"exit 3"')
    lab.commit(**files)

    def push(**files):
        for name in files:
            (lab.clone / name).touch()
        lab.git("add", "--all")
        lab.git("commit", "--quiet", "--allow-empty", "-m", "x")
        done = subprocess.run(
            ["git", "push", "origin", "HEAD"], cwd=lab.clone, capture_output=True, text=True
        )
        return [line[8:].strip() for line in done.stderr.splitlines() if line.startswith("remote: ")]

    bad, good, follow = push(go="")
    assert (bad, good) == ("started bad #1", "started good #2")
    command = ["sh", "-c", follow.removeprefix("follow it with: ")]
    environment = {name: value for name, value in os.environ.items() if name != "LAB_DIR"}
    shown = subprocess.run(command, cwd=lab.clone, env=environment, capture_output=True, text=True)
    assert shown.returncode == 1, shown.stderr
    assert {"bad / one: failure", "good / one: success"} <= set(shown.stdout.splitlines())
    assert push() == [], "nothing started, nothing to follow"


def test_a_job_has_a_clone_that_can_fetch_and_push_and_its_push_starts_nothing(lab):
    step = (
        "git fetch -q origin main && git log -1 --format=%s origin/main && echo bot > bot && git add bot &&"
        " git -c user.name=b -c user.email=b@x commit -qm bot && git push -q origin HEAD:main"
    )
    sha = lab.commit("person's", push=workflow("push", step))
    (run,) = client.wait(sha, seconds=30)
    assert run["conclusion"] == "success", client.log(run["id"])
    lab.git("fetch", "--quiet", "origin")
    assert lab.git("log", "--format=%s", "origin/main") == "bot\nperson's"
    assert client.runs(lab.git("rev-parse", "origin/main")) == []


def test_a_deploy_keys_push_does_start_workflows(lab):
    lab.settings(secrets={"DEPLOY_KEY": "key-0123456789"})
    step = (
        "test -e bot || { echo > bot; git add bot; git -c user.name=b -c user.email=b@x commit -qm bot;"
        " git push -q origin HEAD:main; }"
    )
    client.wait(lab.commit("person's", push=workflow("push", step)), seconds=30)
    lab.git("fetch", "--quiet", "origin")
    assert ends(client.wait(lab.git("rev-parse", "origin/main"), seconds=30)) == {"push": "success"}


def test_a_protected_branch_refuses_the_workflows_own_push_only(lab):
    (lab.folder / "forge" / "protected").write_text("refs/heads/main\n")
    step = "git -c user.name=b -c user.email=b@x commit -q --allow-empty -m bot && git push origin HEAD:main"
    (run,) = client.wait(lab.commit(push=workflow("push", step)), seconds=30)
    assert run["conclusion"] == "failure"
    assert "GH006: Protected branch update failed" in client.log(run["id"])


def test_secrets_and_variables_reach_the_steps_and_no_log(lab):
    show = 'echo [$TOKEN] [$VERSION] [$GITHUB_SERVER_URL]; echo "$KEY" | sed -n 2p'
    show += "; ps -eo args | grep -c s3cre[t] || true"
    env = {
        "TOKEN": "${{ secrets.VAULT_TOKEN }}",
        "VERSION": "${{ vars.K3S_VERSION }}",
        "KEY": "${{ secrets.SSH_PRIVATE_KEY }}",
    }
    (run,) = client.wait(lab.commit(push=workflow("push", show, **env)), seconds=30)
    log = client.log(run["id"])
    assert f"[***] [v1.34] [{(lab.folder / 'forge' / 'url').read_text()}]" in log
    left = b"".join(path.read_bytes() for path in (lab.folder / "forge").rglob("*") if path.is_file())
    for secret in (b"s3cret-vault-token", b"line-of-the-key"):
        assert secret not in left
    assert "| 0" in log  # in no command line


def test_a_strangers_pull_request_sees_no_secret_and_cannot_push(lab):
    lab.settings(secrets={"DEPLOY_KEY": "key-0123456789"})
    lab.commit(
        pr=workflow(
            "pull_request", "echo [$TOKEN] $GITHUB_EVENT_NAME; git push origin HEAD:refs/heads/taken", "true",
            TOKEN="${{ secrets.VAULT_TOKEN }}",
        )
    )  # fmt: skip
    lab.git("switch", "--quiet", "-c", "branch")
    sha = lab.commit("of a stranger", **{"docs/a": "a"})
    client.pull_request("stranger:branch")
    (run,) = client.wait(sha, seconds=30)
    assert (run["conclusion"], run["event"]) == ("failure", "pull_request")
    assert "[] pull_request" in client.log(run["id"])
    assert "taken" not in lab.git("ls-remote", "origin")


def test_branch_and_path_filters(lab):
    lab.commit(
        main=workflow({"push": {"branches": ["main"]}}, "true"),
        docs=workflow({"push": {"paths": ["docs/**"]}}, "true"),
        tags=workflow({"push": {"tags": ["v*"]}}, "true"),
    )
    cases = [
        ("main", {"docs/x/y.md": "1"}, {"main", "docs"}),
        ("main", {"src/x": "1"}, {"main"}),
        ("topic", {"docs/x/y.md": "2"}, {"docs"}),
        ("topic", {"src/x": "2"}, set()),
    ]
    for branch, files, wanted in cases:
        lab.git("checkout", "--quiet", "-B", branch)
        assert set(ends(client.wait(lab.commit(**files), seconds=30))) == wanted, (branch, files)
    lab.git("tag", "v1.0", "main~1")
    lab.git("push", "--quiet", "origin", "v1.0")
    runs = client.wait(lab.git("rev-parse", "v1.0"), seconds=30)
    assert [run["head_branch"] for run in runs if "tags.yml" in run["path"]] == ["v1.0"]
    lab.git("checkout", "--quiet", "main")
    assert client.runs(lab.commit("quiet [skip ci]", **{"docs/z": "1"})) == []


def test_a_group_runs_one_keeps_the_newest_waiting_and_drops_the_older(lab):
    group = "concurrency: {group: apply, cancel-in-progress: false}\n"
    step = "for i in $(seq 100); do test -e ../../../../../../go && exit 0; sleep 0.1; done"
    shas = [lab.commit(push=workflow("push", step, more=group))]
    shas += [lab.commit(f"push {number}") for number in range(2, 5)]
    time.sleep(0.3)
    states = [client.runs(sha)[0] for sha in shas]
    assert [(run["status"], run["conclusion"]) for run in states] == [
        ("in_progress", None), ("completed", "cancelled"), ("completed", "cancelled"), ("pending", None),
    ]  # fmt: skip
    assert "higher priority waiting request" in states[1]["reason"]
    (lab.folder / "go").touch()
    done = [client.wait(sha, seconds=30)[0] for sha in shas]
    assert [run["conclusion"] for run in done] == ["success", "cancelled", "cancelled", "success"]
    assert done[3]["run_started_at"] >= done[0]["completed_at"]


def test_jobs_and_called_workflows_have_groups_too(lab):
    called = (
        "on: {workflow_call: {inputs: {called: {type: boolean, default: false}}}, workflow_dispatch: {}}\n"
        "concurrency: {group: ansible, cancel-in-progress: false}\n" + HEAD +
        '    - {run: "echo called=$C; date +%s.%N >> $LOG; sleep 0.6; date +%s.%N >> $LOG", env: {'
        'C: "${{ inputs.called }}", LOG: ' + str(lab.folder / "times") + "}}\n"
    )  # fmt: skip
    caller = "on: push\npermissions: {}\njobs:\n  go:\n    uses: ./.github/workflows/called.yml\n"
    caller += "    with: {called: true}\n"
    sha = lab.commit(called=called, first=caller, second=caller)
    client.dispatch("called.yml")
    runs = client.wait(sha, seconds=30)
    # Three want the group at once: one runs, one waits, one is dropped.
    assert sorted(run["conclusion"] for run in runs) == ["cancelled", "success", "success"]
    times = [float(line) for line in (lab.folder / "times").read_text().split()]
    assert times == sorted(times)
    logs = [
        client.log(run["id"]) for run in runs if run["conclusion"] == "success" and run["event"] == "push"
    ]
    assert all("called=true" in log for log in logs)


MATRIX = """
on: push
permissions: {}
jobs:
  look:
    runs-on: ubuntu-latest
    outputs: {found: "${{ steps.look.outputs.found }}"}
    steps:
    - {id: look, run: "echo 'found=[{\\"name\\":\\"db\\"},{\\"name\\":\\"web-1\\"}]' >> $GITHUB_OUTPUT"}
  one:
    name: Work on ${{ matrix.name }}
    needs: look
    strategy: {fail-fast: false, max-parallel: 4, matrix: {include: "${{ fromJSON(needs.look.outputs.found) }}"}}
    runs-on: ubuntu-latest
    concurrency: {group: "work-${{ matrix.name }}", cancel-in-progress: false}
    steps:
    - env: {NAME: "${{ matrix.name }}"}
      run: test $NAME = db || for i in $(seq 100); do test -e ../../../../../../go && exit 0; sleep 0.1; done
"""


def test_the_copies_of_a_job_have_a_group_and_a_name_each(lab):
    """Only the same copy waits for another run's; the one that a newer run replaces takes no other along."""
    shas = [lab.commit(push=MATRIX)]
    for number in (2, 3):
        until_waiting(shas[-1])
        shas.append(lab.commit(f"push {number}"))
    until_waiting(shas[-1])
    (lab.folder / "go").touch()
    ended = [client.wait(sha, seconds=30)[0] for sha in shas]
    assert [run["conclusion"] for run in ended] == ["success", "failure", "success"]
    jobs = [{job["name"]: job["conclusion"] for job in client.run(run["id"])["jobs"]} for run in ended]
    assert jobs[0] == jobs[2] == {"look": "success", "Work on db": "success", "Work on web-1": "success"}
    assert jobs[1] == {"look": "success", "Work on db": "success", "Work on web-1": "failure"}
    assert "a higher priority waiting request for 'work-web-1' exists" in client.log(ended[1]["id"])


def test_a_copy_that_failed_makes_no_other_red(lab):
    text = MATRIX.replace(
        "run: test $NAME = db || for", "run: test $NAME != db || exit 1; test $NAME = db || for"
    )
    sha = lab.commit(push=text)
    (lab.folder / "go").touch()
    (run,) = client.wait(sha, seconds=30)
    ended = {job["name"]: job["conclusion"] for job in client.run(run["id"])["jobs"]}
    assert ended == {"look": "success", "Work on db": "failure", "Work on web-1": "success"}
    assert run["conclusion"] == "failure"


def until_waiting(sha):
    """Until the copy for db has ended, and the other one works or waits."""
    for _ in range(200):
        (run,) = client.runs(sha)
        jobs = {job["name"]: job for job in client.run(run["id"])["jobs"]}
        done = jobs.get("Work on db", {}).get("conclusion") == "success"
        if done and jobs.get("Work on web-1", {}).get("steps"):
            return time.sleep(0.5)
        time.sleep(0.1)
    raise AssertionError(client.log(run["id"]))


def test_the_same_group_in_caller_and_called_is_a_deadlock_that_is_cancelled(lab):
    group = "concurrency: apply\n"
    called = "on: workflow_call\n" + group + HEAD + "    - run: touch $HOME/../../ran\n"
    caller = (
        "on: push\n" + group + "permissions: {}\njobs:\n  go:\n    uses: ./.github/workflows/called.yml\n"
    )
    (run,) = client.wait(lab.commit(called=called, caller=caller), seconds=40)
    assert run["conclusion"] == "cancelled"
    assert "deadlock" in run["reason"]
    assert not (lab.folder / "ran").exists()


def test_started_by_hand_with_checked_inputs(lab):
    on = {"workflow_dispatch": {"inputs": {"hosts": {"type": "string", "required": True}}}}
    sha = lab.commit(hand=workflow(on, 'echo "hosts: $HOSTS"', HOSTS="${{ inputs.hosts }}"))
    number = client.dispatch("hand.yml", {"hosts": "a b; touch x"})
    (run,) = client.wait(numbers=[number], seconds=30)
    assert (run["conclusion"], run["head_sha"], run["event"]) == ("success", sha, "workflow_dispatch")
    assert "hosts: a b; touch x" in client.log(number)
    for file, inputs, message in (
        ("hand.yml", {}, "required input 'hosts' not provided"),
        ("hand.yml", {"hosts": "a", "more": "b"}, "unexpected inputs"),
        ("none.yml", {}, "no 'workflow_dispatch' trigger"),
    ):
        with pytest.raises(client.ForgeError, match=message):
            client.dispatch(file, inputs)


def test_killed_cancelled_and_run_again(lab):
    step = "test -e $HOME/../../again || { setsid sleep 30 & sleep 30; }"
    lab.commit(push=workflow("push", step))
    for end, conclusion in ((client.kill, "failure"), (client.cancel, "cancelled")):
        (run,) = client.runs()
        number = run["id"]
        for _ in range(100):
            if any(len(job["steps"]) > 1 for job in client.run(number)["jobs"]):
                break
            time.sleep(0.05)
        end(number)
        (run,) = client.wait(numbers=[number], seconds=20)
        assert run["conclusion"] == conclusion
        assert [one for one in client.processes_of(lab.folder) if "sleep 30" in one[1]] == []
        client.rerun(number)
    (lab.folder / "again").touch()
    client.cancel(number)
    client.wait(numbers=[number], seconds=20)
    client.rerun(number)
    (run,) = client.wait(numbers=[number], seconds=20)
    assert (run["conclusion"], run["run_attempt"]) == ("success", 4)


def test_what_a_crash_of_the_forge_leaves(lab):
    lab.commit(push=workflow("push", "test -e $HOME/../../again || sleep 30"))
    time.sleep(0.5)
    lab.stop(crash=True)
    sha = lab.commit("pushed while the forge was away")
    (lab.folder / "again").touch()
    lab.start()
    newest, oldest = client.wait(seconds=30)
    assert (newest["head_sha"], newest["conclusion"]) == (sha, "success")
    assert (oldest["conclusion"], oldest["reason"]) == ("failure", "the runner was lost")


def test_the_api_asks_for_a_token_on_the_network(lab):
    import urllib.error
    import urllib.request

    url = (lab.folder / "forge" / "url").read_text() + "/repos/lab/fleet/actions/runs"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url)
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked) as answer:
        assert json.load(answer) == {"total_count": 0, "workflow_runs": []}


PATTERNS = [
    (["main"], "main", True),
    (["main"], "main2", False),
    (["releases/**"], "releases/a/b", True),
    (["releases/*"], "releases/a/b", False),
    (["**"], "a/b", True),
    (["*.md"], "docs/a.md", False),
    (["**.md"], "docs/a.md", True),
    (["**/README.md"], "README.md", True),
    (["docs/**", "!docs/private/**"], "docs/private/x", False),
    (["docs/**", "!docs/private/**", "docs/private/y"], "docs/private/y", True),
    (["v[12].[0-9]+"], "v1.10", True),
    (["v[12].[0-9]+"], "v3.1", False),
    (["ab?c"], "ac", True),
    (["a.c"], "abc", False),
]


@pytest.mark.parametrize(("patterns", "name", "taken"), PATTERNS)
def test_patterns(patterns, name, taken):
    assert triggers.matches(patterns, name) is taken


@pytest.mark.parametrize(
    ("filters", "ref", "changed", "wanted"),
    [
        ({"branches-ignore": ["main"]}, "refs/heads/main", ["a"], False),
        ({"branches-ignore": ["main"]}, "refs/heads/topic", ["a"], True),
        ({"branches": ["main"]}, "refs/tags/v1", [], False),
        ({"tags": ["v*"]}, "refs/heads/main", ["a"], False),
        ({"paths-ignore": ["docs/**"]}, "refs/heads/main", ["docs/a"], False),
        ({"paths-ignore": ["docs/**"]}, "refs/heads/main", ["docs/a", "b"], True),
        ({"paths": ["docs/**"]}, "refs/heads/main", [], False),
        ({"paths": ["docs/**"]}, "refs/tags/v1", [], True),
    ],
)
def test_push_filters(filters, ref, changed, wanted):
    assert triggers.wants_push({"on": {"push": filters}}, ref, changed) is wanted


def test_groups_ignore_case_and_go_to_the_next_when_released():
    async def story():
        groups = Groups()
        assert await groups.acquire("Apply", (1, "")) == ""
        second = asyncio.create_task(groups.acquire("apply", (2, "")))
        await asyncio.sleep(0)
        third = asyncio.create_task(groups.acquire("apply", (3, "a")))
        assert "higher priority" in await second
        groups.release(1)
        assert await third == ""
        groups.release(3, "b")
        assert groups.holder("apply") == (3, "a")
        groups.release(3, "a")
        assert groups.holder("apply") is None

    asyncio.run(story())


def test_expressions_in_groups():
    context = {"github.ref": "refs/heads/x", "github.workflow": "w"}
    assert gated.group_of({"group": "${{ github.workflow }}-${{ github.ref }}"}, context) == (
        "w-refs/heads/x",
        False,
    )
    assert gated.group_of({"group": "a", "cancel-in-progress": True}, context) == ("a", True)
    with pytest.raises(ValueError, match="does not know"):
        gated.group_of("${{ github.head_ref || github.run_id }}", context)
