"""Templates on the lab's Proxmox with empty machines: built, built again, swapped, removed, and every bad day."""

import re
import subprocess

import pytest

import update_images
from fleet.builds import configure, convert, create, image, preflight, publish, summary
from fleet.findings import Fault
from fleet.proxmox import tasks
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from fleet.templates import cleanup, notes, remove, verify
from lab import PROXMOX_URL, ROOT, lab_dir, secret
from lab.environment import environment
from lab.proxmox import accounts, faults, guests, volumes
from lab.proxmox import state as cluster
from tests.helpers.lab_site import site_in_lab

STAGES = {"image": image, "create": create, "configure": configure, "convert": convert, "publish": publish}
DEBIAN = {"image": "debian12", "agent": False}  # no boot, which an empty machine does not have
USER = "terraform@pve"


class Builds:
    """Builds of one template; `said` has what they showed, `asked` the requests of the last one."""

    def __init__(self):
        self.said, self.asked = [], []
        self.api = Client(PROXMOX_URL, secret("proxmox_token"))
        ask = self.api._ask
        self.api._ask = lambda method, path, *more, **content: (
            self.asked.append(f"{method} {path}"), ask(method, path, *more, **content)
        )[1]  # fmt: skip

    def step(self, module, check=False, **arguments):
        return module.run(Change(self.api, check, self.said.append), arguments)

    def begin(self, **more):
        self.asked.clear()
        checks = self.step(preflight, **DEBIAN | more)
        return DEBIAN | more | {"plan": dict(checks.facts["plan"])}

    def build(self, until="publish", check=False, **more):
        """Run the stages as the role does; the answers by stage."""
        arguments = self.begin(**more)
        answers = {"preflight": arguments["plan"]}
        for name, module in STAGES.items():
            if arguments["plan"]["ready"] is not None:
                break
            answers[name] = self.step(module, check, **arguments)
            arguments["plan"]["building"] = answers[name].facts.get("building", arguments["plan"]["building"])
            if name == until:
                break
        return answers

    def config(self, vmid):
        return guests.find(vmid).config

    def templates(self):
        """VMID to name of all that builds made."""
        return {
            guest.vmid: guest.name
            for guest in guests.all_guests()
            if notes.parse(guest.config.get("description"))
        }

    def alone(self, count=1):
        """Assert that there is one healthy template of the name and nothing half-made; its VMID.

        `count`: guests with a template's notes, which clones by hand have too.
        """
        found = self.templates()
        named = [vmid for vmid, name in found.items() if name == "debian12-template"]
        assert len(named) == 1 and len(found) == count, found
        config = self.config(named[0])
        disk = volumes.path("node01", config["scsi0"].split(",")[0])
        assert config["template"] == 1 and disk.name.startswith("base-")
        assert "building" not in config["tags"] and notes.parse(config["description"]).stage == "done"
        owners = {volumes.owner(v) for s in cluster.STORAGES for v in volumes.of_storage("node01", s)}
        assert {vmid for vmid in owners if vmid and vmid > 9000} <= found.keys()
        return named[0]


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    """This module's Proxmox has machines that are empty processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_PROXMOX_HOLLOW", "1")
        yield


@pytest.fixture(scope="module")
def site(hollow, hypervisor):
    with site_in_lab() as found:
        yield found


@pytest.fixture
def builds(site, monkeypatch):
    monkeypatch.setenv("PROXMOX_IMAGES", str(site.catalogue))
    monkeypatch.setenv("SSL_CERT_FILE", str(lab_dir() / "tls/bundle.pem"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    site.shelf.publish("debian12", "A")
    assert update_images.main([]) == 0
    found = Builds()
    yield found
    faults.inject()
    for guest in guests.all_guests():
        if guest.vmid != cluster.TEMPLATE_ID:
            path = f"nodes/{guest.node}/qemu/{guest.vmid}"
            for begin in (
                lambda p=path: found.api.post(f"{p}/status/stop"),
                lambda p=path: found.api.delete(p),
            ):
                try:
                    tasks.wait(found.api, begin(), pause=0.1)
                except Fault:
                    continue  # a template is not stopped
    for volid in volumes.of_storage("node01", "local"):
        if volumes.content(volid) == "import":
            volumes.path("node01", volid).unlink()


def test_an_image_becomes_a_template_that_says_what_it_is(builds):
    answers = builds.build()
    vmid = builds.alone()
    assert vmid == 9001 and answers["publish"].facts["vmid"] == 9001
    config = builds.config(vmid)
    said = notes.parse(config["description"])
    assert re.fullmatch(r"debian12-20261102-[0-9a-f]{8}\.qcow2", said.file)
    assert (
        said.checksum.startswith("sha512:")
        and said.built.startswith("20")
        and said.url.startswith("https://")
    )
    assert config["tags"] == f"debian12;fp-{said.fingerprint[:8]};template"
    assert config["ciuser"] == "debian" and config["ipconfig0"] == "ip=dhcp" and config["ciupgrade"] == 0
    assert "local:import/" in builds.step(image, **builds.begin(name="other-template")).message


def test_a_second_run_changes_nothing_and_asks_little(builds):
    builds.build()
    answers = builds.build()
    assert list(answers) == ["preflight"] and answers["preflight"]["ready"] == 9001
    assert len(builds.asked) <= 12 and all(line.startswith("GET") for line in builds.asked), builds.asked


def test_check_mode_tells_and_changes_nothing(builds):
    answers = builds.build(check=True)
    assert [answer.changed for name, answer in answers.items() if name != "preflight"] == [True] * 5
    assert not builds.templates() and not [
        v for v in volumes.of_storage("node01", "local") if "/debian12" in v
    ]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("same", [True, False], ids=["same image", "newer image"])
def test_a_run_that_ends_after_any_stage_is_finished_by_the_next(builds, site, monkeypatch, stage, same):
    builds.build(until=stage)
    monkeypatch.setattr(notes, "_runs", lambda pid: False)
    if not same:
        site.shelf.publish("debian12", "B")
        assert update_images.main([]) == 0
    builds.build()
    builds.alone()


def test_a_build_at_the_same_time_is_not_touched(builds, monkeypatch):
    builds.build(until="create")
    monkeypatch.setattr(notes, "_myself", lambda: "elsewhere/17")
    with pytest.raises(Fault, match=r"another run builds debian12-template-building \(VMID 9001 on node01\)"):
        builds.build()
    assert builds.templates() == {9001: "debian12-template-building"}
    # An hour later nobody works on it any more.
    monkeypatch.setattr(notes, "QUIET", -1)
    builds.build()
    builds.alone()


def test_the_second_of_two_builds_finds_the_first_ones_template(builds):
    slow = builds.begin()
    builds.step(image, **slow)
    slow["plan"]["building"] = builds.step(create, **slow).facts["building"]
    builds.step(configure, **slow)
    builds.step(convert, **slow)
    fast = builds.begin()
    fast["plan"]["building"] = None
    # As another process on this computer, which began at the same time.
    original, notes._myself = notes._myself, lambda: "elsewhere/17"
    try:
        fast["plan"]["building"] = builds.step(create, **fast).facts["building"]
        for stage in (configure, convert, publish):
            builds.step(stage, **fast)
    finally:
        notes._myself = original
    assert "was built meanwhile" in builds.step(publish, **slow).message
    builds.alone()


def test_a_newer_image_makes_a_second_template_and_swaps_the_names(builds, site):
    builds.build()
    clone = builds.api.post("nodes/node01/qemu/9001/clone", newid=600, name="by-hand", full=0)
    tasks.wait(builds.api, clone, pause=0.1)
    site.shelf.publish("debian12", "B")
    assert update_images.main([]) == 0
    builds.build()
    assert builds.alone(2) == 9002
    # On thin LVM a clone outlives its origin. It has the template's tags and notes, and is nobody's template.
    assert guests.find(600) and "9001" in builds.config(600)["description"]


@pytest.mark.parametrize("storage", ["local", "tank"])
def test_a_retired_template_stays_as_long_as_a_linked_clone_lives(builds, site, storage):
    builds.build(storage=storage)
    clone = builds.api.post("nodes/node01/qemu/9001/clone", newid=600, name="by-hand", full=0)
    tasks.wait(builds.api, clone, pause=0.1)
    with pytest.raises(Fault, match=r"is needed by its linked clones by-hand \(VMID 600\)"):
        builds.step(remove, image="debian12", confirm="debian12-template")
    site.shelf.publish("debian12", "B")
    assert update_images.main([]) == 0
    assert (
        "stays: it has the linked clones by-hand (VMID 600)"
        in builds.build(storage=storage)["publish"].message
    )
    assert re.fullmatch(r"debian12;fp-[0-9a-f]{8};retired", builds.config(9001)["tags"])
    assert "by-hand" in builds.step(cleanup).message
    tasks.wait(builds.api, builds.api.delete("nodes/node01/qemu/600"), pause=0.1)
    assert builds.step(cleanup).changed and not builds.step(cleanup).changed
    assert builds.alone() == 9002


def test_what_a_person_gave_to_a_template_stays(builds, site):
    builds.build()
    notes_of = builds.config(9001)["description"]
    change = {"protection": 1, "tags": "debian12;mine;template", "description": f"hands off\n{notes_of}"}
    builds.api.put("nodes/node01/qemu/9001/config", **change)
    site.shelf.publish("debian12", "B")
    assert update_images.main([]) == 0
    assert "stays: it is protected" in builds.build()["publish"].message
    assert builds.config(9001)["tags"] == "debian12;mine;retired"
    assert builds.config(9001)["description"].startswith("hands off")
    builds.api.put("nodes/node01/qemu/9001/config", protection=0)
    with faults.injected(
        {"match": "DELETE /nodes/node01/qemu/9001", "status": 500, "message": "can't lock file"}
    ):
        assert "stays: Proxmox at" in builds.step(cleanup).message
    assert builds.step(cleanup).changed
    assert builds.alone() == 9002


def test_nothing_of_a_person_is_taken_for_a_template(builds):
    """A machine with the template's tags, name or notes: by hand, or cloned by hand."""
    builds.build()
    for vmid, name in ((600, "debian12-template-building"), (601, "debian12-template-old")):
        tasks.wait(
            builds.api, builds.api.post("nodes/node01/qemu/9001/clone", newid=vmid, name=name), pause=0.1
        )
        for tag in ("building", "retired"):
            builds.api.put(f"nodes/node01/qemu/{vmid}/config", tags=f"debian12;{tag}")
            builds.step(cleanup)
            assert guests.find(vmid), tag


def test_a_hand_made_template_of_that_name_is_refused(builds):
    tasks.wait(
        builds.api, builds.api.post("nodes/node01/qemu/9000/clone", newid=600, name="debian12-template")
    )
    with pytest.raises(
        Fault, match=r"debian12-template \(VMID 600 on node01\) exists and was not built here"
    ):
        builds.build()
    assert guests.find(600) and not builds.templates()


def test_a_conversion_that_was_cut_off_is_no_template(builds, monkeypatch):
    builds.build(until="configure")
    guest = guests.find(9001)
    guest.config["template"] = 1  # what Proxmox does first
    guest.save()
    monkeypatch.setattr(notes, "_runs", lambda pid: False)
    builds.build()
    builds.alone()


def test_a_broken_template_is_told_and_replaced(builds):
    builds.build()
    guest = guests.find(9001)
    there = volumes.path("node01", "local-lvm:base-9001-disk-0")
    there.rename(there.with_name("vm-9001-disk-0"))
    guest.config["scsi0"] = guest.config["scsi0"].replace("base-", "vm-")
    guest.save()
    with pytest.raises(Fault, match=r"vm-9001-disk-0 was not converted; `make template IMAGE=debian12`"):
        builds.step(verify, image="debian12")
    builds.build()
    assert builds.alone() == 9002


def test_a_vmid_that_is_taken_meanwhile_costs_nothing(builds):
    taken = [
        {"match": "POST /nodes/node01/qemu$", "times": 1, "status": 500,
         "message": f"unable to create VM {vmid} - VM {vmid} already exists on node 'node02'"}
        for vmid in (9001, 9002)
    ]  # fmt: skip
    with faults.injected(*taken):
        builds.build()
    assert sum("was taken a moment ago" in line for line in builds.said) == 2
    assert builds.alone() == 9003


def test_a_full_storage_leaves_nothing_half_made(builds):
    arguments = builds.begin()
    builds.step(image, **arguments)
    with faults.injected({"full": "local-lvm"}), pytest.raises(Fault, match=r"free space in thin pool"):
        builds.step(create, **arguments)
    assert not builds.templates()
    builds.build()
    assert builds.alone() == 9001


def test_a_site_that_is_away_does_not_matter_when_the_image_is_there(builds, site):
    builds.build(until="image")
    with site.faults({"match": ".", "status": 503}):
        builds.build()
    builds.alone()


def test_an_image_that_was_changed_on_the_storage_is_not_used(builds):
    volid = builds.build(until="image")["image"].after["image"]
    with volumes.path("node01", volid).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(Fault, match="is not the image that it should be"):
        builds.build()
    assert not builds.templates()


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        ({"node": "node09"}, ["node09 is not a node of the cluster, which has node01, node02"]),
        ({"storage": "nowhere", "bridge": "vmbr7"}, ["has no storage nowhere", "has no bridge vmbr7; it has vmbr0"]),
        ({"image_storage": "local-lvm"}, ["storage local-lvm does not take import: `pvesm set local-lvm"]),
        ({"gpu": "rtx"}, ["no PCI mapping rtx"]),
        ({"agent": True}, ["debian12 has no guest agent, so the build boots once"]),
    ],
)  # fmt: skip
def test_all_that_is_missing_is_told_at_once(builds, more, problems):
    with pytest.raises(Fault) as caught:
        builds.build(**more)
    assert all(problem in str(caught.value) for problem in problems), caught.value
    assert not builds.templates()


@pytest.mark.parametrize(
    ("privilege", "path"),
    [
        ("VM.Allocate", "/vms"),
        ("VM.Config.Disk", "/vms"),
        ("VM.Config.Cloudinit", "/vms"),
        ("Datastore.AllocateSpace", "/storage/local-lvm"),
        ("Datastore.AllocateTemplate", "/storage/local"),
        ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
    ],
)
def test_a_missing_right_is_named_with_the_command_that_grants_it(builds, privilege, path):
    role = f"Without{privilege.replace('.', '')}"
    accounts.add_role(role, ",".join(p for p in read_role("GitOps") if p != privilege))
    accounts.grant("/", ["GitOps"], USER, None, True, True)
    accounts.grant("/", [role], USER, None, True, False)
    try:
        with pytest.raises(Fault, match=rf"lacks {re.escape(privilege)} .*on {path}: `pveum role modify"):
            builds.build()
    finally:
        accounts.grant("/", [role], USER, None, True, True)
        accounts.grant("/", ["GitOps"], USER, None, True, False)
    assert not builds.templates()


def read_role(name):
    from lab.proxmox import access

    return access.read()["roles"][name]


@pytest.mark.parametrize("storage", ["local", "local-lvm", "tank", "vg", "share"])
def test_each_type_of_storage_can_have_templates(builds, storage):
    builds.build(storage=storage, disk_size="1G", firmware="ovmf", secure_boot=True, tpm=True)
    (vmid,) = builds.templates()
    config = builds.config(vmid)
    assert config["bios"] == "ovmf" and "pre-enrolled-keys=1" in config["efidisk0"]
    assert "version=v2.0" in config["tpmstate0"] and "size=1G" in config["scsi0"]
    assert builds.build(storage=storage, disk_size="1G", firmware="ovmf", secure_boot=True, tpm=True)[
        "preflight"
    ]["ready"]


def test_states_and_tables(builds):
    with pytest.raises(Fault, match="there is no template debian12-template that was built here"):
        builds.step(verify, image="debian-12")
    assert builds.step(verify, all=True).message == "there are no templates yet"
    builds.build()
    assert "ready" in builds.step(verify, image="debian-12").message
    with pytest.raises(
        Fault, match="would be destroyed; say so with -e proxmox_template_confirm=debian12-template"
    ):
        builds.step(remove, image="debian12")
    assert builds.templates()
    assert builds.step(remove, check=True, image="debian12", confirm="debian12-template").changed
    assert builds.templates()
    assert builds.step(remove, image="debian12", confirm="debian12-template").changed
    assert not builds.templates() and not builds.step(remove, image="debian12").changed


def test_the_summary_is_a_table_of_stages(builds):
    builds.build()
    arguments = builds.begin() | {"stages": {"create-vm": {"seconds": 2, "msg": "made", "upid": "UPID:x"}}}
    text = builds.step(summary, **arguments).message
    assert "debian12-template  9001  node01  ready" in text and "create-vm  2.0      made" in text


def test_the_play_runs_in_check_mode_and_no_token_is_shown(builds):
    command = ["ansible-playbook", "-vvv", "--check", "--diff", str(ROOT / "proxmox/playbooks/template.yml")]
    command += ["-e", "proxmox_template_image=debian-12", "-e", "proxmox_template_agent=false"]
    env = environment() | {"PROXMOX_IMAGES": str(lab_dir() / "site/images.yml")}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=5" in done.stdout and "failed=0" in done.stdout
    assert secret("proxmox_token").partition("=")[2] not in done.stdout + done.stderr
    assert not builds.templates()
