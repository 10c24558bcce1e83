"""update_inventory.py: every folder of cases/inventory is a case, and what no folder can show.

A case has k8s.ini, new_hosts.txt and outputs.json, and what must become of them: k8s.ini.after,
new_hosts.txt.after (without them nothing may change) and output.txt, all that the script says.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import update_inventory
from fleet.ansible import command as ansible
from fleet.ansible.update import update
from fleet.paths import ROOT

CASES = Path(__file__).parents[1] / "cases" / "inventory"
SCRIPT = Path(update_inventory.__file__)


def arguments(folder: Path, *options: str) -> list[str]:
    files = {"outputs": "outputs.json", "inventory": "k8s.ini", "queue": "new_hosts.txt"}
    return [*(f"--{key}={folder / name}" for key, name in files.items()), *options]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(autouse=True)
def by_a_person(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


@pytest.mark.parametrize("case", sorted(folder.name for folder in CASES.iterdir()))
def test_case(case, tmp_path, capsys):
    names = ("k8s.ini", "new_hosts.txt")
    for name in (*names, "outputs.json"):
        shutil.copy(CASES / case / name, tmp_path / name)
    before = contents(tmp_path)
    code = update_inventory.main(arguments(tmp_path))
    streams = capsys.readouterr()
    said = f"exit {code}\n{streams.out}{streams.err}".replace(f"{tmp_path}/", "")
    if os.environ.get("UPDATE_CASES"):
        (CASES / case / "output.txt").write_text(said)
        for name in names:
            (CASES / case / f"{name}.after").unlink(missing_ok=True)
            if contents(tmp_path)[name] != before[name]:
                shutil.copy(tmp_path / name, CASES / case / f"{name}.after")
    after = contents(tmp_path)
    for name in names:
        expected = CASES / case / f"{name}.after"
        assert after[name] == (expected.read_bytes() if expected.exists() else before[name]), name
    assert said == (CASES / case / "output.txt").read_text()
    if after["k8s.ini"] == before["k8s.ini"]:
        assert "k8s.ini.bak" not in after
    else:
        assert after["k8s.ini.bak"] == before["k8s.ini"]

    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert update_inventory.main(arguments(tmp_path)) == code
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == stamps, "the second run wrote"


def machine(address="10.0.0.1", **more):
    return {
        "address": address,
        "user": "ops",
        "mac": "BC:24:11:00:00:01",
        "instance": "a1",
        "mounts": {},
    } | more


def outputs_of(machines: dict) -> dict:
    return {"ansible_inventory": {"value": machines}}


def test_crlf_and_no_final_newline_stay():
    before = "# Individual hosts\r\nnas ansible_host=10.0.0.9\r\n\r\n[k3s]\r\nk8s-x ansible_host=10.0.0.8"
    result = update(before, "# q\r\n10.0.0.8,k8s-x", outputs_of({"k8s-a": machine()}))
    line = "k8s-a ansible_host=10.0.0.1 ansible_user=ops  # terraform mac=BC:24:11:00:00:01 instance=a1"
    after = before.replace("0.9\r\n", f"0.9\r\n{line}\r\n") + "\r\nk8s-a"
    assert result.inventory_text == after
    assert result.queue_text == "# q\r\n10.0.0.8,k8s-x\r\n10.0.0.1,k8s-a\r\n"


@pytest.mark.parametrize(
    ("left", "approved", "refused"), [(3, 0, False), (2, 0, True), (2, 1, False), (1, 0, True)]
)
def test_most_machines_leave_only_when_that_is_approved(left, approved, refused):
    """A state of another workspace, or a part of one, must not empty the inventory."""
    every = {f"db-{number}": machine(f"10.0.0.{number + 1}") for number in range(5)}
    text = update("", "", outputs_of(every)).inventory_text
    some = dict(list(every.items())[:left])
    result = update(text, "", outputs_of(some), approved=list(every)[::-1][:approved])
    assert ("looks like a lost state" in "".join(one.message for one in result.findings)) == refused
    assert (result.inventory_text == text) == refused and len(result.removed) == (0 if refused else 5 - left)


def test_what_stays_and_what_comes_back_is_said():
    text = "# Individual hosts\nk8s-a ansible_host=10.0.0.1 ansible_user=ops # terraform\n"
    text += "[k3s]\nk8s-hand rack=7\n"
    result = update(text, "", outputs_of({"k8s-a": machine(mac="", instance="")}))
    assert result.inventory_text.endswith("k8s-hand rack=7\nk8s-a\n")
    assert result.kept == {"k8s-hand": "written by hand"}
    assert result.changed == {"k8s-a": "back in [k3s]"}


BY_HAND = "[k3s]\n{} # mine\nk8s-b ansible_host=10.0.0.2 ansible_user=ops\n"
MARK = "# terraform mac=BC:24:11:00:00:01 instance=a1"


@pytest.mark.parametrize("adopt", [["k8s-a"], ["all"]])
@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("k8s-a ansible_host=10.0.0.9 rack=7", "k8s-a ansible_host=10.0.0.1 rack=7 ansible_user=ops"),
        ("k8s-a:2222 ansible_ssh_host=10.0.0.9", "k8s-a:2222 ansible_host=10.0.0.1 ansible_user=ops"),
        ("k8s-a ansible_host=10.0.0.1 ansible_user=root", "k8s-a ansible_host=10.0.0.1 ansible_user=ops"),
        (
            "k8s-a ansible_host=10.0.0.1 ansible_ssh_user='root'",
            "k8s-a ansible_host=10.0.0.1 ansible_user=ops",
        ),
        (
            "k8s-a ansible_host=10.0.0.1 ansible_ssh_host=10.0.0.9 x='a b'",
            "k8s-a ansible_host=10.0.0.1 x='a b' ansible_user=ops",
        ),
        (
            "k8s-a ansible_host=10.0.0.1 disk_mounts=scsi1:/srv",
            "k8s-a ansible_host=10.0.0.1 ansible_user=ops",
        ),
    ],
)
def test_a_line_by_hand_that_differs_takes_terraforms_values_only_when_asked(line, after, adopt):
    text = BY_HAND.format(line)
    terraform = outputs_of({"k8s-a": machine(), "k8s-b": machine("10.0.0.2", mac="", instance="")})
    for others in ((), ("k8s-b",)):
        refused = update(text, "", terraform, adopt=others, inventory_path="k8s.ini")
        assert refused.inventory_text == text and refused.adopted == []
        assert [(one.path, one.line, one.level) for one in refused.findings] == [("k8s.ini", 2, "error")]
        assert "[adopt k8s-a]" in refused.findings[0].message
    result = update(text, "", terraform, adopt=adopt)
    assert result.inventory_text == f"[k3s]\n{after}  {MARK} # mine\n" + (
        "k8s-b ansible_host=10.0.0.2 ansible_user=ops  # terraform\n"
    )
    assert (result.adopted, result.added, result.queued) == (["k8s-a", "k8s-b"], [], [])
    again = update(result.inventory_text, "", terraform)
    assert (again.inventory_text, again.changed, again.adopted) == (result.inventory_text, {}, [])


def test_a_remark_beside_the_mark_is_never_changed():
    text = f"k8s-a ansible_host=10.0.0.1 ansible_user=ops  {MARK} # had mac=1 instance=x\n[k3s]\nk8s-a\n"
    assert update(text, "", outputs_of({"k8s-a": machine()})).inventory_text == text
    changed = update(text, "", outputs_of({"k8s-a": machine(instance="b2")})).inventory_text
    assert changed == text.replace("instance=a1", "instance=b2")


def test_adopting_by_hand_from_the_command_line(tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"k8s-a": machine()})))
    (tmp_path / "k8s.ini").write_text("[k3s]\nk8s-a ansible_host=10.0.0.9\n")
    assert update_inventory.main(arguments(tmp_path)) == 1
    assert "ansible_host=10.0.0.9 by hand" in capsys.readouterr().err
    assert update_inventory.main(arguments(tmp_path, "--adopt=k8s-a")) == 0
    assert capsys.readouterr().out.startswith("adopted: k8s-a\nwritten: ")
    assert "k8s-a ansible_host=10.0.0.1 ansible_user=ops" in (tmp_path / "k8s.ini").read_text()


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("[k3s]\n", [("", 0, "k8s-a and k8s-b both have the address 10.0.0.1")]),
        ("nas ansible_host=10.0.0.7\n", [("", 0, "k8s-a and k8s-b")]),
        (
            "# mine\nnas ansible_ssh_host=10.0.0.3\n",
            [("", 0, "k8s-a and k8s-b"), ("k8s.ini", 2, "nas has the address 10.0.0.3, which k8s-c has")],
        ),
        ("gone ansible_host=10.0.0.3 # terraform\n", [("", 0, "k8s-a and k8s-b")]),
    ],
)
def test_two_hosts_with_one_address(text, places):
    machines = {"k8s-a": machine(), "k8s-b": machine(), "k8s-c": machine("10.0.0.3")}
    result = update(text, "", outputs_of(machines), inventory_path="k8s.ini")
    assert result.inventory_text == text and len(result.findings) == len(places)
    for finding, (path, line, said) in zip(result.findings, places, strict=True):
        assert (finding.path, finding.line, finding.level) == (path, line, "error")
        assert finding.message.startswith(said)
    fine = outputs_of(
        {
            name: one | {"address": f"10.0.0.{number}"}
            for number, (name, one) in enumerate(machines.items(), 20)
        }
    )
    assert update(text, "", fine).findings == []


def test_keep():
    inventory = "k8s-a ansible_host=10.0.0.1 # terraform\nk8s-b # terraform\n[k3s]\nk8s-a\nk8s-b\n"
    texts = (inventory, "10.0.0.1,k8s-a,k8s\n")
    result = update(*texts, outputs_of({"k8s-b": machine("10.0.0.2")}), keep=["k8s-a"])
    assert "k8s-a ansible_host=10.0.0.1 # terraform\n" in result.inventory_text
    assert result.kept == {"k8s-a": "asked to keep"} and result.removed == []
    assert result.queue_text == "", "there is no machine to play on"


def test_a_machine_with_a_file_that_the_outputs_lack(tmp_path, capsys):
    lines = [
        f"k8s-{name} ansible_host=10.0.0.{number} ansible_user=ops  # terraform"
        for number, name in enumerate("abc", 1)
    ]
    (tmp_path / "k8s.ini").write_text("\n".join(lines) + "\n[k3s]\nk8s-a\nk8s-b\nk8s-c\n")
    (tmp_path / "new_hosts.txt").write_text("10.0.0.2,k8s-b,k8s\n10.0.0.3,k8s-c,k8s\n")
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms/k8s-b.yaml").touch()
    found = outputs_of(
        {"k8s-a": machine(mac="", instance=""), "k8s-d": machine("10.0.0.4", mac="", instance="")}
    )
    (tmp_path / "outputs.json").write_text(json.dumps(found))
    assert update_inventory.main(arguments(tmp_path, "--approve-destroy=k8s-c")) == 1
    streams = capsys.readouterr()
    assert "removed: k8s-c\nkept: k8s-b (missing in Terraform's outputs)\nqueued: k8s-d" in streams.out
    assert "k8s.ini:2: k8s-b has a file in vms/ but is not in Terraform's outputs" in streams.err
    assert (tmp_path / "new_hosts.txt").read_text() == "10.0.0.2,k8s-b,k8s\n10.0.0.4,k8s-d\n"
    assert lines[1] in (tmp_path / "k8s.ini").read_text()
    assert update_inventory.main(arguments(tmp_path, "--approve-destroy=k8s-b")) == 0
    assert "k8s-b" not in (tmp_path / "k8s.ini").read_text() + (tmp_path / "new_hosts.txt").read_text()


@pytest.mark.parametrize(
    "line, queued",
    [("10.0.0.1,k8s-a", []), ("10.0.0.1,k8s-a,k8s", []), ("10.0.0.1,k8s-a,base", ["k8s-a"])],
)
def test_a_new_machine_is_queued_unless_it_waits_already(line, queued):
    result = update("[k3s]\n", f"{line}\n", outputs_of({"k8s-a": machine()}))
    assert result.queued == queued
    assert result.queue_text == f"{line}\n" + "10.0.0.1,k8s-a\n" * len(queued)


def test_what_is_refused_changes_no_text():
    texts = ("# mine\nk8s-a # terraform\n", "10.0.0.1,k8s-a\n")
    assert update(*texts, outputs_of({}))[:2] == texts


@pytest.mark.parametrize("approved, code", [([], 1), (["k8s-a"], 1), (["k8s-a", "k8s-b", "other"], 0)])
def test_no_machine_at_all_needs_an_approval_for_each(approved, code, tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({})))
    (tmp_path / "k8s.ini").write_text("k8s-a # terraform\nk8s-b # terraform\n[k3s]\nk8s-a\nk8s-b\n")
    options = [f"--approve-destroy={name}" for name in approved]
    assert update_inventory.main(arguments(tmp_path, *options)) == code
    assert ("looks like a lost state" in capsys.readouterr().err) == bool(code)
    assert ((tmp_path / "k8s.ini").read_text() == "[k3s]\n") == (not code)


@pytest.mark.parametrize(
    "bad",
    [
        {"address": "10.0.0.1 # x"},
        {"address": "dhcp"},
        {"address": ""},
        {"user": "ops ansible_connection=local"},
        {"user": "{{ lookup('pipe', 'id') }}"},
        {"user": None},
        {"mac": "AA\nevil"},
        {"instance": "a b"},
        {"mounts": {"scsi1": "/mnt/{{ x }}"}},
        {"mounts": {"scsi1": "/mnt/a b"}},
        {"mounts": {"scsi1 x=1": "/mnt"}},
        {"mounts": ["/mnt"]},
        {"mac": 5},
    ],
)
def test_what_must_not_reach_an_inventory(bad, tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"k8s-a": machine() | bad})))
    assert update_inventory.main(arguments(tmp_path)) == 1
    assert "output ansible_inventory: k8s-a" in capsys.readouterr().err
    assert list(contents(tmp_path)) == ["outputs.json"]


@pytest.mark.parametrize(
    "name", ["all", "localhost", "ungrouped", "k8s a", "k8s[1:3]", "a#b", "../x", "K8S", "", "k8s-é"]
)
def test_names_that_must_not_reach_an_inventory(name, tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({name: machine()})))
    assert update_inventory.main(arguments(tmp_path)) == 1
    assert "cannot stand in an inventory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 2),
        ("{", 2),
        pytest.param("[" * 100_000, 2, id="deep"),
        ("[]", 1),
        ('{"ansible_inventory": {"a": 1}}', 1),
        ('{"ansible_inventory": []}', 1),
        ("{}", 0),
    ],
)
def test_outputs_that_are_none(text, code, tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(text)
    assert update_inventory.main(arguments(tmp_path)) == code
    assert "Traceback" not in capsys.readouterr().err


def test_missing_outputs(tmp_path, capsys):
    assert update_inventory.main(arguments(tmp_path)) == 2
    assert "outputs.json" in capsys.readouterr().err


def test_asks_terraform(tmp_path, monkeypatch, capsys):
    tool = tmp_path / "terraform"
    tool.write_text(f'#!/bin/sh\necho "$@" >&2\ncat {tmp_path}/answer || exit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = arguments(tmp_path)[1:]
    assert update_inventory.main(options) == 2
    assert "-json" in capsys.readouterr().err
    (tmp_path / "answer").write_text(json.dumps(outputs_of({"db": machine()})))
    assert update_inventory.main(options) == 0
    assert "queued: db" in capsys.readouterr().out
    for said in ("", "[command]/opt/terraform-bin output -json\n{}"):  # a wrapper's own line
        (tmp_path / "answer").write_text(said)
        assert update_inventory.main(options) == 2
        assert "no JSON of `terraform output`" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert update_inventory.main(options) == 2
    assert "neither terraform nor tofu is on PATH" in capsys.readouterr().err


def test_dry_run_and_json_write_nothing_more(tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    assert update_inventory.main(arguments(tmp_path, "--dry-run")) == 0
    said = capsys.readouterr().out
    assert "added: db" in said and "+10.0.0.1,db" in said
    assert list(contents(tmp_path)) == ["outputs.json"]
    assert update_inventory.main(arguments(tmp_path, "--format", "json")) == 0
    assert json.loads(capsys.readouterr().out) == {
        "added": ["db"],
        "changed": {},
        "renamed": {},
        "removed": [],
        "adopted": [],
        "kept": {},
        "queued": ["db"],
    }


def test_a_file_that_is_not_there_is_not_made_for_nothing(tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({})))
    assert update_inventory.main(arguments(tmp_path)) == 0
    assert capsys.readouterr().out == "written: nothing\n"
    assert list(contents(tmp_path)) == ["outputs.json"]
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"k8s-a": machine()})))
    (tmp_path / "k8s.ini").write_text(f"k8s-a ansible_host=10.0.0.1 ansible_user=ops  {MARK}\n")
    assert update_inventory.main(arguments(tmp_path)) == 0  # back in [k3s]; nothing is queued
    assert capsys.readouterr().out.endswith(f"written: {tmp_path}/k8s.ini\n")
    assert sorted(contents(tmp_path)) == ["k8s.ini", "k8s.ini.bak", "outputs.json"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "xx_XX.ISO-8859-1"])
@pytest.mark.parametrize("utf8", ["0", "1"])
def test_the_locale_decides_nothing(tmp_path, locale, utf8):
    """A runner may have any; where it is not UTF-8, Ansible would not start and Python read and print otherwise."""
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"k8s-a": machine()})), encoding="utf-8")
    (tmp_path / "k8s.ini").write_text("# máquinas \u2013 minhas\n[k3s]\n", encoding="utf-8")
    (tmp_path / "group_vars").mkdir()  # so that Ansible is asked
    (tmp_path / "group_vars/k3s.yml").write_text("nota: são \u2013 três\n", encoding="utf-8")
    python = {"PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0", "LC_ALL": locale}
    for options, code in ((["--dry-run"], 0), ([], 0)):
        command = [sys.executable, str(SCRIPT), *arguments(tmp_path, *options)]
        done = subprocess.run(command, env=os.environ | python, capture_output=True)
        assert done.returncode == code, done.stderr.decode(errors="replace")
    assert "# máquinas \u2013 minhas\n[k3s]\nk8s-a\n" in (tmp_path / "k8s.ini").read_text(encoding="utf-8")


def test_mode_and_symlink_stay(tmp_path):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    (tmp_path / "real.ini").write_text("[x]\n")
    (tmp_path / "real.ini").chmod(0o640)
    (tmp_path / "k8s.ini").symlink_to("real.ini")
    assert update_inventory.main(arguments(tmp_path)) == 0
    assert (tmp_path / "k8s.ini").is_symlink()
    assert (tmp_path / "real.ini").stat().st_mode & 0o777 == 0o640


def test_ansible_has_the_last_word(tmp_path, capsys, monkeypatch):
    """What only Ansible would refuse is refused before the rename, and nothing is written."""
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    (tmp_path / "k8s.ini").write_text("[x]\nnot-seen-by-us\n")
    tool = tmp_path / "ansible-inventory"
    tool.write_text('#!/bin/sh\necho "$3: line 7 is bad" >&2; exit 4\n')
    tool.chmod(0o755)
    monkeypatch.setattr(ansible, "command", lambda name: str(tool))
    before = contents(tmp_path)
    assert update_inventory.main(arguments(tmp_path)) == 1
    assert "ansible-inventory rejects it" in capsys.readouterr().err
    tool.write_text("#!/bin/sh\necho '{}'\n")
    assert update_inventory.main(arguments(tmp_path)) == 1
    assert "Ansible sees no ansible_host of db, though the line says 10.0.0.1" in capsys.readouterr().err
    assert {name: text for name, text in contents(tmp_path).items() if name != tool.name} == {
        name: text for name, text in before.items() if name != tool.name
    }


def test_without_ansible(tmp_path, capsys, monkeypatch):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    monkeypatch.setattr(ansible.shutil, "which", lambda *args, **kwargs: None)
    assert update_inventory.main(arguments(tmp_path)) == 2
    assert "ansible-inventory is not installed" in capsys.readouterr().err


def test_the_shell_wrapper(tmp_path):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [ROOT / "proxmox" / "update-inventory.sh", *arguments(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    written = f"written: {tmp_path}/k8s.ini, {tmp_path}/new_hosts.txt\n"
    assert (done.returncode, done.stdout) == (0, "added: db\nqueued: db\n" + written), done.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_killed_at_any_system_call_that_writes(tmp_path):
    """SIGKILL at each: every file has the old text or the new one, and the next run completes all."""
    texts = {"k8s.ini": "# Individual hosts\nnas\n[k3s]\n", "new_hosts.txt": "# q\n"}
    outputs = json.dumps(
        outputs_of({f"k8s-{number}": machine(f"10.0.0.{number}") for number in range(1, 40)})
    )
    done = tmp_path / "done"
    done.mkdir()
    for name, text in (*texts.items(), ("outputs.json", outputs)):
        (done / name).write_text(text)
    assert update_inventory.main(arguments(done)) == 0
    new = {name: (done / name).read_text() for name in texts}
    calls = "openat,write,fchmod,fsync,rename,unlink"
    trace, fresh = tmp_path / "trace", tmp_path / "work"

    def run(*inject: str) -> int:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name, text in (*texts.items(), ("outputs.json", outputs)):
            (fresh / name).write_text(text)
        command = ["strace", "-y", "-o", str(trace), *inject, sys.executable, str(SCRIPT), *arguments(fresh)]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, env=environment, capture_output=True).returncode

    assert run("-e", f"trace={calls}") == 0
    seen: dict[str, int] = {}
    points = []  # the calls that concern these files, each with its number among the calls of its name
    for line in trace.read_text().splitlines():
        call = line.partition("(")[0]
        seen[call] = seen.get(call, 0) + 1
        if str(fresh) in line and "O_RDONLY|O_CLOEXEC) = " not in line:
            points.append((call, seen[call]))
    assert {call for call, _ in points} >= {"openat", "write", "fchmod", "fsync", "rename"}
    for number, (call, which) in enumerate(points):
        code = run("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={which}")
        assert code != 0, (call, which)
        for name, text in texts.items():
            assert (fresh / name).read_text() in (text, new[name]), (call, which, name)
        if (fresh / "k8s.ini.bak").exists():
            assert (fresh / "k8s.ini.bak").read_text() == texts["k8s.ini"]
        if number % 5 == 0:  # not each: it costs a run of Ansible
            assert update_inventory.main(arguments(fresh)) == 0
            assert {name: (fresh / name).read_text() for name in texts} == new, (call, which)


def test_one_file_for_both(tmp_path, capsys):
    with pytest.raises(SystemExit):
        update_inventory.main(arguments(tmp_path, f"--queue={tmp_path}/k8s.ini"))
    assert "the same file" in capsys.readouterr().err


def test_what_cannot_be_written(tmp_path, capsys):
    (tmp_path / "outputs.json").write_text(json.dumps(outputs_of({"db": machine()})))
    assert update_inventory.main(arguments(tmp_path, f"--queue={tmp_path}/no/such/queue")) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert update_inventory.main(arguments(tmp_path, f"--inventory={tmp_path}")) == 2
    assert "cannot be read" in capsys.readouterr().err


LB = "haproxy-p ansible_host=10.0.0.8 ansible_user=ops  # terraform\n"
CP1 = "k8s-p-cp1 ansible_host=10.0.0.1 ansible_user=ops  # terraform\n"
W1 = "k8s-p-w1 ansible_host=10.0.0.4 ansible_user=ops  # terraform\n"
LBS = {"haproxy-p": machine("10.0.0.8", mac="", instance="")}
CP, W = machine("10.0.0.1", mac="", instance=""), machine("10.0.0.4", mac="", instance="")
FOLLOWS = "10.0.0.8,haproxy-p,haproxy\n"
GROUPED = "[haproxy]\nhaproxy-p\n[k3s_control_plane]\n[k3s_workers]\n[k3s:children]\nk3s_control_plane\nk3s_workers\n"


@pytest.mark.parametrize(
    ("inventory", "waiting", "machines", "after", "said"),
    [
        # A control plane comes, moves, goes; the load balancer was provisioned before.
        (LB, "", LBS | {"k8s-p-cp1": CP}, "10.0.0.1,k8s-p-cp1\n" + FOLLOWS, "k8s-p-cp1, which came, went or moved"),
        (LB + CP1, "", LBS | {"k8s-p-cp1": CP | {"address": "10.0.0.2"}}, FOLLOWS, "is queued for haproxy"),
        (LB + CP1, "", LBS, FOLLOWS, "is queued for haproxy"),
        (LB, "", LBS | {"talos-p-cp1": CP}, "10.0.0.1,talos-p-cp1\n" + FOLLOWS, "is queued for haproxy"),
        (LB, "", LBS | {"k8s-p": CP}, "10.0.0.1,k8s-p\n" + FOLLOWS, "is queued for haproxy"),
        # Nothing of it changed, or nothing that it serves.
        (LB + CP1, "", LBS | {"k8s-p-cp1": CP}, "", ""),
        (LB + CP1, "", LBS | {"k8s-p-cp1": CP, "k8s-p-w1": W}, "10.0.0.4,k8s-p-w1\n", ""),
        (LB + CP1 + W1, "", LBS | {"k8s-p-cp1": CP}, "", ""),
        (LB, "", LBS | {"k8s-q-cp1": CP}, "10.0.0.1,k8s-q-cp1\n", ""),
        # It waits already: for its first playbook, for its own, and for another, after which it follows.
        (LB + CP1, "10.0.0.8,haproxy-p\n", LBS, "10.0.0.8,haproxy-p\n", ""),
        (LB + CP1, FOLLOWS, LBS, FOLLOWS, ""),
        (LB + CP1, "10.0.0.8,haproxy-p,base\n", LBS, "10.0.0.8,haproxy-p,base\n" + FOLLOWS, "is queued for haproxy"),
        # It is made in the same run, or goes in it.
        ("", "", LBS | {"k8s-p-cp1": CP}, "10.0.0.8,haproxy-p\n10.0.0.1,k8s-p-cp1\n", ""),
        (LB + CP1, "", {"k8s-p-w1": W}, "10.0.0.4,k8s-p-w1\n", ""),
        # A person's, which no run has ever touched.
        ("haproxy-p ansible_host=10.0.0.8\n" + CP1, "", {"nas": W}, "10.0.0.4,nas\n",
         "is not this automation's: run haproxy on it by hand if it is to follow"),
    ],
)  # fmt: skip
def test_load_balancers_follow_their_clusters(inventory, waiting, machines, after, said):
    approved = ["haproxy-p", "k8s-p-cp1", "k8s-p-w1"]
    result = update(inventory + GROUPED, waiting, outputs_of(machines), approved=approved)
    assert result.queue_text == after
    told = "".join(one.message for one in result.findings if one.message.startswith("haproxy-p serves"))
    assert (said in told) if said else not told
    again = update(result.inventory_text, result.queue_text, outputs_of(machines), approved=approved)
    assert (again.queue_text, again.inventory_text) == (after, result.inventory_text)


def test_a_load_balancer_that_somebody_else_made_is_only_named():
    adopted = outputs_of(LBS | {"k8s-p-cp1": CP}) | {"adopted": {"value": ["haproxy-p"]}}
    result = update(LB + GROUPED, "", adopted)
    assert result.queue_text == "10.0.0.1,k8s-p-cp1\n"
    assert "run haproxy on it by hand" in "".join(one.message for one in result.findings)
