"""What act does not check, and GitHub refuses only when it is too late: read from the files themselves."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet import settings
from lab.forge import triggers

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
WORKFLOWS = {path.name: triggers.load(path.read_text()) for path in FILES}
JOBS = [(name, job, data) for name, flow in WORKFLOWS.items() for job, data in flow["jobs"].items()]
STEPS = [(f"{name}:{job}", step) for name, job, data in JOBS for step in data.get("steps", ())]
STEPS += [
    (path.parent.name, step) for path in ACTIONS for step in yaml.safe_load(path.read_text())["runs"]["steps"]
]
CALLS = [(name, job, data) for name, job, data in JOBS if "uses" in data]
RANK = {"none": 0, "read": 1, "write": 2}
SECRET = re.compile(r"\bsecrets\.(\w+)")


def callee(data):
    assert data["uses"].startswith("./.github/workflows/"), "only workflows of this repository are called"
    return WORKFLOWS[Path(data["uses"]).name]


def needs(data):
    """The jobs that a job waits for."""
    return {data["needs"]} if isinstance(data.get("needs"), str) else set(data.get("needs", ()))


def text_of(value):
    return yaml.safe_dump(value)


def test_the_workflows_that_the_project_has():
    names = {
        "validate.yml",
        "release.yml",
        "terraform-apply.yml",
        "ansible.yml",
        "versions.yml",
        "images.yml",
        "clusters-plan.yml",
        "upgrade.yml",
        "drift.yml",
    }
    assert set(WORKFLOWS) == names


def test_triggers():
    assert {name: sorted(triggers.events(flow)) for name, flow in WORKFLOWS.items()} == {
        "validate.yml": ["merge_group", "pull_request", "push"],
        "release.yml": ["push"],
        "terraform-apply.yml": ["push", "schedule", "workflow_dispatch"],
        "ansible.yml": ["push", "workflow_call", "workflow_dispatch"],
        "versions.yml": ["schedule", "workflow_dispatch"],
        "images.yml": ["schedule", "workflow_dispatch"],
        "clusters-plan.yml": ["workflow_dispatch"],
        "upgrade.yml": ["schedule", "workflow_dispatch"],
        "drift.yml": ["schedule", "workflow_dispatch"],
    }
    assert "edited" in triggers.events(WORKFLOWS["validate.yml"])["pull_request"]["types"]
    for name, flow in WORKFLOWS.items():
        if "push" in triggers.events(flow):
            assert triggers.events(flow)["push"] == {"branches": ["main"]}, name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_grants_nothing_and_each_job_what_it_needs(name):
    assert WORKFLOWS[name]["permissions"] == {}
    for job, data in WORKFLOWS[name]["jobs"].items():
        assert data.get("permissions"), f"{job} grants nothing: even a checkout needs contents: read"
        assert set(data["permissions"].values()) <= set(RANK), job


def test_a_job_that_pushes_runs_on_the_default_branch_alone():
    """The scripts take the branch of the run for it; a tag may have the branch's name, so the whole ref counts."""
    whole = "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)"
    for name, job, data in JOBS:
        alone = whole in data.get("if", "")
        # The payload of a schedule, which always runs on the default branch, may lack the repository.
        scheduled = {"schedule", "workflow_call"} & set(triggers.events(WORKFLOWS[name]))
        assert not (alone and scheduled) or f"(github.event_name == 'schedule' || {whole})" in " ".join(
            data["if"].split()
        ), job
        pushed = triggers.events(WORKFLOWS[name]) == {"push": {"branches": ["main"]}}
        called = {"apply", "workspaces"} & needs(data)  # after a job of that kind
        assert data["permissions"].get("contents") != "write" or alone or pushed or called, f"{name}:{job}"


@pytest.mark.parametrize(("name", "job", "data"), CALLS)
def test_a_caller_grants_what_the_called_jobs_ask_for(name, job, data):
    for asked in callee(data)["jobs"].values():
        for scope, level in asked["permissions"].items():
            assert RANK[data["permissions"].get(scope, "none")] >= RANK[level], (
                f"{name}:{job} lacks {scope}: {level}"
            )


@pytest.mark.parametrize(("name", "job", "data"), CALLS)
def test_a_caller_hands_over_inputs_and_secrets_by_name(name, job, data):
    call = triggers.events(callee(data))["workflow_call"]
    secrets, inputs = call.get("secrets") or {}, call.get("inputs") or {}
    assert isinstance(data["secrets"], dict), "`inherit` would hand over all of them"
    required = {key for key, value in secrets.items() if value.get("required")}
    assert required <= set(data["secrets"]) <= set(secrets)
    assert all(SECRET.findall(value) == [key] for key, value in data["secrets"].items())
    assert set(data.get("with", {})) <= set(inputs)
    assert {key for key, value in inputs.items() if value.get("required")} <= set(data.get("with", {}))
    used = set(SECRET.findall(text_of(callee(data)["jobs"])))
    assert used - {"GITHUB_TOKEN"} == set(secrets), "a called workflow sees no other secrets"


def test_groups_are_literal_and_differ_between_caller_and_called():
    owner = {}
    for name, flow in WORKFLOWS.items():
        parts = [("", flow), *flow["jobs"].items()]
        for part, data in parts:
            if "concurrency" not in data:
                continue
            group = data["concurrency"]["group"]
            assert group.lower() not in owner, (
                f"{group} of {name}:{part} is that of {owner.get(group.lower())} too"
            )
            owner[group.lower()] = f"{name}:{part}"
            applies = name not in ("validate.yml", "versions.yml")
            literal = re.sub(r"-\$\{\{ matrix\.workspace \}\}$", "", group)  # one for each workspace
            assert not applies or "${{" not in literal
            assert data["concurrency"]["cancel-in-progress"] is not applies, "what applies is never cancelled"
    assert {"release", "terraform-apply", "ansible"} <= set(owner)


@pytest.mark.parametrize(("name", "job", "data"), JOBS)
def test_jobs_have_an_end_and_the_right_runner(name, job, data):
    if "uses" in data:
        return  # the called job has both
    assert 0 < data["timeout-minutes"] <= 360
    own = "secrets." in text_of(data).replace("secrets.DEPLOY_KEY", "").replace("secrets.GITHUB_TOKEN", "")
    hosted = ("validate.yml", "release.yml", "versions.yml", "images.yml", "upgrade.yml")
    if name in hosted or job in ("wait", "look"):
        assert data["runs-on"] == "ubuntu-latest"
        assert not own, "strangers' code and the waiting need no secret"
    else:
        assert data["runs-on"] == "self-hosted"


def settings_of(step):
    """The secrets and variables in a step's environment, each under its own name."""
    found = {}
    for name, value in step.get("env", {}).items():
        if given := re.search(r"\b(secrets|vars)\.(\w+)", str(value)):
            assert given[2] == name
            found[name] = given[1] == "secrets"
    return found


def test_the_settings_are_known_and_checked_before_they_are_used():
    text = "".join(path.read_text() for path in FILES)
    used = {name: kind == "secrets" for kind, name in re.findall(r"\b(secrets|vars)\.(\w+)", text)}
    known = {setting.name: setting.secret for setting in settings.SETTINGS}
    assert {name: used[name] for name in used if name != "GITHUB_TOKEN"} == known
    for name, job, data in JOBS:
        checked, steps = set(), [step for step in data.get("steps", ()) if settings_of(step)]
        for step in steps:
            words = step["run"].split()
            if words[1] == "scripts/check_secrets.py":
                checked = set(settings_of(step))
                assert set(words[2:] or known.keys() - {"DEPLOY_KEY", "PROXMOX_READ_API_TOKEN"}) == checked, (
                    "the checkout uses DEPLOY_KEY, and drift.yml alone the other one"
                )
        # For reboot.yml alone, whose role says what is missing.
        by_hand = (
            {"PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN", "PROXMOX_VE_INSECURE"}
            if job == "ansible"
            else set()
        )
        assert {setting for step in steps for setting in settings_of(step)} <= checked | by_hand, (
            f"{name}:{job}"
        )
        assert not steps or "check_secrets" in steps[0]["run"], "before anything else uses them"


def test_machines_and_plays_never_wait_for_what_runs_on_the_clusters():
    jobs = WORKFLOWS["terraform-apply.yml"]["jobs"]
    of_clusters = {"workspaces", "workload", "record"}
    for job, data in jobs.items():
        assert job in of_clusters or not of_clusters & needs(data), job
    assert needs(jobs["workspaces"]) == {"wait", "apply", "provision"}, "after machines and plays"
    assert "!cancelled()" in jobs["workspaces"]["if"], "whatever became of them"
    assert "no_workspaces != 'true'" in jobs["workspaces"]["if"], "without a workspace no job at all"


def test_one_workspaces_trouble_is_not_the_others_and_is_not_recorded():
    jobs = WORKFLOWS["terraform-apply.yml"]["jobs"]
    assert jobs["workload"]["strategy"]["fail-fast"] is False
    assert 0 < jobs["workload"]["strategy"]["max-parallel"] <= 8
    for needed in ("workspaces", "workload"):
        assert f"needs.{needed}.result == 'success'" in jobs["record"]["if"]
    moving = {(name, job) for name, job, data in JOBS if "mark_workspaces" in text_of(data)}
    assert moving == {("terraform-apply.yml", "record")}


def test_of_a_branch_that_is_not_merged_only_its_maps_are_read():
    """With the fleet's secrets there: the workflow and all that it runs are the default branch's."""
    flow = WORKFLOWS["clusters-plan.yml"]
    assert "github.ref == format('refs/heads/{0}'" in flow["jobs"]["look"]["if"]
    uses = [
        step for job in flow["jobs"].values() for step in job["steps"] if "inputs.branch" in text_of(step)
    ]
    assert [step["run"].split()[1] for step in uses] == [
        "scripts/changed_workspaces.py",
        "scripts/apply_workspace.py",
    ]
    assert "--plan-only" in uses[1]["run"]
    assert flow["jobs"]["plan"]["needs"] == "look"


def test_strangers_code_meets_no_secret_and_no_token_that_writes():
    for name, flow in WORKFLOWS.items():
        assert "pull_request_target" not in triggers.events(flow)
        if "pull_request" in triggers.events(flow):
            text = (ROOT / ".github" / "workflows" / name).read_text()
            assert "secrets." not in text
            assert "write" not in {
                value for job in flow["jobs"].values() for value in job["permissions"].values()
            }


@pytest.mark.parametrize("path", [*FILES, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_actions_are_pinned_by_commit_with_their_version(path):
    for line in re.findall(r"uses:\s*(.+)", path.read_text()):
        if not line.startswith("./"):
            assert re.fullmatch(r"actions/checkout@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_the_same_checkout_everywhere():
    uses = {step["uses"] for _, step in STEPS if step.get("uses", "").startswith("actions/")}
    assert len(uses) == 1


@pytest.mark.parametrize(("name", "job", "data"), JOBS)
def test_checkouts_keep_a_token_only_in_jobs_that_push_or_fetch(name, job, data):
    for step in data.get("steps", ()):
        if "actions/checkout" in step.get("uses", ""):
            pushes = data["permissions"].get("contents") == "write"
            fetches = any("checkout_head" in str(one.get("run")) for one in data["steps"])
            assert step["with"]["persist-credentials"] is (pushes or fetches)
            assert ("ssh-key" in step["with"]) is pushes
            assert "ref" not in step["with"], "the script goes to the branch's head; act cannot follow a ref"
            history = any("checkout_head" in str(one.get("run")) or "--range" in str(one.get("run"))
                          for one in data["steps"])  # fmt: skip
            assert not history or step["with"]["fetch-depth"] == 0


@pytest.mark.parametrize(("place", "step"), STEPS)
def test_no_expression_becomes_shell_code(place, step):
    assert "${{" not in step.get("run", "")
    assert len(step.get("run", "").strip().splitlines()) <= 5
    for key, value in step.items():
        assert key in ("env", "if", "with") or "${{" not in str(value), f"{place}: {key}"
    for variable in re.findall(r"\$\w+", step.get("run", "")):
        assert f'"{variable}"' in step["run"] or f'"{variable}.' in step["run"], f"{place}: quote {variable}"


def scripts():
    for place, step in STEPS:
        for line in step.get("run", "").splitlines():
            words = shlex.split(line.replace("$", ""))
            words = words[: words.index(">")] if ">" in words else words
            if words[:1] == ["python3"]:
                yield pytest.param(words[1:], id=f"{place}-{Path(words[1]).stem}")


@pytest.mark.parametrize("words", list(scripts()))
def test_the_scripts_exist_and_know_the_options(words):
    script = ROOT / words[0]
    assert script.is_file()
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in (word for word in words[1:] if word.startswith("--")):
        assert re.search(rf"{option}\b", done.stdout), f"{words[0]} has no {option}"


# What a script needs besides its imports, by a program that it calls.
PROGRAMS = {
    "ansible-inventory": "ansible-core",
    "ansible-playbook": "ansible",
    "semantic-release": "python-semantic-release",
}
PACKAGES = {
    "yaml": "pyyaml",
    "markdown_it": "markdown-it-py",
    "dotenv": "python-dotenv",
    "psycopg": "psycopg",
    "semantic_release": "python-semantic-release",
}  # where they differ
# Scripts that a playbook starts on the runner, and what the action plugin imports.
CALLED = {
    "run_plays": [
        "update_kubeconfig", "register_cluster", "wait_for_api", "scan_host_keys", "fleet.proxmox.client",
    ]
}  # fmt: skip


def needed(script: str) -> set[str]:
    """The packages that a script imports, or whose programs it calls, through all modules of fleet."""
    from tests.house.test_layers import FILES, IMPORTS, imported

    modules, queue = set(), [script, *CALLED.get(script, ())]
    while queue:
        name = queue.pop()
        if name not in modules:
            modules.add(name)
            queue += IMPORTS[name] & FILES.keys()
    found = set()
    for name in modules:
        tops = {full.split(".")[0] for full in imported(FILES[name])} - sys.stdlib_module_names
        found |= {PACKAGES.get(top, top.replace("_", "-")) for top in tops if top not in ("fleet", script)}
        found |= {
            package for program, package in PROGRAMS.items() if f'"{program}"' in FILES[name].read_text()
        }
    # Only what run_plays.py does with playbooks: the modules that it shares with others know the program too.
    return found - ({"ansible"} if script != "run_plays" else set())


@pytest.mark.parametrize(
    ("name", "job", "data"), [one for one in JOBS if "steps" in one[2]], ids=lambda one: str(one)[:20]
)
def test_a_job_installs_what_its_scripts_import(name, job, data):
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    setups = [step for step in data["steps"] if step.get("uses") == "./.github/actions/setup"]
    lines = list(project["dependencies"]) if setups else []
    for step in setups:
        for extra in step.get("with", {}).get("extras", "none").split(","):
            lines += project["optional-dependencies"].get(extra, [])
    installed = {re.split(r"[\[<>=]", line)[0] for line in lines}
    for step in data["steps"]:
        for script in re.findall(r"scripts/(\w+)\.py", step.get("run", "")):
            missing = needed(script) - installed - {"urllib3"}  # which requests brings
            assert not missing, f"{script}.py needs {missing}"
