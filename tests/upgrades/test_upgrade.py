"""upgrade.py: which version a fleet has, what is refused, and what stays as it is."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib

import pytest

import upgrade
from fleet.findings import Fault
from fleet.paths import ROOT
from fleet.upgrades import upstream, version
from tests.helpers.upstream import LISTS, PROJECT, Clone

CHANGES = """# CHANGELOG

## v0.3.0 (2026-03-01)

- third @everybody
  ::error::x
- \x1b[2J ##[error]y

## v0.2.0 (2026-02-01)

- second [destroy k8s-dev]

## v0.1.0 (2026-01-01)

- first
"""


@pytest.fixture
def releases(project):
    """Three releases, and a commit after the first; their commits by name."""
    made = {"v0.1.0": project.release("v0.1.0", PROJECT | {"docs/a.md": "1", "docs/b.md": "1"})}
    made["between"] = project.commit({"docs/b.md": "2"})
    made["v0.2.0"] = project.release("v0.2.0", {"docs/a.md": "2"})
    made["v0.3.0"] = project.release("v0.3.0", {"docs/a.md": "3", "CHANGELOG.md": CHANGES})
    return made


@pytest.fixture
def fleet(project, releases, tmp_path):
    return project.copy(tmp_path / "fleet", "v0.1.0")


def test_release_after_release(fleet, project, releases, run):
    code, said = run(fleet, project, "v0.2.0")
    assert code == 0 and "the fleet has v0.1.0 (as its first commit has these files)" in said
    fleet.git("merge", "-q", "upgrade/v0.2.0")
    code, said = run(fleet, project)
    assert code == 0 and "the fleet has v0.2.0 (as .gitops-version says)" in said
    assert "third @everybody" in said and "second" not in said, "the notes of what is newer"
    fleet.git("merge", "-q", "upgrade/v0.3.0")
    assert fleet.files()["docs/a.md"] == "3" and "CHANGELOG.md" not in fleet.files()
    assert releases["v0.3.0"] in fleet.files()[".gitops-version"]
    assert [run(fleet, project, *to)[0] for to in ((), ("v0.3.0",))] == [0, 0]
    code, said = run(fleet, project, "v0.2.0")
    assert code == 1 and "the fleet has v0.3.0, and v0.2.0 is older; to go back, revert" in said


def test_words_of_the_project_become_no_request(fleet, project, run):
    code, said = run(fleet, project)
    assert code == 0 and "[destroy k8s-dev]" in said
    assert "\n  : :error::x\n- \\x1b[2J # #[error]y\n" in said
    assert "destroy" not in fleet.git("log", "-1", "--format=%B", "upgrade/v0.3.0")


def test_a_second_run_makes_nothing_and_a_new_head_makes_it_again(fleet, project, run):
    run(fleet, project)
    first = fleet.git("rev-parse", "upgrade/v0.3.0")
    assert "is there already" in run(fleet, project)[1]
    assert fleet.git("rev-parse", "upgrade/v0.3.0") == first
    head = fleet.commit({"docs/mine.md": "mine"})
    assert "is made" in run(fleet, project)[1]
    assert fleet.git("rev-parse", "upgrade/v0.3.0^") == head
    assert fleet.files("upgrade/v0.3.0")["docs/mine.md"] == "mine"


def test_work_on_the_branch_is_never_replaced(fleet, project, run):
    run(fleet, project)
    fleet.git("switch", "-q", "upgrade/v0.3.0")
    mended = fleet.commit({"docs/a.md": "mended"})
    fleet.git("switch", "-q", "main")
    fleet.commit({"docs/mine.md": "mine"})
    code, said = run(fleet, project)
    assert code == 1 and "has commits of yours; merge it, or delete it: git branch -D" in said
    assert fleet.git("rev-parse", "upgrade/v0.3.0") == mended


def test_a_branch_that_is_checked_out_is_left_alone(fleet, project, run):
    run(fleet, project)
    fleet.git("worktree", "add", "-q", "../look", "upgrade/v0.3.0")
    fleet.commit({"docs/mine.md": "mine"})
    code, said = run(fleet, project)
    assert code == 1 and "is checked out; switch to another one first" in said


def state(fleet):
    """All that an upgrade must not change: files, index, branches and tags, but not its own."""
    refs = fleet.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/main", "refs/tags")
    return (
        refs,
        fleet.git("status", "--porcelain", "-z"),
        fleet.git("ls-files", "-s"),
        fleet.git("stash", "list"),
    )


def test_a_persons_work_and_the_fleets_own_tags_stay(fleet, project, run):
    fleet.git("tag", "v0.2.0")  # the fleet's own release, of the same name
    fleet.git("tag", "v0.9.0")
    (fleet.path / "docs/a.md").write_text("being changed")
    (fleet.path / "new").write_text("untracked")
    fleet.git("rm", "-q", "--cached", "docs/b.md")
    before = state(fleet)
    assert run(fleet, project, "v0.2.0")[0] == 0
    assert state(fleet) == before and (fleet.path / "docs/a.md").read_text() == "being changed"
    code, said = run(fleet, project, "v0.9.0")
    assert code == 2 and "the project has no release 'v0.9.0'; it has v0.1.0, v0.2.0, v0.3.0" in said
    assert fleet.git("worktree", "list").count("\n") == 0, "no worktree is left"


def test_which_version_a_fleet_has(project, releases, tmp_path, run):
    nearest = Clone(tmp_path / "nearest")  # whose first commit was something else
    nearest.commit({"x": "x"})
    nearest.commit(project.files("v0.2.0") | {"docs/mine.md": "mine"})
    between = project.copy(tmp_path / "between", releases["between"])
    shared = Clone(tmp_path / "shared")
    shared.git("pull", "-q", str(project.path), "v0.2.0")
    shared.commit({"docs/mine.md": "mine"})
    for fleet, words in (
        (nearest, "the fleet has v0.2.0 (the nearest: "),
        (between, f"the fleet has {releases['between'][:12]}, before v0.2.0 (as its first commit"),
        (shared, "the fleet has v0.2.0 (where its history left the project's)"),
    ):
        code, said = run(fleet, project)
        assert code == 0 and words in said
        assert fleet.files("upgrade/v0.3.0")["docs/a.md"] == "3"
    late = project.copy(tmp_path / "late", project.commit({"docs/a.md": "4"}))
    project.release("v0.4.0", {})
    assert run(late, project, "v0.3.0")[0] == 1, "a copy of what came after v0.3.0"
    other = Clone(tmp_path / "other")
    other.commit({"x": "x"})
    code, said = run(other, project)
    assert code == 1 and "this is not a copy of the project" in said
    assert run(other, project, "--from", "v9.9.9")[0] == 2


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("nonsense", "may have version, commit and upstream"),
        ("version = 3", "may have version, commit and upstream"),
        ('other = "x"', "may have version, commit and upstream"),
        ('version = "v0.7.0"', "has version 'v0.7.0', which the project has not released; use --from"),
        (
            'version = "v0.1.0"\ncommit = "--help"',
            "has a commit that is not in the project's history any more",
        ),
        ('version = "v0.1.0"\ncommit = "' + "1" * 40 + '"', "not in the project's history any more"),
    ],
)
def test_a_record_that_cannot_be_used(fleet, project, run, record, words):
    fleet.commit({".gitops-version": record})
    code, said = run(fleet, project)
    assert code == 1 and said.count(".gitops-version: ") == 1 and words in said


def test_a_release_of_another_line_or_another_project(fleet, project, releases, run):
    project.git("switch", "-q", "--orphan", "else")
    project.release("v0.8.0", PROJECT)
    code, said = run(fleet, project, "v0.8.0")
    assert code == 1 and "v0.8.0 was not made from v0.1.0" in said
    project.release("v0.9.0", {"pyproject.toml": '[project]\nname = "other"\n'})
    code, said = run(fleet, project)
    assert code == 1 and "v0.9.0 of that repository is not proxmox-gitops" in said
    assert fleet.git("branch", "--list", "upgrade/*") == ""


ADDRESSES = [
    "ext::sh -c touch% {0}", "--upload-pack=touch {0}", "-oProxyCommand=touch {0}", "ssh://-oProxyCommand=x/y",
    "https://me:secret@example.org/x", "http://example.org/x", "fd::17", "", "file://x y", "https://a\nb",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_that_git_does_not_get(fleet, tmp_path, capfd, address):
    given = address.format(tmp_path / "trace")
    assert upgrade.main(["--repo", str(fleet.path), f"--upstream={given}"]) == 2
    assert not (tmp_path / "trace").exists() and "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("good", ["https://example.org/a/b.git", "git@example.org:a/b.git", "/srv/x y", ".", "../x",
                                  "ssh://git@example.org/a/b", "file:///srv/x", "http://127.0.0.1:80/x"])  # fmt: skip
def test_addresses_that_git_gets(good):
    assert upstream.checked(good) == good


def test_git_itself_knows_no_other_transport(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr(upstream, "checked", lambda url: url)
    with pytest.raises(Fault, match="transport 'ext' not allowed"):
        upstream.fetch(fleet.path, f"ext::touch {tmp_path}/trace")
    assert not (tmp_path / "trace").exists()


def test_no_project_and_nobody_there(fleet, tmp_path, monkeypatch, capfd):
    call = ["--repo", str(fleet.path)]
    assert upgrade.main(call) == 2 and "where is the project? give --upstream" in capfd.readouterr().err
    monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    assert upgrade.main(call) == 0, "no red run each week"
    assert upgrade.main([*call, "--upstream", str(tmp_path / "none")]) == 2
    assert "the project cannot be fetched: " in capfd.readouterr().err
    fleet.git("remote", "add", "upstream", str(tmp_path / "none"))
    assert upgrade.main(call) == 2 and "cannot be fetched" in capfd.readouterr().err, "the remote is asked"


def test_the_address_is_kept_for_the_next_time(fleet, project, run):
    run(fleet, project, "v0.2.0")
    assert "upstream" not in fleet.files("upgrade/v0.2.0")[".gitops-version"], (
        "no address for other computers"
    )
    fleet.commit({".gitops-version": f'upstream = "file://{project.path}"\n'})
    for to in ("v0.2.0", "v0.3.0"):
        assert upgrade.main(["--repo", str(fleet.path), to]) == 0
        fleet.git("merge", "-q", f"upgrade/{to}")
        assert f'upstream = "file://{project.path}"' in fleet.files()[".gitops-version"], "a person wrote it"
    assert version.read(fleet.path).version == "v0.3.0"
    given = 'https://example.org/a"b'
    assert (
        version.Record(**tomllib.loads(version.text(upstream.Version(1, 2, 3), "1" * 40, given))).upstream
        == given
    )


def test_a_fleet_may_keep_more_for_itself(fleet, project, run):
    fleet.commit(
        {".github/paths.toml": LISTS.replace("yours = [", 'yours = [\n  "docs/a.md",'), "docs/a.md": "mine"}
    )
    code, said = run(fleet, project)
    assert code == 0, said
    assert fleet.files("upgrade/v0.3.0")["docs/a.md"] == "mine"
    fleet.commit({".github/paths.toml": "yours = 3"})
    code, said = run(fleet, project)
    assert code == 1 and said.endswith(
        ".github/paths.toml: must have two lists of paths, project and yours\n"
    )


def test_nothing_of_the_project_and_no_hook_is_run(fleet, project, tmp_path, run, monkeypatch):
    trace = tmp_path / "trace"
    script = f"#!/bin/sh\nenv >>{trace}\nln -sfn {sys.prefix} .venv\n"
    valid = f"open({str(trace)!r}, 'a').write('validated')\n"
    (project.path / "scripts").mkdir()
    (project.path / "scripts/setup_venv.sh").touch(0o755)
    project.release("v0.4.0", {"scripts/setup_venv.sh": script, "scripts/validate_vms.py": valid,
                               "scripts/validate_clusters.py": "raise SystemExit(3)"})  # fmt: skip
    for hook in ("post-checkout", "reference-transaction", "pre-commit", "post-commit", "post-rewrite"):
        path = fleet.path / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {trace}\n")
        path.chmod(0o755)
    for name in ("PG_CONN_STR", "GITHUB_TOKEN", "VAULT_TOKEN", "SSH_PRIVATE_KEY"):
        monkeypatch.setenv(name, "hunter2")
    assert run(fleet, project)[0] == 0 and not trace.exists()
    code, said = run(fleet, project, "--check")
    assert code == 1 and "the new version's validate_clusters.py ends with 3" in said
    assert "no plan: PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN not set" in said
    assert "validated" in trace.read_text() and "hunter2" not in trace.read_text()
    assert not (fleet.path / ".venv").exists()


def test_the_plan_is_made_where_credentials_are(fleet, project, tmp_path, run):
    trace = tmp_path / "trace"
    plan = f"import os, sys\nopen({str(trace)!r}, 'w').write(repr([sys.argv[1:], os.environ['PROXMOX_GITOPS_ENV']]))\n"
    (project.path / "scripts").mkdir()
    (project.path / "scripts/setup_venv.sh").touch(0o755)
    project.release("v0.4.0", {"scripts/setup_venv.sh": f"#!/bin/sh\nln -sfn {sys.prefix} .venv\n",
                               "scripts/apply_terraform.py": plan})  # fmt: skip
    env = tmp_path / "fleet.env"
    env.write_text("PROXMOX_VE_ENDPOINT=x\nexport PROXMOX_VE_API_TOKEN = 'x'\nPG_CONN_STR=x\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROXMOX_GITOPS_ENV", str(env))
        assert run(fleet, project, "--check")[0] == 0
    assert trace.read_text() == repr([["--plan-only"], str(env)])


KILLER = """#!/bin/sh
count=$(($(cat {count}) + 1)); echo $count >{count}
if [ $count = {at} ]; then kill -9 $PPID; exit 1; fi
exec {git} "$@"
"""


@pytest.mark.parametrize("at", [6, 14, 20, 24, 27, 30])
def test_a_killed_run_is_run_again(fleet, project, tmp_path, run, at):
    """Killed at one of its calls of git: nothing of the person's has changed, and the next run makes the branch."""
    folder, count = tmp_path / "bin", tmp_path / "count"
    folder.mkdir()
    count.write_text("0\n")
    git = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (folder / "git").write_text(KILLER.format(count=count, at=at, git=git))
    (folder / "git").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    before, path = state(fleet), f"{folder}:{os.environ['PATH']}"
    command = [sys.executable, ROOT / "scripts/upgrade.py", "--repo", fleet.path, "--upstream", project.path]
    environment = os.environ | {"PATH": path, "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done
    assert state(fleet) == before
    assert run(fleet, project)[0] == 0
    assert state(fleet) == before and fleet.files("upgrade/v0.3.0")["docs/a.md"] == "3"
    shutil.rmtree(tmp_path / "tmp")  # as a restart does
    run(fleet, project)
    assert fleet.git("worktree", "list").count("\n") == 0


def test_a_tree_that_would_write_into_git_is_not_taken(fleet, project, run):
    blob = project.git("rev-parse", "HEAD:docs/a.md")
    tree = b"100644 config\0" + bytes.fromhex(blob)
    made = subprocess.run(["git", "-C", project.path, "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
                          input=tree, capture_output=True, check=True).stdout.decode().strip()  # fmt: skip
    outer = subprocess.run(["git", "-C", project.path, "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
                           input=b"40000 .git\0" + bytes.fromhex(made), capture_output=True, check=True)  # fmt: skip
    bad = project.git("-c", "user.name=x", "-c", "user.email=x", "commit-tree", "-m", "x", "-p", "HEAD",
                      outer.stdout.decode().strip())  # fmt: skip
    project.git("tag", "v0.9.0", bad)
    code, said = run(fleet, project)
    assert code == 2 and "cannot be fetched" in said
