"""adopt.py against an API that answers as Proxmox does: who is meant, what is written, what is refused and why."""

import stat

import pytest

import adopt
from fleet.proxmox import client as proxmox
from fleet.steps.validate import check_folder
from tests.adopt.test_candidate import CONFIG
from tests.helpers.https_server import certificate, serving
from tests.helpers.machines import KEY, text


def listed(vmid: int, name: str, **more) -> dict:
    return {
        "vmid": vmid,
        "name": name,
        "node": "node01",
        "type": "qemu",
        "status": "running",
        "template": 0,
    } | more


def settings(vmid: int, **more) -> dict:
    """A guest's configuration; None takes an option out."""
    has = CONFIG | {
        "net0": f"virtio=BC:24:11:00:00:{vmid % 100:02d},bridge=vmbr0",
        "scsi0": f"local-lvm:vm-{vmid}-disk-0,discard=on,iothread=1,size=20G,ssd=1",
        "ide2": f"local-lvm:vm-{vmid}-cloudinit,media=cdrom", "ipconfig0": f"ip=192.168.1.{vmid % 100}/24",
    } | more  # fmt: skip
    return {key: value for key, value in has.items() if value is not None}


class Site:
    """A Proxmox with some guests, and a repository; `run` is the script."""

    def __init__(self, home, pem, monkeypatch):
        self.vms, self.pem = home / "proxmox" / "vms", pem
        self.vms.mkdir(parents=True)
        (self.vms / "gateway.yaml").write_text(text("gateway", "192.168.1.90", vmid=190))
        (self.vms.parent / "playbooks").mkdir()
        self.guests: list[dict] = []
        self.answers: dict = {}
        self.asked: list = []
        self.patch = monkeypatch
        for node in ("node01", "node02"):
            storages = [{"storage": name, "content": "images"} for name in ("local", "local-lvm")]
            self.answers[f"nodes/{node}/storage"] = (200, "OK", {"data": storages})

    def add(self, vmid: int, name: str, config: dict | None = None, answer=None, **entry) -> None:
        entry = listed(vmid, name, **entry)
        self.guests.append(entry)
        data = {"data": settings(vmid, **{"name": name} | (config or {}))}
        self.answers[f"nodes/{entry['node']}/qemu/{vmid}/config"] = answer or (200, "OK", data)

    def run(self, *arguments: str) -> int:
        answers = self.answers | {"cluster/resources": (200, "OK", {"data": self.guests})}
        with serving(self.pem, answers, self.asked) as endpoint:
            self.patch.setenv("PROXMOX_VE_ENDPOINT", endpoint)
            return adopt.main(["--vms-dir", str(self.vms), "--format", "text", *arguments])

    @property
    def files(self) -> set[str]:
        return {path.stem for path in self.vms.iterdir()} - {"gateway"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    pem = certificate(tmp_path)
    for name, value in (("PROXMOX_VE_API_TOKEN", "a@pve!b=0-1"), ("PROXMOX_VE_INSECURE", ""), ("NO_PROXY", "*"),
                        ("SSL_CERT_FILE", str(pem)), ("REQUESTS_CA_BUNDLE", ""), ("CURL_CA_BUNDLE", "")):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(proxmox, "TIMEOUT", (1, 1))
    return Site(tmp_path, pem, monkeypatch)


def test_guests_are_written_and_valid_with_the_others(site, capsys):
    site.add(105, "k8s-dev", {"sshkeys": KEY.replace(" ", "%20")}, pool="web")
    site.add(106, "db", {"description": "Ask Ana\n- soon"}, status="stopped")
    site.add(9000, "ubuntu24-template", template=1)
    site.add(300, "ct", type="lxc")
    assert site.run("--all") == 0
    out = capsys.readouterr().out
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "VMID NAME NODE RESULT FILE",
        f"105 k8s-dev node01 written {site.vms}/k8s-dev.yaml",
        f"106 db node01 written {site.vms}/db.yaml",
        "300 ct node01 skipped: is a container (LXC), which this project does not manage",
        "9000 ubuntu24-template node01 skipped: is a template; machines name it as their `clone`",
    ]
    assert site.files == {"k8s-dev", "db"}
    assert stat.S_IMODE((site.vms / "db.yaml").stat().st_mode) == 0o644
    assert check_folder(site.vms)[1] == []
    # One question for the cluster, one for each node and one for each machine, and nothing but questions.
    assert sorted(path for method, path, _ in site.asked if method == "GET") == [
        "cluster/resources", "nodes/node01/qemu/105/config", "nodes/node01/qemu/106/config", "nodes/node01/storage",
    ]  # fmt: skip
    assert len(site.asked) == 4
    before = {path.name: path.stat().st_mtime_ns for path in site.vms.iterdir()}
    assert site.run("--all") == 0
    out = capsys.readouterr().out
    assert out.count("unchanged") == 2 and " written" not in out
    assert {path.name: path.stat().st_mtime_ns for path in site.vms.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["105"], {"a"}),
        (["105", "107"], {"a", "c"}),
        (["--node", "node02"], {"c"}),
        (["--tag", "DB"], {"b", "c"}),
        (["--tag", "db", "--node", "node01"], {"b"}),
        (["--all"], {"a", "b", "c"}),
        (["--all", "--dry-run"], set()),
    ],
)
def test_who_is_meant(site, arguments, files):
    site.add(105, "a")
    site.add(106, "b", tags="db;lab")
    site.add(107, "c", tags="db", node="node02")
    assert site.run(*arguments) == 0
    assert site.files == files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give VMIDs, or --node and --tag, or --all"),
        (["105", "--all"], "give VMIDs, or --node and --tag, or --all"),
        (["--all", "--tag", "x"], "give VMIDs"),
        (["108"], "Proxmox shows the token no guest 108: check the number, and VM.Audit on it"),
        (["--node", "node07"], "none of the 1 guests that Proxmox shows the token is meant; nodes: node01"),
        (["x"], "invalid int value"),
    ],
)
def test_wrong_usage(site, capsys, arguments, said):
    site.add(105, "a")
    try:
        status = site.run(*arguments)
    except SystemExit as error:
        status = error.code
    assert (status, said in capsys.readouterr().err) == (2, True)
    assert site.files == set()


def test_a_folder_that_is_not_there(site, capsys):
    site.vms = site.vms / "gone"
    assert site.run("--all") == 2
    assert "name the folder of VM files" in capsys.readouterr().err


# Beside a guest that is written: a guest and why it is refused.
REFUSED = {
    "locked": ({"lock": "backup"}, {}, None, "is locked (backup); run this again when that has ended"),
    "locked since the list was made": ({}, {"lock": "migrate"}, None, "is locked (migrate)"),
    "on a node that is down": ({"node": "node02", "status": "unknown"}, {}, (595, "No route to host", {"data": None}),
                               "cannot be read: a node does not answer the cluster"),
    "without rights": ({}, {}, (403, "Permission check failed (/vms/105, VM.Audit)", {"data": None}),
                       "give the token and its user that privilege"),
    "gone meanwhile": ({}, {}, (500, "Configuration file 'nodes/node01/qemu-server/105.conf' does not exist", {}),
                       "105.conf' does not exist"),
    "a name that no machine can have": ({"name": "Web.example"}, {"name": "Web.example"}, None,
                                        "rename the guest with `qm set 105 --name web-example`"),
    "the VMID of a file": ({"vmid": 190}, {}, None, "is gateway's by its VMID ({vms}/gateway.yaml:9:1)"),
    "the name of a file": ({"name": "gateway"}, {"name": "gateway"}, None,
                           "has the name of another machine's file ({vms}/gateway.yaml:1:1); if the file means this"
                           " guest, write `vmid: 105` into it"),
    "the address of a file": ({}, {"ipconfig0": "ip=192.168.1.90/24"}, None,
                              "192.168.1.90 is already used by gateway ({vms}/gateway.yaml:6:1)"),
    "the address of a line by hand": ({}, {"ipconfig0": "ip=192.168.1.77/24"}, None,
                                      "192.168.1.77 is already used by nas ("),
    "the name of a playbook": ({"name": "k8s-x"}, {"name": "k8s-x"}, None, "would run playbooks/k8s-x.yml and never"),
    "another's by its notes": ({}, {"description": "proxmox-gitops: k8s-other"}, None,
                               "belongs to k8s-other, as the last line of its notes says, but there is no"),
    "the mark of somebody's in the middle": ({}, {"description": "a\n proxmox-gitops: x\nb"}, None, "belongs to x"),
    "a form that is not understood": ({}, {"memory": "much"}, None, "memory has a form that is not understood"),
    "a raw device": ({}, {"hostpci0": "0000:01:00.0"}, None, "hostpci0 is a device of the node, which no API token can"
                     " give to a machine; use a mapping; --partial writes the file without it"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_guest_is_refused_and_the_others_are_written(site, capsys, what):
    entry, config, answer, said = REFUSED[what]
    (site.vms.parent / "playbooks" / "k8s-x.yml").write_text("")
    (site.vms.parent / "k8s.ini").write_text("nas ansible_host=192.168.1.77\n")
    site.add(entry.get("vmid", 105), **{"name": "a"} | {k: v for k, v in entry.items() if k != "vmid"}, config=config,
             answer=answer)  # fmt: skip
    site.add(106, "b")
    assert site.run("--all") == 1
    out, err = capsys.readouterr()
    assert said.format(vms=site.vms) in err
    assert f"(VMID {entry.get('vmid', 105)} on {entry.get('node', 'node01')})" in err
    assert site.files == {"b"}
    assert [line.split()[3] for line in out.splitlines()[1:]] == (
        ["written", "refused"] if "vmid" in entry else ["refused", "written"]
    )


def test_two_guests_of_one_name_are_both_refused(site, capsys):
    site.add(105, "a")
    site.add(106, "a", node="node02")
    assert site.run("105") == 1
    assert "has the name of VMID 106 on node02 too" in capsys.readouterr().err
    assert site.run("--all") == 1
    assert "has the name of VMID 105 on node01 too" in capsys.readouterr().err
    assert site.files == set()


def test_of_two_guests_with_one_address_the_second_is_refused(site, capsys):
    site.add(105, "a", {"ipconfig0": "ip=192.168.1.7/24"})
    site.add(106, "b", {"ipconfig0": "ip=192.168.1.7/24"})
    assert site.run("--all") == 1
    assert "192.168.1.7 is already used by a (" in capsys.readouterr().err
    assert site.files == {"a"}


def test_a_part_is_left_to_proxmox_where_that_is_asked_for(site, capsys):
    site.add(105, "a", {"hostpci0": "0000:01:00.0", "args": "-x"})
    site.add(106, "b", {"net0": "rtl8139=BC:24:11:00:00:06"})
    assert site.run("--all", "--partial") == 1
    err = capsys.readouterr().err
    assert (
        "notice: a (VMID 105 on node01): keeps in Proxmox what its file does not say: hostpci0 is a device"
        in err
    )
    assert "notice: a (VMID 105 on node01): stays in Proxmox, where Terraform leaves it alone: args" in err
    assert "refused: b (VMID 106 on node01) net0 is connected to no bridge" in err
    assert site.files == {"a"}
    assert "hostpci0:" not in (site.vms / "a.yaml").read_text()


def test_a_file_that_a_person_has_changed_stays(site, capsys):
    site.add(105, "a")
    assert site.run("105") == 0
    file = site.vms / "a.yaml"
    changed = file.read_text().replace("cores: 2", "cores: 4") + "onboot: true\n"
    file.write_text(changed)
    assert site.run("105") == 1
    said = (
        f"has a file that differs in cores, onboot ({file}:5:1), which is left as it is; delete it to have it"
    )
    assert said in capsys.readouterr().err
    assert file.read_text() == changed


def test_a_file_that_cannot_be_read_stays_and_is_named(site, capsys):
    site.add(105, "a")
    site.add(106, "b")
    file = site.vms / "a.yaml"
    file.write_text("name: [a\n")
    (site.vms / "c.yaml").symlink_to("b.yaml")
    assert site.run("--all") == 1
    err = capsys.readouterr().err
    assert (
        f"refused: a (VMID 105 on node01) has a file that cannot be read ({file}); correct it, or delete it"
        in err
    )
    for path in (file, site.vms / "c.yaml"):
        assert f"{path}" in err
    assert "what this file has is not compared" in err
    assert file.read_text() == "name: [a\n"
    assert site.files == {"a", "b", "c"}


def test_a_machine_that_is_managed_already(site, capsys):
    site.add(190, "gateway", {"description": "a\n\nproxmox-gitops: gateway"})
    site.add(191, "renamed", {"description": "proxmox-gitops: gateway"})
    assert site.run("190") == 0
    assert "unchanged" in capsys.readouterr().out
    assert site.files == set()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (200, "OK", {"data": [{"sid": "vm:105", "state": "stopped"}, {"sid": "ct:300"}]}),
            "ha: {state: stopped}",
        ),
        (
            (403, "Permission check failed (/, Sys.Audit)", {"data": None}),
            "# - HA, which the token may not read",
        ),
    ],
)
def test_the_ha_manager_is_asked_once(site, answer, said):
    site.answers["cluster/ha/resources"] = answer
    site.add(105, "a", hastate="stopped", status="stopped")
    site.add(106, "b", hastate="started")
    assert site.run("--all") == 0
    assert said in (site.vms / "a.yaml").read_text()
    assert [path for _, path, _ in site.asked].count("cluster/ha/resources") == 1
    site.asked.clear()
    site.add(107, "c")
    assert site.run("107") == 0
    assert "cluster/ha/resources" not in [path for _, path, _ in site.asked]


def test_a_dry_run_prints_the_files(site, capsys):
    site.add(105, "a")
    assert site.run("--all", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"# {site.vms}/a.yaml\n# Written by scripts/adopt.py from VMID 105.\nname: a\n")
    assert "would be written" in out.splitlines()[-1]


def test_text_of_a_guest_never_passes_for_a_command(site, capsys):
    site.add(105, "::error::x\x1b[2J", {"name": "::error::x\x1b[2J"})
    assert site.run("--all") == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert not any(line.startswith("::") for line in (out + err).splitlines())


def test_a_token_that_is_not_known(site, capsys):
    site.add(105, "a", answer=(401, "authentication failure", {"data": None}))
    assert site.run("--all") == 2
    assert "renew PROXMOX_VE_API_TOKEN" in capsys.readouterr().err
