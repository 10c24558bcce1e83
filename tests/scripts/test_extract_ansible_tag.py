"""extract_ansible_tag.py as a whole: what it prints, its options, its exit codes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import extract_ansible_tag
from tests.helpers.clone import short


def test_the_whole_answer(repo, extract):
    repo.vm("k8s-dev", "haproxy-dev")
    repo.write("proxmox/vms/README.md")
    repo.write("proxmox/vms/deeper/k8s-no.yaml")
    subject = "feat(proxmox): add k8s-dev and haproxy-dev [ansible k8s-dev] [ansible haproxy]"
    head = repo.commit(f"{subject}\n\nBody.\n")
    code, answer, err = extract(repo.path)
    shared = {"action": "ansible", "commit": head, "subject": subject, "changed": ["haproxy-dev", "k8s-dev"]}
    assert (code, err) == (0, "")
    assert answer == {
        "head": head,
        "since": repo.start,
        "notes": [],
        "requests": [
            {**shared, "name": "k8s-dev", "playbook": "k8s", "machine": "k8s-dev"},
            {**shared, "name": "haproxy", "playbook": "haproxy", "machine": None},
        ],
    }


def test_as_text(repo, capsys):
    repo.vm("k8s-dev")
    repo.commit("feat: x\x1b[2J [ansible k8s-dev] [ansible myapp] [destroy k8s-old] [adopt k8s-dev]")
    assert extract_ansible_tag.main(["--repo", str(repo.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[ansible k8s-dev]  k8s.yml on k8s-dev  ") and r"\x1b[2J" in lines[0]
    assert lines[1].startswith("[ansible myapp]  myapp.yml on what is queued for it (changed: k8s-dev)")
    assert lines[2].startswith("[destroy k8s-old]  may be destroyed")
    assert lines[3].startswith("[adopt k8s-dev]  may be changed to what its VM file says")
    repo.served(repo.git("rev-parse", "HEAD"))
    assert extract_ansible_tag.main(["--repo", str(repo.path)]) == 0
    assert capsys.readouterr().out.startswith("no requests since ")


def test_a_bare_repository(repo, extract, tmp_path):
    repo.vm("web-a")
    repo.commit("x [ansible myapp]")
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "bare"))
    args = ("--playbooks-dir", str(repo.path / "proxmox/playbooks"), "--before", repo.start)
    code, answer, err = extract(tmp_path / "bare", *args)
    assert (code, err) == (0, "") and short(answer) == [("myapp", "myapp", None, ["web-a"])]


def test_a_folder_of_a_repository_below(repo, extract, tmp_path):
    inner = repo.path / "infra"
    repo.git("mv", "proxmox", "infra-moved")
    repo.git("commit", "-q", "-m", "move")
    (repo.path / "infra-moved").rename(inner)
    inner.mkdir(exist_ok=True)
    (inner / "proxmox").mkdir()
    for name in ("playbooks", "k8s.ini"):
        (inner / name).rename(inner / "proxmox" / name)
    repo.write("infra/proxmox/vms/web-a.yaml", "name: web-a\n")
    repo.commit("x [ansible myapp]")
    code, answer, _ = extract(inner)
    assert code == 0 and short(answer)[-1] == ("myapp", "myapp", None, ["web-a"])


def test_standard_input(repo, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    text = b"one [ansible myapp]\0two [ansible k8s-old] \xff\0\0three [ansible nope]"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert extract_ansible_tag.main(["--repo", str(repo.path), "--format", "json", "-"]) == 1
    out, err = capsys.readouterr()
    assert [(r["name"], r["commit"]) for r in json.loads(out)["requests"]] == [
        ("myapp", None),
        ("k8s-old", None),
    ]
    assert "message (three [ansible nope]): [ansible nope] names neither a playbook" in err


def test_standard_input_needs_no_repository(tmp_path, capsys, monkeypatch):
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/web.yml").write_text("[]\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x [ansible web]")))
    args = ["--repo", str(tmp_path), "--playbooks-dir", str(tmp_path / "playbooks"), "-"]
    assert extract_ansible_tag.main(args) == 0
    assert capsys.readouterr().out.startswith("[ansible web]  web.yml")


WRONG = [
    (["--range", "nope..HEAD"], "'nope' is not a commit of this clone"),
    (["--range", "HEAD...HEAD"], "two dots"),
    (["--range", "--output=/tmp/x"], None),  # argparse refuses it
    (["--range=--output=/tmp/x"], "is not a commit"),
    (["--range=HEAD..--all"], "is not a commit"),
]


@pytest.mark.parametrize("args, said", WRONG)
def test_wrong_ranges(repo, extract, capsys, args, said):
    if said is None:
        with pytest.raises(SystemExit) as stop:
            extract(repo.path, *args)
        assert stop.value.code == 2
        return
    code, _, err = extract(repo.path, *args)
    assert code == 2 and said in err


def test_a_repository_without_commits(tmp_path, extract):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert extract(tmp_path)[0] == 2
    assert extract(tmp_path, "--range", "HEAD\nHEAD")[0] == 2


def test_a_worktree_beside_the_clone(repo, extract, tmp_path):
    repo.commit("x [ansible myapp]")
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"))
    assert short(extract(tmp_path / "tree")[1]) == [("myapp", "myapp", None, [])]


def test_no_repository(tmp_path, extract):
    code, _, err = extract(tmp_path)
    assert code == 2 and "not a git repository" in err and "\\n" not in err


def test_a_message_is_never_a_command(repo, extract, tmp_path):
    trap = tmp_path / "trap"
    repo.write(f"proxmox/vms/$(touch {trap.name}).yaml")
    Path(os.fsencode(repo.path / "proxmox/vms").decode(), os.fsdecode(b"\xff\n::error::x.yaml")).write_text(
        ""
    )
    message = f"x $(touch {trap}) `touch {trap}` [ansible myapp]\n\n::error::[ansible ;touch {trap}]\n"
    repo.commit(message.encode() + b"\xff\x80")
    code, answer, err = extract(repo.path)
    assert code == 1 and not trap.exists() and len(answer["requests"]) == 1
    assert len(err.splitlines()) == 1


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        extract_ansible_tag.main(["--help"])
    assert "--range origin/main..HEAD" in capsys.readouterr().out
