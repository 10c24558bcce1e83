"""Terraform's input from VM files: VMIDs, orphans, removed files, what has to be in Proxmox."""

import json
import subprocess
from pathlib import Path

import pytest

import generate_tfvars
from fleet.findings import Fault
from fleet.proxmox import ids as vmids
from fleet.proxmox import preflight
from fleet.proxmox.client import Guest, Refused
from fleet.terraform import state, tfvars
from fleet.vms.files import load_text

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f fleet"


def text(name: str, address: str = "192.168.1.20", **fields) -> str:
    lines = [
        f"name: {name}",
        "target_node: node01",
        "cores: 2",
        "memory: 2048",
        "clone: ubuntu24-template",
        f'ipconfig0: "ip={address}/24,gw=192.168.1.1"',
        "ciuser: suporte",
    ]
    fields.setdefault("disks", {"scsi0": {"size": "20G", "storage": "local-lvm"}})
    lines += [f"{field}: {json.dumps(value)}" for field, value in fields.items() if value is not None]
    return "\n".join(lines) + "\n"


def vm(name: str, **fields):
    found, findings = load_text(f"{name}.yaml", text(name, **fields))
    assert not findings
    return found


class Cluster:
    """What a Client answers, from tables: machines, and configurations by VMID."""

    def __init__(self, machines=(), configs=None, hidden=()):
        self.list, self.configs, self.hidden = list(machines), configs or {}, set(hidden)
        self.working = True

    def guests(self):
        return self.list

    def config(self, node, vmid):
        found = self.configs.get(vmid, {})
        return found.pop(0) if isinstance(found, list) else found

    def nodes(self):
        return {"node01": True, "node02": False}

    def storages(self, node):
        return {"local": {"content": "iso,backup"}, "local-lvm": {"content": "images,rootdir"}}

    def bridges(self, node):
        return {"vmbr0"}

    def is_working(self, node):
        return self.working

    def is_free(self, vmid):
        return vmid not in self.hidden


TEMPLATE = Guest(9000, "ubuntu24-template", "node01", True, "stopped", "")
TEMPLATE_CONFIG = {9000: {"scsi0": "local-lvm:base-9000-disk-0,size=3584M"}}


@pytest.mark.parametrize(
    ("files", "known", "taken", "hidden", "ids", "problem"),
    [
        ({"a": None}, {}, {}, (), {"a": 500}, ""),
        ({"a": None, "b": None}, {}, {500: "x", 501: "y"}, (), {"a": 502, "b": 503}, ""),
        ({"a": None}, {"a": 612}, {612: "a (Terraform's state)"}, (), {"a": 612}, ""),
        ({"a": 120}, {}, {}, (), {"a": 120}, ""),
        ({"a": 120}, {"a": 120}, {120: "a on node01"}, (), {"a": 120}, ""),
        ({"a": None, "b": 500}, {}, {}, (), {"a": 501, "b": 500}, ""),
        # Offline, by the input that was written before.
        ({"a": 500, "b": None}, {"b": 500}, {}, (), {"a": 500, "b": 501}, ""),
        # Taken by a machine that the token may not see.
        ({"a": None}, {}, {}, (500, 501), {"a": 502}, ""),
        ({"a": 9000}, {}, {9000: "ubuntu24-template on node01"}, (), {}, "belongs to ubuntu24-template"),
        ({"a": 120, "b": 120}, {}, {}, (), {"a": 120}, "vmid 120 of b belongs to a (a.yaml)"),
        # Another VMID in the file than the machine has: the plan guard's matter.
        ({"a": 700}, {"a": 612}, {612: "a"}, (), {"a": 700}, ""),
        ({"a": None}, {}, dict.fromkeys(range(500, 9000), "x"), (), {}, "from 500 to 8999 is free for a"),
    ],
)  # fmt: skip
def test_vmids(files, known, taken, hidden, ids, problem):
    vms = {name: vm(name, **({"vmid": vmid} if vmid else {})) for name, vmid in files.items()}
    chosen, findings = vmids.choose(vms, known, taken, lambda vmid: vmid not in hidden)
    assert chosen == ids
    assert problem in "".join(finding.message for finding in findings)
    assert bool(problem) == bool(findings)


MARKED = {"name": "k8s-dev", "description": "tests\n\nproxmox-gitops: k8s-dev"}


@pytest.mark.parametrize(
    ("name", "configs", "vmid", "found", "problem"),
    [
        ("k8s-dev", {510: MARKED}, None, 510, ""),
        ("", {510: MARKED}, None, 510, ""),  # so new that the cluster's list has no name for it
        ("k8s-dev", {510: MARKED}, 510, 510, ""),
        ("k8s-dev", {510: MARKED}, 511, None, "but its file says vmid 511"),
        ("k8s-dev", {510: {"name": "k8s-dev"}}, None, None, "running elsewhere under VMID 510 on node01"),
        ("k8s-dev", {510: {"name": "k8s-dev"}}, 510, 510, ""),  # taken over, since the file names it
        ("k8s-dev2", {510: MARKED | {"name": "k8s-dev2"}}, None, None, ""),
        ("", {510: {"name": "other"}}, None, None, ""),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=192.168.1.20/24"}}, None, 510, ""),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=dhcp"}}, None, 510, ""),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=10.0.0.9/24"}}, None, None, "elsewhere under VMID 510"),
        ("k8s-dev", {510: MARKED | {"ipconfig0": "ip=10.0.0.9/24"}}, 510, 510, ""),
    ],
)
def test_orphans(name, configs, vmid, found, problem):
    cluster = Cluster([Guest(510, name, "node01", False, "stopped", "")], configs)
    wanted = {"k8s-dev": vm("k8s-dev", **({"vmid": vmid} if vmid else {}))}
    imports, findings = preflight.orphans(cluster, cluster.guests(), wanted)
    assert {name: machine.vmid for name, machine in imports.items()} == ({"k8s-dev": found} if found else {})
    assert problem in "".join(finding.message for finding in findings)
    assert bool(problem) == bool(findings)


def test_containers_are_no_machines():
    """Of a nameless one, or one of the same name, there is no machine's configuration to ask for."""
    found = [
        Guest(id, name, "node01", False, "running", "", True) for id, name in ((105, ""), (106, "k8s-dev"))
    ]
    cluster = Cluster([*found, Guest(107, "ubuntu24-template", "node01", True, "stopped", "", True)], {})
    assert preflight.orphans(cluster, found, {"k8s-dev": vm("k8s-dev")}) == ({}, [])
    assert preflight.template_of(vm("k8s-dev"), cluster.guests())[0] is None


def test_an_orphan_is_waited_for_while_its_clone_goes_on(capsys):
    cluster = Cluster(
        [Guest(510, "k8s-dev", "node01", False, "stopped", "clone")],
        {510: [MARKED, *[MARKED | {"lock": "clone"}] * 2, MARKED]},
    )
    slept = []
    imports, findings = preflight.orphans(
        cluster, cluster.guests(), {"k8s-dev": vm("k8s-dev")}, sleep=slept.append
    )
    assert (list(imports), findings, len(slept)) == (["k8s-dev"], [], 2)
    assert "a clone of an interrupted run still goes on" in capsys.readouterr().err


def test_a_clone_that_was_cut_off_is_told():
    cluster = Cluster(
        [Guest(510, "k8s-dev", "node01", False, "stopped", "")], {510: MARKED | {"lock": "clone"}}
    )
    cluster.working = False
    with pytest.raises(Fault, match=r"locked \(clone\) and no task runs there.*`qm unlock 510`"):
        preflight.orphans(cluster, cluster.guests(), {"k8s-dev": vm("k8s-dev")})


def test_two_orphans_of_one_name():
    machines = [Guest(vmid, "k8s-dev", "node01", False, "stopped", "") for vmid in (510, 511)]
    cluster = Cluster(machines, {510: MARKED, 511: MARKED})
    imports, findings = preflight.orphans(cluster, machines, {"k8s-dev": vm("k8s-dev")})
    assert not imports
    assert "twice, as VMID 510 on node01 and VMID 511 on node01" in findings[0].message


@pytest.mark.parametrize(
    ("fields", "machines", "problem"),
    [
        ({}, [TEMPLATE], ""),
        ({}, [], "Proxmox has no template ubuntu24-template; it has none"),
        (
            {"target_node": "node09"},
            [TEMPLATE],
            "node node09 is not in the cluster, which has node01, node02",
        ),
        ({"target_node": "node02"}, [TEMPLATE], "node node02 is offline"),
        ({"disks": {"scsi0": {"size": "3G", "storage": "local-lvm"}}}, [TEMPLATE], "the template's is 3.5G"),
        ({"disks": {"scsi0": {"size": "9G", "storage": "local"}}}, [TEMPLATE], "local-lvm can"),
        ({"network": {"bridge": "vmbr9"}}, [TEMPLATE], "node01 has no bridge vmbr9; it has vmbr0"),
    ],
)
def test_what_a_new_machine_needs(fields, machines, problem):
    machine = vm("k8s-dev")
    machine = machine._replace(data=machine.data | fields)
    found = preflight.needs(Cluster(machines, TEMPLATE_CONFIG), machines, {"k8s-dev": machine})
    assert problem in "".join(finding.message for finding in found)
    assert bool(problem) == bool(found)


def test_of_two_templates_the_newest_on_the_target_node_is_taken():
    newer = TEMPLATE._replace(vmid=9002)
    elsewhere = TEMPLATE._replace(vmid=9010, node="node02")
    for machines, vmid in (
        ([newer, TEMPLATE, elsewhere], 9002),
        ([elsewhere], 9010),
        ([TEMPLATE, elsewhere], 9000),
    ):
        assert preflight.template_of(vm("a"), machines)[0].vmid == vmid


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ({}, "disks", [{"slot": "scsi0", "size": 20, "storage": "local-lvm"}]),
        (
            {"disks": {f"scsi{n}": {"size": "1T", "storage": "s"} for n in (10, 2, 0)}},
            "disks",
            [{"slot": f"scsi{n}", "size": 1024, "storage": "s"} for n in (0, 2, 10)],
        ),
        ({"tags": "Web;db"}, "tags", ["db", "proxmox-gitops", "web"]),
        ({"tags": ["b", "a"]}, "tags", ["a", "b", "proxmox-gitops"]),
        ({}, "description", "proxmox-gitops: a"),
        ({"description": "For tests"}, "description", "For tests\n\nproxmox-gitops: a"),
        ({"ipconfig0": "ip=10.0.0.2/8,ip6=auto"}, "ipv6", {"address": "auto"}),
        ({"ipconfig0": "ip=10.0.0.2/8,ip6=auto", "skip_ipv6": True}, "ipv6", None),
        ({"ipconfig0": "ip=10.0.0.2/8,ip6=fd00::2/64,gw6=fd00::1"}, "ipv6",
         {"address": "fd00::2/64", "gateway": "fd00::1"}),
        ({"ipconfig0": "ip=10.0.0.2/8"}, "ipv4", {"address": "10.0.0.2/8"}),
        ({"vm_state": "stopped"}, "started", False),
        ({"vm_state": "running"}, "started", True),
        ({}, "started", None),
        ({"agent": 0}, "agent", False),
        ({"boot": "order=scsi0;net0"}, "boot_order", ["scsi0", "net0"]),
        ({}, "boot_order", ["scsi0"]),
        ({"nameserver": "1.1.1.1 9.9.9.9"}, "dns", {"servers": ["1.1.1.1", "9.9.9.9"]}),
        ({"searchdomain": "lan"}, "dns", {"domain": "lan"}),
        ({"network": {"bridge": "vmbr1", "model": "virtio", "macaddr": "bc:24:11:00:00:01"}}, "network",
         {"bridge": "vmbr1", "model": "virtio", "mac": "BC:24:11:00:00:01"}),
        ({"sshkeys": [f"{KEY}2\n"]}, "ssh_keys", [f"{KEY}2"]),
        ({}, "ssh_keys", [KEY]),
    ],
)  # fmt: skip
def test_fields(fields, key, value):
    machine = vm("a")
    machine = machine._replace(data=machine.data | fields)
    assert tfvars.machine(machine, 500, [KEY]).get(key) == value


def state_of(**machines) -> str:
    instances = [
        {
            "index_key": name.replace("_", "-"),
            "attributes": {"vm_id": vmid, "node_name": "node01", "disk": []},
        }
        for name, vmid in machines.items()
    ]
    resource = {
        "module": "module.vm",
        "mode": "managed",
        "type": state.TYPE,
        "name": "this",
        "instances": instances,
    }
    return json.dumps({"version": 4, "resources": [resource]})


@pytest.fixture
def repository(tmp_path):
    """A repository with two machines committed; returns its proxmox/ folder and a function that commits."""
    home = tmp_path / "proxmox"
    (home / "vms").mkdir(parents=True)
    for name, address in (("a", "192.168.1.20"), ("b", "192.168.1.21")):
        (home / "vms" / f"{name}.yaml").write_text(text(name, address))
    (home / "authorized_keys").write_text(f"# the fleet\n{KEY}\n")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(message: str = "x") -> str:
        git("add", "-A", "proxmox")
        git("commit", "-qm", message)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    commit()
    return home, commit


def run(home: Path, *more: str, state_text: str = "") -> int:
    (home / "state.json").write_text(state_text)
    return generate_tfvars.main([
        "--vms-dir", str(home / "vms"), "--authorized-keys", str(home / "authorized_keys"), "--output",
        str(home / "vms.auto.tfvars.json"), "--state", str(home / "state.json"), "--offline", *more,
    ])  # fmt: skip


def written(home: Path) -> dict:
    return json.loads((home / "vms.auto.tfvars.json").read_text())


def test_offline_keeps_the_ids_that_it_gave_before_and_says_what_it_did_not_check(repository, capsys):
    home, _ = repository
    assert run(home) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {"a": 500, "b": 501}
    assert "not checked, since offline: free VMIDs, templates" in capsys.readouterr().err
    (home / "vms" / "a.yaml").rename(home / "a.yaml")
    assert run(home) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {"b": 501}
    before = (home / "vms.auto.tfvars.json").stat()
    assert run(home) == 0
    assert (home / "vms.auto.tfvars.json").stat().st_mtime_ns == before.st_mtime_ns


def test_a_removed_file_keeps_its_machine_until_that_is_approved(repository, capsys):
    home, commit = repository
    (home / "vms" / "a.yaml").unlink()
    commit()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert written(home)["vms"]["a"]["ipv4"]["address"] == "192.168.1.20/24"
    assert "say [destroy a] in a commit to remove it" in capsys.readouterr().err
    assert run(home, "--approve-destroy", "a", state_text=state_of(a=500, b=501)) == 0
    assert list(written(home)["vms"]) == ["b"]


def test_a_file_removed_in_the_working_tree_only_is_kept_too(repository):
    home, _ = repository
    (home / "vms" / "a.yaml").unlink()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert sorted(written(home)["vms"]) == ["a", "b"]


def test_the_last_text_before_a_removal_counts(repository):
    home, commit = repository
    path = home / "vms" / "a.yaml"
    path.write_text(text("a", "192.168.1.30"))
    commit()
    path.unlink()
    commit()
    (home / "vms" / "c.yaml").write_text(text("c", "192.168.1.40"))
    commit()
    assert run(home, state_text=state_of(a=500, b=501)) == 0
    assert {name: machine["vmid"] for name, machine in written(home)["vms"].items()} == {
        "a": 500,
        "b": 501,
        "c": 502,
    }
    assert written(home)["vms"]["a"]["ipv4"]["address"] == "192.168.1.30/24"


@pytest.mark.parametrize(
    ("change", "have", "problem"),
    [
        # The address of a machine that is still there.
        (lambda vms: ((vms / "a.yaml").unlink(), (vms / "c.yaml").write_text(text("c"))), {"a": 500},
         "192.168.1.20 is still held by a"),
        (lambda vms: [path.unlink() for path in vms.iterdir()], {"a": 500}, "lost checkout"),
        (lambda vms: None, {"gone": 500}, "Terraform has gone, but neither vms/ nor the history"),
        (lambda vms: (vms / "c.yaml").write_text("- a list\n"), {}, "c.yaml"),
    ],
)  # fmt: skip
def test_refused(repository, capsys, change, have, problem):
    home, commit = repository
    change(home / "vms")
    commit() if have != {"gone": 500} else None
    assert run(home, state_text=state_of(**have)) == 1
    assert problem in capsys.readouterr().err
    assert not (home / "vms.auto.tfvars.json").exists()


def test_nobody_could_log_in(repository, capsys):
    home, _ = repository
    (home / "authorized_keys").unlink()
    assert run(home) == 1
    assert "nobody could log in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"# Jos\xe9\n", "is no text in UTF-8"),
        (b"# me\n-----BEGIN OPENSSH PRIVATE KEY-----\n", "authorized_keys:2: this is a private key"),
        (b"me@example.org\n", "authorized_keys:1: this is no public key"),
    ],
)
def test_a_fleets_keys_that_are_none(repository, capsys, text, said):
    home, _ = repository
    (home / "authorized_keys").write_bytes(text)
    assert run(home) == 1
    assert said in capsys.readouterr().err


def test_a_byte_order_mark_before_the_fleets_keys(repository):
    home, _ = repository
    (home / "authorized_keys").write_bytes(b"\xef\xbb\xbf" + (home / "authorized_keys").read_bytes())
    assert run(home) == 0
    assert written(home)["vms"]["a"]["ssh_keys"][0].startswith("ssh-")


def test_disks_that_the_file_does_not_name_are_those_of_the_template(repository):
    home, _ = repository
    (home / "vms" / "a.yaml").write_text(text("a", disks=None))
    cluster = Cluster([TEMPLATE], {9000: TEMPLATE_CONFIG[9000] | {"ide2": "local-lvm:vm-9000-cloudinit"}})
    arguments = (home / "vms", home / "authorized_keys", home / "x")
    values, _, findings = generate_tfvars.build(*arguments, {}, client=cluster)
    assert not findings
    assert values["vms"]["a"]["disks"] == [{"slot": "scsi0", "size": 4, "storage": "local-lvm"}]
    have = {"a": state.StateMachine(500, "node01", False, "", {"scsi0": {"size": 9, "storage": "s"}})}
    values, _, _ = generate_tfvars.build(*arguments, have, client=cluster)
    assert values["vms"]["a"]["disks"] == [{"slot": "scsi0", "size": 9, "storage": "s"}]


def test_not_a_state(repository, capsys):
    home, _ = repository
    assert run(home, state_text='{"version": 3}') == 2
    assert "is not what `terraform state pull` prints" in capsys.readouterr().err


def test_proxmox_is_asked_unless_offline(repository, capsys, monkeypatch):
    home, _ = repository
    monkeypatch.delenv("PROXMOX_VE_ENDPOINT", raising=False)
    (home / "state.json").write_text("")
    arguments = [
        "--vms-dir",
        str(home / "vms"),
        "--output",
        str(home / "o"),
        "--state",
        str(home / "state.json"),
    ]
    assert generate_tfvars.main(arguments) == 2
    assert "PROXMOX_VE_ENDPOINT is not set" in capsys.readouterr().err


def test_refused_is_a_fault():
    assert Refused("no", 403).status == 403
