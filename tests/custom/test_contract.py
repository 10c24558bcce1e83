"""validate_playbooks.py: a table of bad playbooks with the exact findings, and the real ansible-playbook for syntax."""

import json
from pathlib import Path

import pytest

import validate_playbooks
from fleet.paths import PLAYBOOKS_DIR
from fleet.playbooks import hosts, names, needs

TASKS = "  tasks:\n    - ansible.builtin.ping:\n"
GOOD = f'# needs: nothing\n- hosts: "{{{{ target_hosts }}}}"\n{TASKS}'


def write(folder: Path, text: str, name: str = "app", **more: str) -> Path:
    """A folder of playbooks with this one; `more`: texts of roles' task files, by role."""
    playbooks = folder / "playbooks"
    playbooks.mkdir(exist_ok=True)
    (playbooks / f"{name}.yml").write_text(text)
    for role, tasks in more.items():
        (playbooks / "roles" / role / "tasks").mkdir(parents=True)
        (playbooks / "roles" / role / "tasks/main.yml").write_text(tasks)
    return playbooks


def said(playbooks: Path, capsys, monkeypatch, *options: str) -> tuple[int, str]:
    monkeypatch.chdir(playbooks)
    code = validate_playbooks.main(["--playbooks-dir", ".", "--format", "text", *options])
    return code, capsys.readouterr().err


def test_our_own_playbooks_hold_to_it(capsys):
    assert validate_playbooks.main(["--format", "text"]) == 0
    assert capsys.readouterr().out == f"{len(names.custom(PLAYBOOKS_DIR))} playbooks: valid\n"


HOSTS = {
    "{{ target_hosts }}": "",
    "{{target_hosts|mandatory}}": "",
    "{{ target_hosts | mandatory('name them') }}": "",
    "{{ target_hosts }},&k3s_workers": "",
    "{{ target_hosts | mandatory }},&k3s,!haproxy": "",
    "all": "all reaches every machine of the inventory",
    "*": "* reaches every machine",
    "ungrouped": "ungrouped reaches every machine",
    "k3s": "'k3s' may reach machines that the run did not name",
    "k8s-dev": "may reach machines that the run did not name",
    "{{ target_hosts | default('all') }}": "reaches other machines where target_hosts is missing",
    "{{ target_hosts | d('k3s') }}": "reaches other machines where target_hosts is missing",
    "{{ target_hosts if target_hosts is defined else 'all' }}": "reaches other machines where",
    "{{ target_hosts }}:all": "may reach machines",
    "{{ target_hosts }},all": "may reach machines",
    "{{ target_hosts }},&k3s,all": "may reach machines",
    "all,{{ target_hosts }}": "may reach machines",
    "{{ target_hosts }}{{ ',all' }}": "may reach machines",
    "{{ groups['all'] }}": "may reach machines",
    "{{ target_host }}": "may reach machines",
    "{{ target_hosts | mandatory('a') | default('all') }}": "reaches other machines",
    "{{ target_hosts | replace('a', 'b') }}": "may reach machines",
    "localhost,all": "may reach machines",
}


@pytest.mark.parametrize("pattern", HOSTS)
def test_hosts(pattern, tmp_path, capsys, monkeypatch):
    playbooks = write(tmp_path, f'# needs: nothing\n- name: A\n  hosts: "{pattern}"\n{TASKS}')
    code, err = said(playbooks, capsys, monkeypatch)
    assert code == bool(HOSTS[pattern])
    assert err.startswith("app.yml:3:10: hosts: ") if HOSTS[pattern] else not err
    assert HOSTS[pattern] in err


LOCAL = f"- hosts: localhost\n{TASKS}"
TARGETS = '- hosts: "{{ target_hosts }}"\n'
WRONG = {
    "local beside": (TARGETS + TASKS + LOCAL, ""),
    "local alone": (LOCAL, "app.yml:1:1: no play has the machines of the run"),
    "nothing": ("", "app.yml:1:1: no play has the machines of the run"),
    "list": ("- hosts: [all]\n" + TASKS, "app.yml:2:10: hosts: is a list or a mapping"),
    "none": ("- tasks: []\n", "app.yml:2:3: a play without hosts"),
    "twice": (f'- hosts: all\n  hosts: "{{{{ target_hosts }}}}"\n{TASKS}', "app.yml:2:10: hosts: all reaches"),
    "merged": ("- &a\n  hosts: localhost\n- <<: *a\n", "app.yml:4:3: merge keys (<<) hide"),
    "sets": (TARGETS + "  vars:\n    target_hosts: all\n" + TASKS, "app.yml:4:5: sets target_hosts, which the run"),
    "not yaml": ("- hosts: [\n", "app.yml:3:1: is not valid YAML"),
    "a mapping": ("hosts: all\n", "app.yml:2:1: is not a list of plays or tasks") ,
    "text": ("- all\n", "app.yml:2:3: is not a list of plays or tasks"),
    "an alias of itself": (TARGETS + "  tasks: &a\n    - block: *a\n", "app.yml: is nested too deeply"),
    "two documents": (TARGETS + TASKS + "---\n" + LOCAL, "app.yml:5:1: is not valid YAML"),
    "import all": ("- import_playbook: other/all.yml\n", "other/all.yml:2:10: hosts: all reaches"),
    "import good": ("- ansible.builtin.import_playbook: other/good.yml\n", ""),
    "import variable": ('- import_playbook: "{{ which }}.yml"\n', "app.yml:2:20: import_playbook: which file is"),
    "import outside": ("- import_playbook: ../else.yml\n", "app.yml:2:20: import_playbook: '../else.yml' is not a"),
    "import nowhere": ("- import_playbook: none.yml\n", "app.yml:2:20: import_playbook: 'none.yml' is not a file"),
    "import itself": ("- import_playbook: app.yml\n", "app.yml:2:20: import_playbook: 'app.yml' imports itself"),
    "short": (TARGETS + "  tasks:\n    - apt: {name: jq}\n", "app.yml:4:7: apt: is not a full name"),
    "in a block": (
        TARGETS + "  tasks:\n    - block:\n        - command: id\n          changed_when: false\n",
        "app.yml:5:11: command: is not a full name",
    ),
    "action": (TARGETS + "  tasks:\n    - action: ping\n", "app.yml:4:7: action: write the module's full name"),
    "no role": (TARGETS + "  roles: [nginx]\n", "app.yml:3:11: role 'nginx' does not exist; there are: web"),
    "no role in a task": (
        TARGETS + "  tasks:\n    - ansible.builtin.include_role:\n        name: nginx\n",
        "app.yml:5:15: role 'nginx' does not exist",
    ),
    "role": (TARGETS + "  roles:\n    - role: web\n", "roles/web/tasks/main.yml:1:3: service: is not a full name"),
    "module": (
        TARGETS + "  tasks:\n    - ansible.builtin.no_such:\n",
        "app.yml:4:7: Ansible refuses it: couldn't resolve module/action 'ansible.builtin.no_such'",
    ),
    "keyword": (TARGETS + "  tusks: []\n", "Ansible refuses it: 'tusks' is not a valid attribute"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(case, tmp_path, capsys, monkeypatch):
    text, expected = WRONG[case]
    playbooks = write(tmp_path, f"# needs: nothing\n{text}", web="- service: {name: web}\n")
    (playbooks / "other").mkdir()
    (playbooks / "other/all.yml").write_text("---\n- hosts: all\n")
    (playbooks / "other/good.yml").write_text(TARGETS + TASKS)
    (tmp_path / "else.yml").write_text(TARGETS)
    code, err = said(playbooks, capsys, monkeypatch)
    assert code == bool(expected), err
    assert expected in err
    assert err.count("\n") == bool(expected), "one mistake is one finding"


NEEDS = {
    "# needs: vault, internet\n": ({"vault", "internet"}, ""),
    "---\n# About.\n#\n#needs:proxmox\n": ({"proxmox"}, ""),
    "# needs: vault\n# needs: internet\n": ({"vault", "internet"}, ""),
    "# needs: nothing\n": (set(), ""),
    "# Installs.\n": (
        set(),
        "app.yml:1:1: does not say what it needs: write a line `# needs: vault, internet`",
    ),
    "# needs:\n": (
        set(),
        "app.yml:1:1: needs: says nothing; known are: vault, proxmox, internet, or nothing alone",
    ),
    "# needs: vault, gpu\n": ({"vault"}, "app.yml:1:17: needs: 'gpu' is unknown"),
    "# needs: nothing, vault\n": ({"vault"}, "app.yml:1:10: needs: nothing stands alone"),
    "- hosts: a\n# needs: vault\n": (set(), "app.yml:1:1: does not say what it needs"),
}


@pytest.mark.parametrize("text", NEEDS)
def test_needs(text):
    words, findings = needs.read(text, "app.yml")
    assert words == NEEDS[text][0]
    assert [finding.text()[: len(NEEDS[text][1])] for finding in findings] == [NEEDS[text][1]] * bool(
        NEEDS[text][1]
    )


@pytest.mark.parametrize(
    ("env", "lacks"),
    [
        ({"VAULT_ADDR": "https://vault.example.org", "VAULT_TOKEN": "t"}, []),
        ({"VAULT_ADDR": "", "VAULT_TOKEN": "t"}, ["needs vault, and this run does not have it: the address of"]),
        ({"VAULT_ADDR": "https://v", "VAULT_TOKEN": ""}, ["needs vault, and this run does not have it: the token for"]),
        ({"VAULT_ADDR": "vault", "VAULT_TOKEN": "t"}, ["needs vault, and this run does not have it: VAULT_ADDR is"]),
    ],
)  # fmt: skip
def test_what_a_run_lacks(env, lacks, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "app.yml").write_text("# needs: vault, internet\n")
    found = [finding.message for finding in needs.lacking(tmp_path / "app.yml")]
    assert [message[: len(lack)] for message, lack in zip(found, lacks, strict=True)] == lacks


def test_proxmox_is_lacking(tmp_path, monkeypatch):
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", "https://pve:8006")
    monkeypatch.delenv("PROXMOX_VE_API_TOKEN", raising=False)
    (tmp_path / "app.yml").write_text("# needs: proxmox\n")
    (found,) = needs.lacking(tmp_path / "app.yml")
    assert found.message == "needs proxmox, and this run does not have it: set PROXMOX_VE_API_TOKEN"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("myapp", ""), ("my_app-2", ""), ("k8s", ""), ("haproxy", ""), ("talos", ""),
        ("k8s-dev", "would no longer mean the machine k8s-dev"),
        ("my app", "cannot stand in a tag"), ("über", "cannot stand in a tag"), ("-x", "cannot stand in a tag"),
        ("a.b", "cannot stand in a tag"), ("a" * 64, "cannot stand in a tag"), ("", "cannot stand in a tag"),
        ("NAME", "is documentation and never read"), ("all", "means something else to Ansible"),
    ],
)  # fmt: skip
def test_names(name, problem):
    assert problem in names.problem_of(name)
    assert bool(problem) == bool(names.problem_of(name))


def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(tmp_path, capsys, monkeypatch):
    playbooks = write(tmp_path, "- hosts: all\n", "other")
    (playbooks / "app.yml").write_bytes(b"# caf\xe9\n" + GOOD.encode())
    code, err = said(playbooks, capsys, monkeypatch)
    assert code == 1
    assert (
        "app.yml:1: is not valid UTF-8; save the file as UTF-8" in err and "other.yml:1:10: hosts: all" in err
    )


def test_a_file_that_no_tag_finds(tmp_path, capsys, monkeypatch):
    playbooks = write(tmp_path, GOOD, "my.app")
    (playbooks / "other.yaml").write_text(GOOD)
    (playbooks / "deploy.yml").write_text("- hosts: all\n")  # which has rules of its own
    code, err = said(playbooks, capsys, monkeypatch)
    assert code == 1
    assert err.splitlines() == [
        "my.app.yml: 'my.app' cannot stand in a tag: use letters, digits, - and _, beginning with a letter or digit",
        "other.yaml: is not read, because playbooks end in .yml; rename it to other.yml",
    ]


def test_by_name_and_as_json(tmp_path, capsys):
    playbooks = write(tmp_path, GOOD)
    write(tmp_path, "- hosts: all\n", "bad")
    call = ["--playbooks-dir", str(playbooks)]
    assert validate_playbooks.main([*call, "app"]) == 0
    capsys.readouterr()
    assert validate_playbooks.main([*call, "bad", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["line"], one["col"]) for one in found] == [(1, 1), (1, 10)]
    assert validate_playbooks.main([*call, "none"]) == 2
    assert "none: no such playbook; there are: app, bad" in capsys.readouterr().err
    assert validate_playbooks.main(["--playbooks-dir", str(tmp_path / "x")]) == 2


def test_the_rule_of_hosts_needs_no_ansible(tmp_path, monkeypatch):
    """A run asks it before each play."""
    monkeypatch.setenv("PATH", "")
    assert hosts.check(write(tmp_path, GOOD) / "app.yml") == []
