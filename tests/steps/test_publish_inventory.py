"""Publishing inventory, queue and mark: a real origin, a checkout with the project's own empty inventory."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import extract_ansible_tag
import publish_inventory
from fleet.ansible import assign as assignment
from fleet.clusters import shared_kubeconfig
from fleet.findings import Fault
from fleet.git import publish
from fleet.git.checkout import bring_to_head
from fleet.git.command import SERVED
from fleet.members import tokens

ROOT = Path(__file__).resolve().parents[2]
VM = """name: {name}
target_node: node01
cores: 2
memory: 4096
clone: ubuntu24-template
ipconfig0: "ip={address}/24,gw=192.168.1.1"
ciuser: suporte
disks:
  scsi0: {{size: 20G, storage: local-lvm}}
"""
ADDRESSES = {"k8s-dev": "192.168.1.20", "haproxy-dev": "192.168.1.30", "web-dev": "192.168.1.40"}
MEMBERS = {
    "talos-prod-cp1": "192.168.1.51",
    "talos-prod-cp2": "192.168.1.54",
    "talos-prod-w1": "192.168.1.52",
    "k8s-ha-cp1": "192.168.1.53",
}
TAGS = "[ansible k8s-dev] [ansible haproxy]"
SUBJECT = f"feat(proxmox): add machines {TAGS}"


def removed(name: str, cluster: str | None) -> shared_kubeconfig.Result:
    return shared_kubeconfig.Result(True, 2, name, cluster, [])


class Fleet:
    def __init__(self, folder: Path):
        self.folder, self.origin, self.checkout = folder, folder / "origin.git", folder / "checkout"
        for words in (["init", "--bare", "--initial-branch=main"], ["clone", str(self.origin)]):
            target = str(self.checkout if words[0] == "clone" else self.origin)
            subprocess.run(["git", *words, "--quiet", target], check=True, capture_output=True)
        self.git("checkout", "--quiet", "-B", "main")
        self.write(".gitignore", (ROOT / ".gitignore").read_text())
        for name in ("k8s.ini", "new_hosts.txt"):
            self.write(f"proxmox/{name}", (ROOT / "proxmox" / name).read_text())
        for playbook in ("k8s", "haproxy", "extra"):
            self.write(f"proxmox/playbooks/{playbook}.yml", "[]\n")
        self.commit("first")
        self.git("push", "--quiet", "origin", "HEAD:refs/gitops/served")
        bring_to_head(self.checkout)

    def git(self, *args):
        done = subprocess.run(["git", *args], cwd=self.checkout, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, path, text):
        (self.checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (self.checkout / path).write_text(text)

    def vm(self, *names):
        for name in names:
            self.write(f"proxmox/vms/{name}.yaml", VM.format(name=name, address=(ADDRESSES | MEMBERS)[name]))

    def commit(self, message):
        self.git("add", "--all")
        self.git(
            "-c", "user.name=p", "-c", "user.email=p@x", "commit", "--quiet", "--allow-empty", "-m", message
        )
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def asked(self, capsys):
        """The open requests, as the step before publish_inventory.py reads them."""
        capsys.readouterr()
        assert extract_ansible_tag.main(["--format", "json", "--repo", str(self.checkout)]) == 0
        path = self.folder / "requests.json"
        path.write_text(capsys.readouterr().out)
        return path

    def outputs(self, *names):
        fixed = {"user": "suporte", "mac": "BC:24:11:00:00:01", "instance": "0123456789ab", "mounts": {}}
        machines = {name: {"address": (ADDRESSES | MEMBERS)[name], **fixed} for name in names}
        path = self.folder / "outputs.json"
        path.write_text(json.dumps({"ansible_inventory": {"value": machines}}))
        return path

    def publish(self, capsys, *names, asked=None, applied=False):
        """Publish Terraform's outputs of these machines; with none and not `applied`, without outputs."""
        asked = asked or self.asked(capsys)
        outputs = ["--outputs", str(self.outputs(*names))] if names or applied else []
        return publish_inventory.main(["--requests", str(asked), "--repo", str(self.checkout), *outputs])

    def head(self):
        return self.git("ls-remote", "origin", "refs/heads/main").split()[0]

    def served(self):
        return self.git("ls-remote", "origin", SERVED).split()[0]

    def queue(self):
        lines = self.git("show", f"{self.head()}:proxmox/new_hosts.txt").splitlines()
        return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(publish.time, "sleep", lambda _seconds: None)
    return Fleet(tmp_path)


def test_new_machines_and_their_requests(fleet, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    fleet.vm("k8s-dev", "haproxy-dev", "web-dev")
    asked = fleet.commit(SUBJECT)
    assert fleet.publish(capsys, *ADDRESSES) == 0
    assert fleet.git("log", "-1", "--format=%s") == f"Auto-update Ansible inventory {TAGS}"
    assert fleet.queue() == [
        "192.168.1.30,haproxy-dev,haproxy",
        "192.168.1.20,k8s-dev,k8s",
        "192.168.1.40,web-dev",
    ]
    assert "k8s-dev ansible_host=192.168.1.20 ansible_user=suporte" in fleet.git(
        "show", "HEAD:proxmox/k8s.ini"
    )
    assert fleet.served() == asked
    assert fleet.git("status", "--porcelain", "--untracked-files=no") == ""
    assert "Inventory: " in (tmp_path / "summary").read_text()
    # Again; no requests are open and nothing changes.
    head = fleet.head()
    assert fleet.publish(capsys, *ADDRESSES) == 0
    assert fleet.head() == head


def test_without_requests_only_the_mark_moves(fleet, capsys):
    fleet.vm("web-dev")
    head = fleet.commit("docs: nothing asked")
    assert fleet.publish(capsys, "web-dev") == 0  # with Terraform: all up to here is applied
    assert fleet.git("log", "-1", "--format=%s") == "Auto-update Ansible inventory"
    assert fleet.served() == head
    again = fleet.commit("docs: more")
    assert fleet.publish(capsys, "web-dev") == 0
    assert (fleet.head(), fleet.served()) == (again, again)


def test_a_request_for_a_machine_that_could_not_be_made_is_not_lost(fleet, capsys):
    fleet.vm("k8s-dev", "haproxy-dev", "web-dev")
    fleet.commit(SUBJECT)
    assert fleet.publish(capsys, "web-dev") == 0  # Terraform made one of three
    wanted = {"192.168.1.40,web-dev", "192.168.1.20,k8s-dev,k8s", "192.168.1.30,haproxy-dev,haproxy"}
    assert set(fleet.queue()) == wanted
    assert fleet.publish(capsys, *ADDRESSES) == 0
    assert set(fleet.queue()) == wanted


def test_a_request_for_a_machine_whose_address_is_not_known_yet_is_not_lost(fleet, capsys, monkeypatch):
    for name in ("k8s-dev", "haproxy-dev", "k8s-other"):
        fleet.write(
            f"proxmox/vms/{name}.yaml",
            VM.format(name=name, address="x").replace("ip=x/24,gw=192.168.1.1", "ip=dhcp"),
        )
    fleet.vm("web-dev")
    head = fleet.commit(SUBJECT)
    monkeypatch.setitem(ADDRESSES, "k8s-dev", None)
    monkeypatch.setitem(ADDRESSES, "haproxy-dev", None)
    assert fleet.publish(capsys, *ADDRESSES) == 0  # k8s-other was not even made
    assert set(fleet.queue()) == {
        "192.168.1.40,web-dev",
        "k8s-dev,k8s-dev,k8s",
        "haproxy-dev,haproxy-dev,haproxy",
    }
    assert fleet.git("merge-base", head, fleet.served()) == head
    inventory = fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")
    assert "web-dev ansible_host" in inventory and "k8s-dev" not in inventory
    monkeypatch.setitem(ADDRESSES, "k8s-dev", "192.168.1.60")
    assert fleet.publish(capsys, *ADDRESSES) == 0
    wanted = {"192.168.1.40,web-dev", "192.168.1.60,k8s-dev,k8s", "haproxy-dev,haproxy-dev,haproxy"}
    assert set(fleet.queue()) == wanted
    assert "k8s-dev ansible_host=192.168.1.60" in fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")


@pytest.mark.parametrize(
    "line", ["ostype: win11\n", "cloudinit: none\n", ""]
)  # "": it was taken over with it
def test_a_machine_on_which_no_play_runs_is_not_queued(fleet, capsys, line):
    text = VM.format(name="haproxy-win", address="192.168.1.90") + line
    fleet.write("proxmox/vms/haproxy-win.yaml", text)
    fleet.vm("haproxy-dev")
    fleet.commit(SUBJECT.replace("[ansible k8s-dev] ", ""))
    asked, made = fleet.asked(capsys), fleet.outputs("haproxy-dev")
    printed = json.loads(made.read_text())
    machines = printed["ansible_inventory"]["value"]
    machines["haproxy-win"] = machines["haproxy-dev"] | {"address": "192.168.1.90", "plays": False}
    made.write_text(json.dumps(printed))
    arguments = ["--requests", str(asked), "--repo", str(fleet.checkout), "--outputs", str(made)]
    assert publish_inventory.main(arguments) == 0
    assert fleet.queue() == ["192.168.1.30,haproxy-dev,haproxy"]


def test_a_request_that_another_run_has_served_is_not_served_again(fleet, capsys):
    fleet.vm("k8s-dev")
    fleet.commit("feat: add [ansible k8s-dev]")
    stale = fleet.folder / "stale.json"
    stale.write_text(fleet.asked(capsys).read_text())
    assert fleet.publish(capsys, "k8s-dev") == 0
    fleet.write("proxmox/new_hosts.txt", "")
    fleet.commit("Drain the Ansible queue: k8s-dev (k8s)")
    head = fleet.head()
    assert fleet.publish(capsys, "k8s-dev", asked=stale) == 0
    assert (fleet.head(), fleet.queue()) == (head, [])


def test_someone_pushes_in_between(fleet, capsys, monkeypatch):
    fleet.vm("k8s-dev")
    fleet.commit("feat: add [ansible k8s-dev]")
    asked = fleet.asked(capsys)
    other = fleet.folder / "other"
    subprocess.run(["git", "clone", "--quiet", str(fleet.origin), str(other)], check=True)
    real, pushed = assignment.assign, []

    def assign(*args):
        if not pushed:
            pushed.append(1)
            (other / "README.md").write_text("somebody's\n")
            identity = ["-c", "user.name=o", "-c", "user.email=o@x"]
            for words in (["add", "."], [*identity, "commit", "-qm", "docs: o"], ["push", "-q"]):
                subprocess.run(["git", "-C", str(other), *words], check=True)
        return real(*args)

    monkeypatch.setattr(assignment, "assign", assign)
    assert fleet.publish(capsys, "k8s-dev", asked=asked) == 0
    assert fleet.git("log", "-2", "--format=%s").split("\n") == [
        "Auto-update Ansible inventory [ansible k8s-dev]", "docs: o",
    ]  # fmt: skip
    assert fleet.queue() == ["192.168.1.20,k8s-dev,k8s"]


@pytest.mark.parametrize("away", [True, False])
def test_a_removed_cluster_leaves_vault_before_its_line_goes(fleet, capsys, monkeypatch, away):
    fleet.vm("k8s-dev", "web-dev")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "k8s-dev", "web-dev") == 0
    (fleet.checkout / "proxmox/vms/k8s-dev.yaml").unlink()
    fleet.commit("feat: remove [destroy k8s-dev]")
    calls = []

    def remove(name):
        calls.append(name)
        if away:
            raise Fault("Vault is sealed", code=2)
        return shared_kubeconfig.Result(True, 2, name, "cozy-haven", [])

    monkeypatch.setattr(shared_kubeconfig, "remove", remove)
    monkeypatch.setenv("GITHUB_OUTPUT", str(fleet.folder / "output"))
    assert fleet.publish(capsys, "web-dev") == int(away)
    assert (fleet.folder / "output").read_text() == "published=true\n"  # Ansible goes on in either case
    assert calls == ["k8s-dev"]
    text = fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")
    assert ("k8s-dev ansible_host" in text) is away
    assert ("context k8s-dev could not be removed from Vault" in capsys.readouterr().err) is away
    if away:  # the next run makes it good
        away = False
        assert fleet.publish(capsys, "web-dev") == 0
        assert "k8s-dev ansible_host" not in fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")


@pytest.mark.parametrize("approved", [True, False])
def test_a_machine_whose_file_is_there_leaves_only_when_that_is_approved(fleet, capsys, approved):
    """Whatever the outputs lost it for, its request is still open; everything else is published."""
    fleet.vm("haproxy-dev", "web-dev")
    fleet.commit("feat: add [ansible haproxy]")
    fleet.write("proxmox/known_hosts", "192.168.1.30 ssh-ed25519 AAAA haproxy-dev instance=a1\n")
    assert fleet.publish(capsys, "haproxy-dev", "web-dev") == 0
    fleet.vm("k8s-dev")
    fleet.commit(f"feat: another{' [destroy haproxy-dev]' if approved else ''}")
    assert fleet.publish(capsys, "web-dev", "k8s-dev") == int(not approved)
    assert ("haproxy-dev has a file in vms/ but is not in" in capsys.readouterr().err) is not approved
    assert ("192.168.1.30,haproxy-dev,haproxy" in fleet.queue()) is not approved
    text = fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")
    assert ("haproxy-dev ansible_host" in text) is not approved and "k8s-dev ansible_host" in text


def test_a_removed_machine_takes_its_host_keys_along(fleet, capsys):
    fleet.vm("haproxy-dev", "web-dev")
    others = "# ours\n192.168.1.40 ssh-ed25519 AAAA web-dev instance=a1\n"
    fleet.write("proxmox/known_hosts", f"{others}192.168.1.30 ssh-ed25519 AAAB haproxy-dev instance=a1\n")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "haproxy-dev", "web-dev") == 0
    (fleet.checkout / "proxmox/vms/haproxy-dev.yaml").unlink()
    fleet.commit("feat: remove [destroy haproxy-dev]")
    assert fleet.publish(capsys, "web-dev") == 0
    assert fleet.git("show", f"{fleet.head()}:proxmox/known_hosts") == others.rstrip()


@pytest.fixture(autouse=True)
def retired(monkeypatch) -> list[str]:
    """The clusters whose tokens left Vault, without a Vault."""
    clusters: list[str] = []
    monkeypatch.setattr(tokens, "retire", lambda name: not clusters.append(name))
    return clusters


# Machines, those of them that leave, and the contexts that leave Vault with them.
LEAVING = [
    (["haproxy-dev"], ["haproxy-dev"], []),
    (["talos-prod-cp1", "talos-prod-w1"], ["talos-prod-w1"], ["talos-prod-w1"]),
    # The last control plane takes the context along, whatever workers are left.
    (["talos-prod-cp1", "talos-prod-w1"], ["talos-prod-cp1"], ["talos-prod-cp1", "talos-prod"]),
    (["talos-prod-cp1", "talos-prod-cp2"], ["talos-prod-cp1"], ["talos-prod-cp1"]),
    (["talos-prod-cp1"], ["talos-prod-cp1"], ["talos-prod-cp1", "talos-prod"]),
    (["talos-prod-cp1", "talos-prod-w1"], ["talos-prod-cp1", "talos-prod-w1"],
     ["talos-prod-cp1", "talos-prod", "talos-prod-w1"]),
    (["k8s-ha-cp1", "k8s-dev"], ["k8s-ha-cp1"], ["k8s-ha-cp1", "k8s-ha"]),
]  # fmt: skip


@pytest.mark.parametrize(("machines", "gone", "contexts"), LEAVING)
def test_the_context_of_a_cluster_leaves_vault_with_its_last_control_plane(
    fleet, capsys, monkeypatch, retired, machines, gone, contexts
):
    fleet.vm("web-dev", *machines)
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "web-dev", *machines) == 0
    fleet.commit("feat: remove " + " ".join(f"[destroy {name}]" for name in gone))
    calls = []
    monkeypatch.setattr(
        shared_kubeconfig,
        "remove",
        lambda name: calls.append(name) or removed(name, "cozy-haven"),
    )
    assert fleet.publish(capsys, "web-dev", *(name for name in machines if name not in gone)) == 0
    assert calls == contexts
    assert retired == [name for name in contexts if name in ("talos-prod", "k8s-ha")]


def test_a_control_plane_that_a_person_wrote_keeps_the_context_of_its_cluster(fleet, capsys, monkeypatch):
    fleet.vm("web-dev", "talos-prod-cp1")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "web-dev", "talos-prod-cp1") == 0
    path = fleet.checkout / "proxmox/k8s.ini"
    by_hand = "talos-prod-cp9 ansible_host=192.168.1.59\n"
    path.write_text(by_hand + path.read_text())
    fleet.commit("feat: by hand [destroy talos-prod-cp1]")
    calls = []
    monkeypatch.setattr(
        shared_kubeconfig,
        "remove",
        lambda name: calls.append(name) or removed(name, None),
    )
    assert fleet.publish(capsys, "web-dev") == 0
    assert calls == ["talos-prod-cp1"]
    assert "context talos-prod stays in Vault, talos-prod-cp9 uses it" in capsys.readouterr().out


@pytest.mark.parametrize("failing", ["talos-prod", "talos-prod-w1"])
def test_every_member_whose_context_is_still_in_vault_stays_in_the_inventory(
    fleet, capsys, monkeypatch, failing
):
    fleet.vm("web-dev", "talos-prod-cp1", "talos-prod-w1")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "web-dev", "talos-prod-cp1", "talos-prod-w1") == 0
    fleet.commit("feat: remove [destroy talos-prod-cp1] [destroy talos-prod-w1]")

    def remove(name):
        if name == failing:
            raise Fault("Vault is sealed", code=2)
        return shared_kubeconfig.Result(True, 2, name, "cozy-haven", [])

    monkeypatch.setattr(shared_kubeconfig, "remove", remove)
    assert fleet.publish(capsys, "web-dev") == 1
    text = fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")
    assert ("talos-prod-w1 ansible_host" in text) is (failing == "talos-prod-w1")
    assert ("talos-prod-cp1 ansible_host" in text) is (failing == "talos-prod")


@pytest.mark.parametrize("approved", [True, False])
def test_the_last_machine_leaves_only_when_its_removal_is_approved(fleet, capsys, approved):
    fleet.vm("web-dev")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "web-dev") == 0
    (fleet.checkout / "proxmox/vms/web-dev.yaml").unlink()
    fleet.commit(f"feat: remove{' [destroy web-dev]' if approved else ''}")
    assert fleet.publish(capsys, applied=True) == int(not approved)
    assert ("lost state" in capsys.readouterr().err) is not approved
    assert ("web-dev" in fleet.git("show", f"{fleet.head()}:proxmox/k8s.ini")) is not approved


def test_a_broken_inventory_is_refused_and_nothing_is_pushed(fleet, capsys):
    fleet.vm("k8s-dev")
    fleet.write("proxmox/k8s.ini", "[k3s:children]\nnowhere\n")
    head = fleet.commit("feat: add [ansible k8s-dev]")
    served = fleet.served()
    assert fleet.publish(capsys, "k8s-dev") == 1
    assert "k8s.ini:2: " in capsys.readouterr().err
    assert (fleet.head(), fleet.served()) == (head, served)


def test_a_line_by_hand_is_adopted_when_a_commit_says_so(fleet, capsys):
    """Else nothing is published, so that no play runs on the machine that has the other address."""
    fleet.vm("k8s-dev", "web-dev")
    fleet.write("proxmox/k8s.ini", "[k3s]\nk8s-dev ansible_host=192.168.1.40\n")
    head = fleet.commit("feat: add [ansible k8s-dev]")
    assert fleet.publish(capsys, "k8s-dev", "web-dev") == 1
    assert "proxmox/k8s.ini:2: k8s-dev has ansible_host=192.168.1.40 by hand" in capsys.readouterr().err
    assert fleet.head() == head
    asked = json.loads(fleet.asked(capsys).read_text())
    asked["requests"].append({"action": "adopt", "name": "k8s-dev", "commit": head, "changed": []})
    (fleet.folder / "adopt.json").write_text(json.dumps(asked))
    assert fleet.publish(capsys, "k8s-dev", "web-dev", asked=fleet.folder / "adopt.json") == 0
    assert "adopted: k8s-dev" in capsys.readouterr().out
    assert "k8s-dev ansible_host=192.168.1.20 ansible_user=suporte  # terraform" in fleet.git(
        "show", "HEAD:proxmox/k8s.ini"
    )


# --- without Terraform


def ready(fleet, capsys):
    """A machine that was provisioned long ago."""
    fleet.vm("k8s-dev", "web-dev")
    fleet.commit("feat: add")
    assert fleet.publish(capsys, "k8s-dev", "web-dev") == 0
    fleet.write("proxmox/new_hosts.txt", "")
    fleet.commit("Drain the Ansible queue: all")


@pytest.mark.parametrize(
    ("path", "message", "left"),
    [
        ("README.md", "feat: again [ansible k8s-dev]", None),
        ("proxmox/playbooks/k8s.yml", "feat: newer [ansible k8s-dev]", None),
        ("proxmox/known_hosts", "fix: another key [ansible k8s-dev]", None),
        (
            "proxmox/vms/haproxy-dev.yaml",
            "feat: add [ansible haproxy]",
            "proxmox/vms/haproxy-dev.yaml changed",
        ),
        ("proxmox/main.tf", "feat: other disks [ansible k8s-dev]", "proxmox/main.tf changed"),
        ("README.md", "feat: away [destroy web-dev] [ansible k8s-dev]", "[destroy web-dev] is open"),
        ("README.md", "feat: ours [adopt k8s-dev] [ansible k8s-dev]", "[adopt k8s-dev] is open"),
    ],
)
def test_without_outputs_only_what_needs_no_terraform(
    fleet, capsys, monkeypatch, tmp_path, path, message, left
):
    ready(fleet, capsys)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    fleet.write(path, "# changed\n")
    fleet.git("add", "--all")
    asked = fleet.commit(message)
    served = fleet.served()
    assert fleet.publish(capsys) == 0
    if left:
        assert f"left to terraform-apply: {left}" in capsys.readouterr().out
        assert (tmp_path / "output").read_text() == "left=true\n"
        assert (fleet.head(), fleet.served()) == (asked, served)
    else:
        assert fleet.queue() == ["192.168.1.20,k8s-dev,k8s"]
        assert fleet.served() == asked
        assert (tmp_path / "output").read_text() == "published=true\n"


def test_without_outputs_and_requests_nothing_is_pushed(fleet, capsys):
    ready(fleet, capsys)
    served = fleet.served()
    head = fleet.commit("docs: no tag")
    assert fleet.publish(capsys) == 0
    assert (fleet.head(), fleet.served()) == (head, served)


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json"])
def test_requests_that_are_none(fleet, capsys, tmp_path, text):
    (tmp_path / "requests.json").write_text(text)
    assert (
        publish_inventory.main(["--requests", str(tmp_path / "requests.json"), "--repo", str(fleet.checkout)])
        == 2
    )
    assert "is not what `extract_ansible_tag.py --format json` prints" in capsys.readouterr().err
