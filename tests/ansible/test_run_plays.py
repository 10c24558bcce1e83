"""run_plays.py with the real ansible-playbook, on loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import run_plays
from fleet.ansible import play, playable, queue
from fleet.ansible.inventory import parse
from fleet.hosts import known_hosts
from fleet.steps import play as steps
from tests.helpers.machines import text
from tests.helpers.sshd import servers

SCRIPT = Path(run_plays.__file__)
PLAYBOOK = """
- hosts: "{{ target_hosts }}"
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ inventory_hostname }}"
        dest: "{{ out }}/{{ inventory_hostname }}.NAME"
        mode: "0644"
    - ansible.builtin.fail:
      run_once: "{{ once | default(false) }}"
      when: inventory_hostname in (broken | default('')).split(';')
    - ansible.builtin.command: sleep {{ pause }}
      when: pause is defined
      changed_when: false
"""
LOCAL = "ansible_connection=local ansible_python_interpreter=" + sys.executable


class Fleet:
    """A folder with inventory, queue and playbooks."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.inventory, self.queue = folder / "k8s.ini", folder / "new_hosts.txt"
        self.playbooks = folder / "playbooks"
        self.playbooks.mkdir()
        for name in ("k8s", "haproxy", "base"):
            (self.playbooks / f"{name}.yml").write_text(PLAYBOOK.replace("NAME", name))
        (folder / "ansible.cfg").write_text("[defaults]\nretry_files_enabled = False\n")

    def write(self, inventory: list[str], waiting: list[str], **variables: str) -> None:
        extra = [f"{key}={value}" for key, value in {"out": self.folder, **variables}.items()]
        self.inventory.write_text("\n".join([*inventory, "[all:vars]", *extra]) + "\n")
        self.queue.write_text("\n".join(waiting) + "\n")

    def arguments(self, *options: str) -> list[str]:
        places = {"inventory": self.inventory, "queue": self.queue, "playbooks-dir": self.playbooks}
        places["known-hosts"] = self.folder / "known_hosts"
        return [*(f"--{key}={value}" for key, value in places.items()), "--no-publish", *options]

    def run(self, *options: str) -> int:
        return run_plays.main(self.arguments(*options))

    def played(self) -> set[str]:
        return {file.name for file in self.folder.iterdir() if file.suffix in (".k8s", ".haproxy", ".base")}


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def test_nothing_queued(fleet, capfd):
    fleet.write([f"k8s-a {LOCAL}"], ["# nobody"])
    assert fleet.run() == 0
    assert capfd.readouterr().out == "the queue is empty\n"


def test_drains_what_succeeded_and_keeps_the_rest(fleet, capfd, tmp_path, monkeypatch):
    hosts = [
        f"{name} ansible_host=10.0.0.{i} {LOCAL}"
        for i, name in enumerate(["k8s-a", "k8s-b", "k8s-c", "k8s-d"])
    ]
    waiting = ["# ours", "10.0.0.0,k8s-a,k8s", "10.0.0.1,k8s-b,k8s", "10.0.0.9,k8s-c,base", "10.0.0.3,k8s-d"]
    waiting += ["10.0.0.8,k8s-x,k8s", "10.0.0.0,k8s-a,none", "nonsense", "10.0.0.0,k8s-a,base"]
    fleet.write(hosts, waiting, broken="k8s-b")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert fleet.run() == 1
    assert fleet.played() == {"k8s-a.k8s", "k8s-b.k8s", "k8s-c.base", "k8s-a.base"}
    left = [
        "# ours",
        "10.0.0.1,k8s-b,k8s",
        "10.0.0.3,k8s-d",
        "10.0.0.8,k8s-x,k8s",
        "10.0.0.0,k8s-a,none",
        "nonsense",
    ]
    assert fleet.queue.read_text().splitlines() == left
    streams = capfd.readouterr()
    for said in (
        "k8s-b, k8s.yml: failed",
        "k8s-d waits: no commit asked for a playbook yet",
        "k8s-x waits for k8s.yml but is not in the inventory",
        "playbook 'none' does not exist; there are: base, haproxy, k8s",
        "got 'nonsense'",
    ):
        assert said in streams.err
    assert re.search(r"^k8s-a +k8s +ok +1 ", streams.out, re.M)
    assert "| k8s-b | k8s | failed |" in (tmp_path / "summary.md").read_text()


def test_an_address_that_differs_is_said_and_the_inventory_counts(fleet, capfd):
    fleet.write([f"k8s-a ansible_host=10.0.0.1 {LOCAL}"], ["10.0.0.2,k8s-a,k8s"])
    inventory = parse(fleet.inventory.read_text())
    entries, _ = queue.parse(fleet.queue.read_text())
    good, found = playable.playable(entries, inventory, fleet.playbooks, "q")
    assert [entry.host for entry in good] == ["k8s-a"]
    assert "10.0.0.1 in the inventory, which is used" in found[0].text()
    assert fleet.run() == 0
    assert fleet.queue.read_text() == ""


def test_a_machine_that_the_inventory_lacks_is_an_error(fleet, capfd, monkeypatch):
    """Its request is open, and a green run would say that all was done."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.2,k8s-b,k8s", "10.0.0.3,k8s-c"])
    assert fleet.run() == 1
    assert "new_hosts.txt:1: k8s-b waits for k8s.yml but is not in the inventory" in capfd.readouterr().err
    assert fleet.queue.read_text() == "10.0.0.2,k8s-b,k8s\n10.0.0.3,k8s-c\n"


@pytest.mark.parametrize(
    ("playbook", "hosts", "said"),
    [
        ("../x", "k8s-a", "playbook '../x' does not exist"),
        ("none", "k8s-a", "there are: base, haproxy, k8s"),
        ("k8s", "k8s-b", "k8s-b is not in the inventory"),
        ("k8s", "all", "'all' is not a machine's name"),
        ("k8s", "localhost", "'localhost' is not a machine's name"),
        ("k8s", "*", "'*' is not a machine's name"),
        ("k8s", "k8s-a,!k8s-a", "'!k8s-a' is not a machine's name"),
        ("k8s", "@/etc/passwd", "not a machine's name"),
        ("k8s", "ungrouped", "'ungrouped' is not a machine's name"),
        ("k8s", "top", "top is also the name of a group"),
        ("k8s", ",", ""),
    ],
)
def test_by_hand_refuses(fleet, capfd, playbook, hosts, said):
    fleet.write([f"k8s-a {LOCAL}", f"top {LOCAL}", "[k3s]", "k8s-a", "[top:children]", "k3s"], [])
    assert fleet.run("--playbook", playbook, "--hosts", hosts) == 2
    assert said in capfd.readouterr().err
    assert not fleet.played()


def test_on_a_runner_what_machines_print_commands_nothing(fleet, capfd, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    forged = "::error file=a::b\\n::stop-commands::x\\n##[group]y"
    task = f'    - {{ansible.builtin.debug: {{msg: "{forged}"}}}}\n'
    (fleet.playbooks / "k8s.yml").write_text(f'- hosts: "{{{{ target_hosts }}}}"\n  tasks:\n{task}')
    (fleet.folder / "ansible.cfg").write_text("[defaults]\nresult_format = yaml\ngathering = explicit\n")
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.1,k8s-a,k8s", "10.0.0.1,k8s-a,base"])
    assert fleet.run() == 0
    out = capfd.readouterr().out
    pairs = re.findall(r"^::stop-commands::([0-9a-f]{32})\n(.*?)^::\1::\n", out, re.M | re.S)
    assert len({token for token, _ in pairs}) == 2
    inside = "".join(text for _, text in pairs)
    assert inside.count("::error file=a") == out.count("::error file=a") > 0
    assert inside.count("##[group]y") == out.count("##[group]y") > 0
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert fleet.run("--playbook=k8s", "--hosts=k8s-a") == 0
    assert "::stop-commands::0" not in capfd.readouterr().out.replace(forged, "")


def test_the_locale_decides_nothing(fleet):
    text = PLAYBOOK.replace("NAME", "k8s").replace(
        "ansible.builtin.copy:", "ansible.builtin.copy: # três \u2013 é", 1
    )
    (fleet.playbooks / "k8s.yml").write_text(
        text.replace("    - ansible", "    - name: três \u2013\n      ansible", 1), encoding="utf-8"
    )
    fleet.write([f"k8s-a {LOCAL} # são \u2013"], ["10.0.0.1,k8s-a,k8s"])
    python = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *fleet.arguments()], env=os.environ | python, capture_output=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    assert fleet.played() == {"k8s-a.k8s"} and "três \u2013".encode() in done.stdout


VM = 'name: {}\nipconfig0: "ip={}/24,gw=10.0.0.254"\n'


def test_a_line_by_hand_at_another_address_than_the_vm_file_is_not_played(fleet, capfd, monkeypatch):
    """Else the play for one machine runs on another; this run has no outputs of Terraform to compare with."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (fleet.folder / "vms").mkdir()
    addresses = {"k8s-a": "10.0.0.2", "k8s-b": "10.0.0.2", "k8s-c": "10.0.0.9", "k8s-home": "10.0.0.9"}
    for name, address in addresses.items():
        (fleet.folder / f"vms/{name}.yaml").write_text(VM.format(name, address))
    lines = [f"{name} ansible_host=10.0.0.{number} {LOCAL}" for number, name in enumerate(addresses, 1)]
    lines[2] += " # terraform"  # the inventory's step looks after this one
    fleet.write(lines, [f"10.0.0.1,{name},k8s" for name in addresses])
    assert fleet.run() == 1
    assert "k8s.ini:1: k8s-a is at 10.0.0.1 by hand, but at 10.0.0.2 in" in capfd.readouterr().err
    assert fleet.played() == {"k8s-b.k8s", "k8s-c.k8s", "k8s-home.k8s"}
    assert fleet.queue.read_text() == "10.0.0.1,k8s-a,k8s\n"
    assert fleet.run("--playbook=k8s", "--hosts=k8s-a") == 1


def test_by_hand_leaves_the_queue_alone(fleet):
    fleet.write([f"k8s-a {LOCAL}", f"k8s-b {LOCAL}"], ["10.0.0.1,k8s-a,k8s"])
    before = fleet.queue.read_text()
    assert fleet.run("--playbook", "k8s", "--hosts", "k8s-a") == 0
    assert fleet.played() == {"k8s-a.k8s"}
    assert fleet.queue.read_text() == before
    with pytest.raises(SystemExit) as ended:
        fleet.run("--playbook", "k8s")
    assert ended.value.code == 2


def test_load_balancers_are_played_before_clusters(fleet, capfd):
    hosts = [f"{name} {LOCAL}" for name in ("k8s-a", "haproxy-a", "db")]
    fleet.write(hosts, ["10.0.0.4,db,base", "10.0.0.1,k8s-a,k8s", "10.0.0.2,haproxy-a,haproxy"])
    assert fleet.run() == 0
    started = re.findall(r"^(\w+): waiting for", capfd.readouterr().out, re.MULTILINE)
    assert started == ["base", "haproxy", "k8s"]


def test_by_hand_a_group_stands_for_its_managed_machines(fleet, capfd):
    (fleet.folder / "vms").mkdir()
    (fleet.folder / "vms/k8s-off.yaml").write_text(text("k8s-off", vm_state="stopped"))
    (fleet.folder / "vms/k8s-win.yaml").write_text(text("k8s-win", ostype="win11"))
    lines = [f"{name} {LOCAL}  # terraform" for name in ("k8s-a", "k8s-b", "k8s-off", "k8s-win", "k8s-home")]
    lines.append(f"k8s-hand {LOCAL}")
    fleet.write([*lines, "[k3s]", "k8s-[a:b]", "k8s-off", "k8s-win", "k8s-home", "k8s-hand"], [])
    assert fleet.run("--playbook", "k8s", "--hosts", "k3s,k8s-a") == 0
    assert fleet.played() == {"k8s-a.k8s", "k8s-b.k8s"}
    for file in fleet.folder.glob("*.k8s"):
        file.unlink()
    members = ["[k3s]", "k8s-a", "[k3s:children]", "k3s_workers", "[k3s_workers]", "k8s-b", "k8s-hand"]
    fleet.write([*lines, *members], [])
    assert fleet.run("--playbook", "k8s", "--hosts", "k3s") == 0
    assert fleet.played() == {"k8s-a.k8s", "k8s-b.k8s"}
    for group in (["[k3s]"], ["[k3s]", "k8s-hand"], []):
        capfd.readouterr()
        fleet.write([*lines, *group], [])
        assert fleet.run("--playbook", "k8s", "--hosts", "k3s") == 0
        assert "k3s has no managed machine that is meant to run" in capfd.readouterr().out


@pytest.mark.parametrize("mark", ["# terraform", ""])
@pytest.mark.parametrize("options", [(), ("--playbook", "base", "--hosts", "k8s-win,k8s-bare,k8s-a")])
def test_no_play_runs_on_another_system_or_without_cloud_init(fleet, capfd, monkeypatch, mark, options):
    """Whoever wrote the line and the queue: the machine was not made for it."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (fleet.folder / "vms").mkdir()
    (fleet.folder / "vms/k8s-win.yaml").write_text(text("k8s-win", ostype="win11"))
    (fleet.folder / "vms/k8s-bare.yaml").write_text(text("k8s-bare", cloudinit="none"))
    lines = [f"{name} ansible_host=192.168.1.20 {LOCAL} {mark}" for name in ("k8s-win", "k8s-bare", "k8s-a")]
    waiting = [f"192.168.1.20,{name},base" for name in ("k8s-win", "k8s-bare", "k8s-a")]
    fleet.write(lines, waiting)
    assert fleet.run(*options) == 1
    assert fleet.played() == {"k8s-a.base"}
    said = capfd.readouterr().err
    assert "vms/k8s-win.yaml:9:1: ostype: k8s-win is made and kept, but no play runs on it" in said
    assert "vms/k8s-bare.yaml:9:1: cloudinit: k8s-bare is made and kept, but no play runs on it" in said
    assert fleet.queue.read_text().splitlines() == (waiting if options else waiting[:2])


def test_a_machine_named_like_its_group_is_played_alone(fleet):
    fleet.write(
        [f"haproxy {LOCAL}", f"haproxy-b {LOCAL}", "[haproxy]", "haproxy", "haproxy-b"], ["h,haproxy,haproxy"]
    )
    assert fleet.run() == 0
    assert fleet.played() == {"haproxy.haproxy"}


def test_a_machine_out_of_reach_stays_queued(fleet, tmp_path, capfd):
    with servers(tmp_path / "machines", 2) as (first, gone):
        lines = [f"k8s-a {first.variables()}", f"k8s-b {gone.variables()}"]
        gone.stop()
        fleet.write(
            [f"{line} ansible_python_interpreter={sys.executable}" for line in lines],
            ["127.0.0.1,k8s-b,k8s", "127.0.0.1,k8s-a,k8s"],
        )
        assert fleet.run("--timeout", "2") == 1
    assert fleet.played() == {"k8s-a.k8s"}
    assert fleet.queue.read_text() == "127.0.0.1,k8s-b,k8s\n"
    assert "k8s-b, k8s.yml: SSH at [127.0.0.1]" in capfd.readouterr().err


PLAYS = {
    # Fails on one host for all: nobody may be taken for done.
    "fatal": "any_errors_fatal: true",
    "percentage": "max_fail_percentage: 10",
    "one": "serial: 1",
    "once": "vars: {once: true}",
}


@pytest.mark.parametrize("kind", PLAYS)
def test_hosts_of_a_play_that_ended_early_are_not_done(fleet, kind):
    text = (fleet.playbooks / "k8s.yml").read_text()
    (fleet.playbooks / "k8s.yml").write_text(text.replace("gather_facts", f"{PLAYS[kind]}\n  gather_facts"))
    waiting = ["10.0.0.1,k8s-a,k8s", "10.0.0.2,k8s-b,k8s"]
    fleet.write([f"k8s-{name} {LOCAL}" for name in "ab"], waiting, broken="k8s-a")
    assert fleet.run() == 1
    assert fleet.queue.read_text().splitlines() == waiting


def test_hosts_that_a_later_play_did_not_reach_are_not_done(fleet):
    """Each was fine in the first play; a batch that fails whole ends the playbook for those that follow."""
    text = (fleet.playbooks / "k8s.yml").read_text()
    first = "- hosts: '{{ target_hosts }}'\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n"
    serial = text.replace("gather_facts", "serial: 1\n  gather_facts")
    (fleet.playbooks / "k8s.yml").write_text(first + serial + first)
    waiting = ["10.0.0.1,k8s-a,k8s", "10.0.0.2,k8s-b,k8s"]
    fleet.write([f"k8s-{name} {LOCAL}" for name in "ab"], waiting, broken="k8s-a")
    assert fleet.run() == 1
    assert fleet.queue.read_text().splitlines() == waiting


@pytest.mark.parametrize(
    "text",
    [
        "- hosts: [",  # not YAML
        "- hosts: nobody\n  tasks: []\n",  # runs on none of them
        "- hosts: all\n  tasks:\n    - no.such.module:\n",
    ],
)
def test_a_playbook_that_does_not_run_leaves_all_queued(fleet, text):
    (fleet.playbooks / "k8s.yml").write_text(text)
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.1,k8s-a,k8s"])
    assert fleet.run() == 1
    assert fleet.queue.read_text() == "10.0.0.1,k8s-a,k8s\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- hosts: all\n", "k8s.yml:1:10: hosts: all reaches every machine of the inventory"),
        ('- hosts: "{{ target_hosts | default(\'all\') }}"\n', "reaches other machines where target_hosts is missing"),
        ("# caf\xe9\n" + PLAYBOOK, "k8s.yml:1: is not valid UTF-8; save the file as UTF-8"),
        ("# needs: vault\n" + PLAYBOOK, "needs vault, and this run does not have it: the address of Vault is missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [(), ("--playbook=k8s", "--hosts=k8s-a")])
def test_a_playbook_that_is_refused_leaves_the_others(fleet, capfd, monkeypatch, text, said, options):
    """Before anybody waits for a machine."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    (fleet.playbooks / "k8s.yml").write_text(text, "latin-1")
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.1,k8s-a,k8s", "10.0.0.1,k8s-a,base"])
    assert fleet.run(*options) == 1
    streams = capfd.readouterr()
    assert said in streams.err and "k8s: waiting" not in streams.out
    assert re.search(r"^k8s-a +k8s +not started", streams.out, re.M)
    assert fleet.played() == (set() if options else {"k8s-a.base"})
    assert fleet.queue.read_text().splitlines()[0] == "10.0.0.1,k8s-a,k8s"


def test_a_broken_inventory_stops_before_any_play(fleet, capfd):
    fleet.write([f"k8s-a {LOCAL}", "k8s-a"], ["10.0.0.1,k8s-a,k8s"])
    assert fleet.run() == 1
    assert "k8s.ini:2: k8s-a is listed twice, first on line 1" in capfd.readouterr().err
    assert not fleet.played()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_ansible_and_what_it_started(fleet, signum):
    marker = str(600 + os.getpid() % 1000 + signum / 100)
    fleet.write(
        [f"k8s-{name} {LOCAL}" for name in "ab"], ["10.0.0.1,k8s-a,k8s", "10.0.0.2,k8s-b,k8s"], pause=marker
    )
    run = subprocess.Popen(
        [sys.executable, SCRIPT, *fleet.arguments()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: sleeping(marker))
    run.send_signal(signum)
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 128 + signum, out
    wait_for(lambda: not sleeping(marker))
    assert len(fleet.queue.read_text().splitlines()) == 2
    assert "stopped" in out


def test_a_killed_run_leaves_no_play_behind(fleet):
    marker = str(2600 + os.getpid() % 1000)
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.1,k8s-a,k8s"], pause=marker)
    run = subprocess.Popen(
        [sys.executable, SCRIPT, *fleet.arguments()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: sleeping(marker))
    run.kill()
    run.wait()
    wait_for(lambda: not sleeping(marker))


def sleeping(marker: str) -> bool:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().split(b"\0"))
        except OSError:
            continue
    return [b"sleep", marker.encode(), b""] in found


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_more_hosts_than_an_argument_holds(fleet, monkeypatch):
    monkeypatch.setattr(play, "_ARGUMENT", 10)
    fleet.write(
        [f"k8s-machine{number} {LOCAL}" for number in (1, 2, 3)], ["a,k8s-machine1,k8s", "b,k8s-machine2,k8s"]
    )
    assert fleet.run() == 0
    assert fleet.played() == {"k8s-machine1.k8s", "k8s-machine2.k8s"}


def test_the_callback_without_a_file_writes_nothing(fleet):
    fleet.write([f"k8s-a {LOCAL}"], [])
    environment = os.environ | {"ANSIBLE_CALLBACK_PLUGINS": str(play.CALLBACKS)}
    environment.pop("FLEET_RESULTS", None)
    command = [
        Path(sys.executable).parent / "ansible-playbook",
        fleet.playbooks / "k8s.yml",
        "-i",
        fleet.inventory,
    ]
    done = subprocess.run(
        [*command, "-e", "target_hosts=k8s-a"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", folder, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_publishes_each_playbook_on_top_of_what_others_pushed(fleet, tmp_path, monkeypatch):
    """The queue that is changed is the pushed one, by content, in a commit per playbook."""
    origin, work, other = tmp_path / "origin.git", tmp_path / "work", tmp_path / "other"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    git(tmp_path, "init", "-q", "-b", "main", str(work))
    git(work, "remote", "add", "origin", str(origin))
    fleet.write([f"k8s-{name} {LOCAL}" for name in "abc"], ["10.0.0.1,k8s-a,k8s", "10.0.0.2,k8s-b,base"])
    (work / "proxmox").mkdir()
    for name in ("k8s.ini", "new_hosts.txt"):
        (fleet.folder / name).rename(work / "proxmox" / name)
    fleet.inventory, fleet.queue = work / "proxmox/k8s.ini", work / "proxmox/new_hosts.txt"
    me = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git(work, "add", ".")
    git(work, *me, "commit", "-qm", "start")
    git(work, "push", "-q", "origin", "main")
    git(tmp_path, "clone", "-q", str(origin), str(other))
    text = (other / "proxmox/new_hosts.txt").read_text()
    (other / "proxmox/new_hosts.txt").write_text("# hello\n" + text + "10.0.0.3,k8s-c,base\n")
    git(other, *me, "commit", "-qam", "another queued")
    git(other, "push", "-q", "origin", "main")
    monkeypatch.setattr(steps, "ROOT", work)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    arguments = [argument for argument in fleet.arguments() if argument != "--no-publish"]
    assert run_plays.main(arguments) == 0
    assert fleet.played() == {"k8s-a.k8s", "k8s-b.base", "k8s-c.base"}
    assert git(origin, "show", "main:proxmox/new_hosts.txt") == "# hello"
    assert git(origin, "log", "--format=%s", "main").splitlines() == [
        "Drain the Ansible queue: k8s-b (base), k8s-c (base)",
        "Drain the Ansible queue: k8s-a (k8s)",
        "another queued",
        "start",
    ]


ME = ["-c", "user.name=t", "-c", "user.email=t@example.org"]


@pytest.fixture
def runner(fleet, tmp_path, monkeypatch):
    """A function that runs the queue in a fresh clone, as a runner does that is made anew for each job."""
    origin, count = tmp_path / "origin.git", iter(range(9))
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    def commit(message, files):
        work = tmp_path / f"work{next(count)}"
        git(tmp_path, "clone", "-q", str(origin), str(work))
        (work / "proxmox").mkdir(exist_ok=True)
        for name, content in files.items():
            (work / "proxmox" / name).write_text(content)
        git(work, "add", ".")
        git(work, *ME, "commit", "-qm", message)
        git(work, "push", "-q", "origin", "HEAD:main")

    def run(*options, **files):
        commit(
            "queue",
            {name.replace("_ini", ".ini").replace("_txt", ".txt"): text for name, text in files.items()},
        )
        work = tmp_path / f"work{next(count)}"
        git(tmp_path, "clone", "-q", str(origin), str(work))
        monkeypatch.setattr(steps, "ROOT", work)
        places = [f"--inventory={work}/proxmox/k8s.ini", f"--queue={work}/proxmox/new_hosts.txt"]
        code = run_plays.main([*places, f"--playbooks-dir={fleet.playbooks}", "--timeout=5", *options])
        return (
            code,
            git(origin, "show", "main:proxmox/known_hosts"),
            git(origin, "log", "-1", "--format=%s", "main"),
        )

    run.commit = commit
    return run


def test_the_record_of_host_keys_outlives_its_runner(fleet, runner, tmp_path, capfd):
    """Learned with the first play, published with the queue, and compared by a runner that knows nothing else."""
    with servers(tmp_path / "machines", 1) as (machine,):
        line = (
            f"k8s-a {machine.variables()} ansible_python_interpreter={sys.executable} # terraform instance="
        )
        place, waiting = f"[127.0.0.1]:{machine.port} ssh-ed25519", "127.0.0.1,k8s-a,k8s\n"
        inventory = f"{line}i1\n[all:vars]\nout={fleet.folder}\nbroken="
        # A play that fails: the machine stays queued, and its key is known from then on.
        code, keys, subject = runner(
            k8s_ini=f"{inventory}k8s-a\n", new_hosts_txt=waiting, known_hosts="# ours\n"
        )
        first = machine.host_key
        assert (code, subject) == (1, "Record the host keys of k8s-a")
        assert keys == f"# ours\n{place} {first} k8s-a instance=i1"
        code, again, subject = runner(k8s_ini=f"{inventory}\n", new_hosts_txt=waiting)
        assert (code, again, subject) == (0, keys, "Drain the Ansible queue: k8s-a (k8s)")
        # Another key though the machine is the same instance.
        machine.stop()
        machine.new_host_keys()
        machine.start()
        code, again, subject = runner(k8s_ini=f"{inventory}x\n", new_hosts_txt=waiting)
        assert (code, again, subject) == (1, keys, "queue")
        told = capfd.readouterr().err
        for said in ("host keys of k8s-a at", *map(known_hosts.fingerprint, (first, machine.host_key))):
            assert said in told
        # A new instance, by hand: nothing but the record changes.
        text = f"{inventory}\n".replace("=i1", "=i2")
        code, again, subject = runner("--playbook=k8s", "--hosts=k8s-a", k8s_ini=text, new_hosts_txt=waiting)
        assert (code, subject) == (0, "Record the host keys of k8s-a")
        assert again == f"# ours\n{place} {machine.host_key} k8s-a instance=i2"


def test_what_another_run_recorded_meanwhile_stays(fleet, runner, tmp_path, monkeypatch):
    with servers(tmp_path / "machines", 1) as (machine,):
        line = (
            f"k8s-a {machine.variables()} ansible_python_interpreter={sys.executable} # terraform instance=i1"
        )
        others = "# ours\n10.0.0.7 ssh-ed25519 AAAA k8s-b instance=b1\n"
        real = play.run

        def run(*args):
            runner.commit("another run", {"known_hosts": others})
            return real(*args)

        monkeypatch.setattr(play, "run", run)
        code, keys, subject = runner(
            k8s_ini=f"{line}\n[all:vars]\nout={fleet.folder}\n", new_hosts_txt="127.0.0.1,k8s-a,k8s\n"
        )
    assert (code, subject) == (0, "Drain the Ansible queue: k8s-a (k8s)")
    assert keys == f"{others}[127.0.0.1]:{machine.port} ssh-ed25519 {machine.host_key} k8s-a instance=i1"


def test_what_cannot_be_pushed_stays_queued_and_is_said(fleet, tmp_path, monkeypatch, capfd):
    fleet.write([f"k8s-a {LOCAL}"], ["10.0.0.1,k8s-a,k8s"])
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    arguments = [argument for argument in fleet.arguments() if argument != "--no-publish"]
    assert run_plays.main(arguments) == 1
    assert "k8s-a: played but still queued" in capfd.readouterr().err
    assert fleet.queue.read_text() == "10.0.0.1,k8s-a,k8s\n"
