"""Setting what differs, on a Proxmox of the lab's."""

import pytest

from fleet.findings import Fault
from fleet.proxmox import ensure, tasks
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from lab import PROXMOX_URL, secret
from lab.proxmox import faults
from tests.helpers.hollow import hollow_proxmox

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvcmluZ2tleWZvcnRlc3RzMTIzNDU2Nzg5MDEyMzQ1 ana@home"
GUEST = "nodes/node01/qemu/777"
CONFIG = f"{GUEST}/config"
CHANGED = "detected modified configuration - file changed by other user? Try again."


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with hollow_proxmox(tmp_path_factory.mktemp("ensure")):
        client = Client(PROXMOX_URL, secret("proxmox_token"))
        made = client.post(
            "nodes/node01/qemu", vmid=777, name="one", cores=2, scsi0="local-lvm:1", net0="virtio,bridge=vmbr0",
            ide2="local-lvm:cloudinit", scsihw="virtio-scsi-single", balloon=256, tags="a;b",
        )  # fmt: skip
        tasks.wait(client, made, pause=0.1)
        yield client


@pytest.fixture
def wanted(api):
    """Make the machine so; what came of it, and what was said."""
    said: list[str] = []

    def made(check=False, path=CONFIG, **want):
        return ensure.run(Change(api, check, said.append), path, want)

    made.said = said
    yield made
    faults.inject()


SETTINGS = [
    ({"cores": 4, "onboot": True}, {"cores": ("2", "4"), "onboot": ("", "1")}),
    ({"balloon": None, "watchdog": None}, {"balloon": ("256", "")}),
    ({"tags": "b;a", "net0": "virtio,bridge=vmbr0", "scsi0": "local-lvm:1", "ide2": "local-lvm:cloudinit"}, {}),
    ({"sshkeys": KEY, "ciuser": "ana"},
     {"sshkeys": ("", "ssh-ed25519 …MDEyMzQ1 ana@home"), "ciuser": ("", "ana")}),
    ({"cipassword": "0-1-geheim"}, {"cipassword": ("", "***")}),
]  # fmt: skip


@pytest.mark.parametrize(("want", "changes"), SETTINGS)
def test_what_differs_is_set_once(api, wanted, want, changes):
    checked, made, again = wanted(check=True, **want), wanted(**want), wanted(**want)
    for result in (checked, made):
        assert result.changed == bool(changes)
        assert {name: (result.before[name], result.after[name]) for name in result.after} == changes
        assert "geheim" not in str(result)
    assert not again.changed and again.message == f"{CONFIG} is as wanted"


def test_a_card_keeps_its_mac_address_and_a_disk_its_volume(api, wanted):
    before = api.get(CONFIG)
    result = wanted(net0="virtio,bridge=vmbr0,tag=7", scsi0="local-lvm:1,cache=writeback")
    after = api.get(CONFIG)
    mac = before["net0"].partition("=")[2].partition(",")[0]
    assert result.changed and f"virtio={mac}" in after["net0"] and "tag=7" in after["net0"]
    volume = before["scsi0"].partition(",")[0]
    assert after["scsi0"].startswith(volume) and "cache=writeback" in after["scsi0"]
    assert not any(name.startswith("unused") for name in after)


def test_what_is_written_is_the_difference_alone(api, wanted, monkeypatch):
    sent = []
    monkeypatch.setattr(api, "put", lambda path, **fields: sent.append(fields))
    wanted(name="two", tags="a;b", cpulimit=None, ostype="l26")
    assert [sorted(fields) for fields in sent] == [["digest", "name", "ostype"]]


@pytest.mark.parametrize(
    ("want", "words"),
    [
        (
            {"scsi0": "local-lvm:2"},
            "scsi0 is wanted as a new volume, local-lvm:2, but has local-lvm:vm-777-disk",
        ),
        ({"scsi0": "local:1"}, "which would be put aside"),
        (
            {"scsi0": "local-lvm:vm-777-disk-0,size=9G"},
            "scsi0 has the size 1G, and a configuration cannot change it",
        ),
        ({"tags": ["a"]}, "want.tags is a list or a mapping"),
        ({"bridg": "x"}, "this version of Proxmox has no such parameter"),
    ],
)
def test_what_is_refused(api, wanted, want, words):
    before = api.get(CONFIG)
    with pytest.raises(Fault, match=words):
        wanted(**want)
    assert api.get(CONFIG) == before


def test_a_list_is_no_configuration(wanted):
    with pytest.raises(Fault, match="nodes is not a configuration"):
        wanted(path="nodes", a="b")


def test_a_password_that_is_there_is_left_and_that_is_said(wanted):
    wanted(cipassword="0-1")
    assert not wanted(cipassword="0-2").changed
    assert "nobody can compare it" in wanted.said[-1] and "0-2" not in wanted.said[-1]


@pytest.mark.parametrize(("times", "ends"), [(1, True), (2, False)])
def test_a_change_at_the_same_moment(api, wanted, times, ends):
    faults.inject({"match": f"PUT /{CONFIG}", "times": times, "status": 500, "message": CHANGED})
    if ends:
        assert wanted(cores=7).changed
        assert api.get(CONFIG)["cores"] == 7
    else:
        with pytest.raises(Fault, match="somebody else changed it at the same moment: run this again"):
            wanted(cores=8)
