"""The stand-in for Proxmox: its API as clients see it, its machines from outside and inside."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests
from proxmoxer import ProxmoxAPI, ResourceException

from lab import cgroup, daemons, lab_dir, leftovers, network, process, secret
from lab.proxmox import cloudinit, faults, machines, properties, state

BASE = "https://192.168.1.1:8006/api2/json"
TEMPLATE = "/nodes/node01/qemu/9000"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A lab of its own with nothing but Proxmox in it; the tests' thread is in its network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("proxmox") / "lab"))
        daemons.up(["proxmox"])
        patch.setenv("REQUESTS_CA_BUNDLE", str(lab_dir() / "tls/bundle.pem"))
        with network.inside():
            yield lab_dir()
        daemons.down()


@pytest.fixture
def session(small):
    with requests.Session() as found:
        found.headers["Authorization"] = f"PVEAPIToken={secret('proxmox_token')}"
        yield found


@pytest.fixture
def api(small):
    name, _, value = secret("proxmox_token").partition("=")
    user, _, token = name.partition("!")
    return ProxmoxAPI("192.168.1.1", user=user, token_name=token, token_value=value)


@pytest.fixture
def root(small):
    """A session of root@pam, by ticket."""
    with requests.Session() as found:
        login = {"username": "root@pam", "password": secret("proxmox_root_password")}
        ticket = found.post(f"{BASE}/access/ticket", data=login).json()["data"]
        found.cookies.set("PVEAuthCookie", ticket["ticket"])
        found.headers["CSRFPreventionToken"] = ticket["CSRFPreventionToken"]
        yield found


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "small" in request.fixturenames:
        faults.inject()


@pytest.fixture
def vm(api):
    """A machine cloned from the template, stopped; gone at the end."""
    yield from made(api, 500)


def made(api, vmid):
    node = api.nodes("node01")
    assert finished(api, node.qemu(9000).clone.post(newid=vmid, name=f"vm-{vmid}", full=1)) == "OK"
    yield node.qemu(vmid)
    for name in state.NODES:
        with contextlib.suppress(ResourceException):
            left = api.nodes(name).qemu(vmid)
            finished(api, left.status.stop.post())
            left.config.put(protection=0)
            finished(api, left.delete(purge=1))


def finished(api, upid: str) -> str:
    """The exit status of a task, once it has ended."""
    node = upid.split(":")[1]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        task = api.nodes(node).tasks(upid).status.get()
        if task["status"] == "stopped":
            return task["exitstatus"]
        time.sleep(0.02)
    raise AssertionError(f"{upid} does not end")


# (method, path, body, status, part of the reason or the errors)
REFUSED = (
    ("GET", "/nodes/node09/qemu", {}, 500, "hostname lookup 'node09' failed"),
    ("GET", "/nodes/node01/qemu/404/config", {}, 500, "'nodes/node01/qemu-server/404.conf' does not exist"),
    ("GET", "/nodes/node02/qemu/9000/config", {}, 500, "'nodes/node02/qemu-server/9000.conf' does not exist"),
    ("GET", "/cluster/nextid?vmid=9000", {}, 400, "vmid: VM 9000 already exists"),
    ("GET", "/nowhere", {}, 501, "not implemented"),
    ("GET", "/cluster/ha/resources/vm:9000", {}, 500, "no such resource"),
    ("POST", f"{TEMPLATE}/clone", {}, 400, "newid: property is missing and it is not optional"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 99}, 400, "newid: invalid format"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 9000}, 500, "VM 9000 already exists on node 'node01'"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "name": "vm_02"}, 400, "name: invalid format"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "bogus": 1}, 400, "bogus: property is not defined"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "storage": "ceph"}, 500, "storage 'ceph' does not exist"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "target": "node02"}, 500, "VM uses local storage"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "full": 0, "storage": "local"}, 400, "not allowed"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "pool": "none"}, 500, "pool 'none' does not exist"),
    ("POST", f"{TEMPLATE}/status/start", {}, 500, "you can't start a vm if it's a template"),
    ("POST", f"{TEMPLATE}/migrate", {"target": "node01"}, 400, "target is local node"),
    ("PUT", f"{TEMPLATE}/config", {}, 500, "no options specified"),
    ("PUT", f"{TEMPLATE}/config", {"cores": 0}, 400, "cores: value must have a minimum value of 1"),
    ("PUT", f"{TEMPLATE}/config", {"cores": "two"}, 400, "cores: type check ('integer') failed - got 'two'"),
    ("PUT", f"{TEMPLATE}/config", {"onboot": "maybe"}, 400, "onboot: type check ('boolean') failed"),
    ("PUT", f"{TEMPLATE}/config", {"memory": 8}, 400, "memory"),
    ("PUT", f"{TEMPLATE}/config", {"colour": "red"}, 400, "colour: property is not defined in schema"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "local-lvm:1,colour=red"}, 400, "scsi1.colour"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "ceph:1"}, 500, "storage 'ceph' does not exist"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "local-lvm:vm-9000-disk-7"}, 500, "does not exist"),
    ("PUT", f"{TEMPLATE}/config", {"net0": "virtio=01:00:5e:00:00:01"}, 400, "net0: invalid format"),
    ("PUT", f"{TEMPLATE}/config", {"ipconfig0": "ip=192.168.1.20"}, 400, "does not look like a valid ip"),
    ("PUT", f"{TEMPLATE}/config", {"ipconfig0": "gw=192.168.1.1"}, 400, "gateway specified without"),
    ("PUT", f"{TEMPLATE}/config", {"sshkeys": "ssh-ed25519 AAAA"}, 400, "invalid urlencoded string"),
    ("PUT", f"{TEMPLATE}/config", {"sshkeys": "nonsense"}, 400, "SSH public key validation error"),
    ("PUT", f"{TEMPLATE}/config", {"memory": 64, "delete": "memory"}, 400, "at the same time"),
    ("PUT", f"{TEMPLATE}/config", {"delete": "colour"}, 400, "unknown option 'colour'"),
    ("PUT", f"{TEMPLATE}/config", {"tags": "a", "digest": "0" * 40}, 500, "detected modified configuration"),
    ("PUT", f"{TEMPLATE}/config", {"tags": "a", "skiplock": 1}, 400, "Only root may use this option"),
    ("PUT", f"{TEMPLATE}/resize", {"disk": "scsi0", "size": "big"}, 400, "does not match the regex pattern"),
    ("GET", "/nodes/node01/tasks/UPID:nonsense/status", {}, 400, "unable to parse worker upid"),
    ("GET", "/nodes/node01/storage/ceph/status", {}, 500, "storage 'ceph' does not exist"),
    ("PUT", "/access/acl", {"path": "/", "roles": "NoAccess", "users": "a@pve"}, 403, "Permissions.Modify"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), REFUSED)
@pytest.mark.parametrize("form", ["data", "json"])
def test_refusals(session, method, path, body, status, text, form):
    answer = session.request(method, BASE + path, **{form: body})
    errors = [f"{key}: {value}" for key, value in answer.json().get("errors", {}).items()]
    assert answer.status_code == status, answer.text
    assert text in " ".join([answer.reason, *errors])
    assert answer.json()["data"] is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "No ticket"),
        ("PVEAPIToken=terraform@pve!gitops=wrong", "invalid token value!"),
        ("PVEAPIToken=terraform@pve!other=x", "no such token 'other' for user 'terraform@pve'"),
        ("PVEAPIToken=nobody@pve!gitops=x", "no such user"),
    ],
)
def test_who_does_not_prove_himself(session, header, reason):
    answer = session.get(f"{BASE}/version", headers={"Authorization": header})
    assert (answer.status_code, answer.reason[: len(reason)]) == (401, reason)


def test_ticket_and_privileges(session, root):
    bad = session.post(f"{BASE}/access/ticket", data={"username": "root@pam", "password": "x"})
    assert (bad.status_code, bad.reason) == (401, "authentication failure")
    forged = root.post(f"{BASE}/access/users", data={"userid": "x@pve"}, headers={"CSRFPreventionToken": ""})
    assert forged.status_code == 401
    for path, body in (
        ("/access/roles", {"roleid": "Reader", "privs": "VM.Audit,Datastore.Audit"}),
        ("/access/users", {"userid": "reader@pve"}),
    ):
        assert root.post(BASE + path, data=body).status_code == 200
    acl = {"path": "/vms", "roles": "Reader", "users": "reader@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
    token = root.post(f"{BASE}/access/users/reader@pve/token/t", data={"privsep": 0}).json()["data"]
    reader = {"Authorization": f"PVEAPIToken={token['full-tokenid']}={token['value']}"}

    def ask(method, path, **body):
        answer = session.request(method, BASE + path, data=body, headers=reader)
        return answer.status_code, answer.reason

    assert ask("GET", f"{TEMPLATE}/config")[0] == 200
    for method, path, body, text in (
        ("POST", f"{TEMPLATE}/clone", {"newid": 600}, "(/vms/9000, VM.Clone)"),
        ("DELETE", TEMPLATE, {}, "(/vms/9000, VM.Allocate)"),
        ("PUT", f"{TEMPLATE}/config", {"memory": 64}, "(/vms/9000, VM.Config.Memory)"),
        ("POST", f"{TEMPLATE}/status/start", {}, "(/vms/9000, VM.PowerMgmt)"),
        ("GET", "/nodes/node01/storage/local-lvm/status", {}, "(/storage/local-lvm, Datastore.Audit|"),
    ):
        status, reason = ask(method, path, **body)
        assert status == 403
        assert reason.startswith("Permission check failed ")
        assert text in reason
    # What a caller may not see is simply not there: lost rights look like a lost machine.
    everything = session.get(f"{BASE}/cluster/resources?type=vm").json()["data"]
    acl = {"path": "/vms/9000", "ugid": "reader@pve", "type": "user", "roleid": "NoAccess", "propagate": 1}
    access = state.read_json(state.root() / "access.json", {})
    access["acl"].append(acl)
    state.write_json(state.root() / "access.json", access)
    seen = session.get(f"{BASE}/cluster/resources?type=vm", headers=reader).json()["data"]
    assert [item["vmid"] for item in everything] == [9000]
    assert seen == []


def test_tls_is_1_3_and_by_the_labs_authority(small):
    with requests.Session() as stranger, pytest.raises(requests.exceptions.SSLError):
        stranger.trust_env = False
        stranger.get(f"{BASE}/version")
    old = ["curl", "--silent", "--cacert", small / "tls/ca.pem", "--tls-max", "1.2", f"{BASE}/version"]
    assert subprocess.run(old, capture_output=True).returncode == 35


def test_what_the_provider_reads(session):
    def get(path):
        return session.get(BASE + path).json()["data"]

    assert [node["node"] for node in get("/nodes")] == ["node01", "node02"]
    listed = get("/nodes/node01/qemu")[0]
    assert (listed["vmid"], listed["name"], listed["status"], listed["template"]) == (
        9000, "ubuntu24-template", "stopped", 1,
    )  # fmt: skip
    assert get("/nodes/node02/qemu") == []
    config = get(f"{TEMPLATE}/config")
    assert "systemd-nspawn" in config["description"]
    assert config["scsi0"] == "local-lvm:base-9000-disk-0,discard=on,iothread=1,size=3G,ssd=1"
    assert {type(config[key]) for key in ("cores", "sockets", "numa", "template")} == {int}
    assert {type(config[key]) for key in ("memory", "cpu", "net0", "agent", "digest")} == {str}
    assert get("/cluster/nextid") == "100"
    assert get("/cluster/nextid?vmid=600") == "600"
    assert {s["storage"] for s in get("/nodes/node01/storage")} == {"local", "local-lvm"}
    volume = get("/nodes/node01/storage/local-lvm/content/local-lvm:base-9000-disk-0")
    assert (volume["format"], volume["size"]) == ("raw", 3 << 30)
    assert get("/pools") == []


def test_clone_is_a_machine_of_its_own(api, vm):
    template, config = api.nodes("node01").qemu(9000).config.get(), vm.config.get()
    assert config["name"] == "vm-500"
    assert "template" not in config
    assert config["scsi0"].startswith("local-lvm:vm-500-disk-0,")
    assert config["ide2"].startswith("local-lvm:vm-500-cloudinit,media=cdrom")
    assert config["description"] == template["description"], "inherited, as in Proxmox"
    for key in ("net0", "smbios1", "vmgenid"):
        assert config[key] != template[key]
    assert re.fullmatch(r"virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0", config["net0"])


def test_linked_clone_and_pool(api, session):
    assert session.post(f"{BASE}/pools", data={"poolid": "team"}).status_code == 200
    clone = {"newid": 501, "name": "linked", "full": 0, "pool": "team"}
    assert finished(api, api.nodes("node01").qemu(9000).clone.post(**clone)) == "OK"
    members = session.get(f"{BASE}/pools?poolid=team").json()["data"][0]["members"]
    assert [member["id"] for member in members] == ["qemu/501"]
    # The slash at the end is the provider's.
    answer = session.delete(f"{BASE}/nodes/node01/qemu/501/?destroy-unreferenced-disks=0&purge=1")
    assert finished(api, answer.json()["data"]) == "OK"
    assert session.get(f"{BASE}/pools/team").json()["data"]["members"] == []
    assert session.delete(f"{BASE}/pools/team").status_code == 200


def test_disks_are_allocated_detached_and_freed(api, vm, session):
    vm.config.put(scsi1="local-lvm:1,ssd=1,discard=on", scsi2="file=local:1", serial0="socket")
    config = vm.config.get()
    assert config["scsi1"] == "local-lvm:vm-500-disk-1,discard=on,size=1G,ssd=1"
    assert config["scsi2"] == "local:500/vm-500-disk-0.raw,size=1G"
    vm.config.put(scsi1=f"file=local-lvm:vm-500-disk-1,size={1 << 30},aio=io_uring")
    assert vm.config.get()["scsi1"] == "local-lvm:vm-500-disk-1,aio=io_uring,size=1G", (
        "size is the volume's own"
    )
    assert finished(api, vm.resize.put(disk="scsi1", size="+1G")) == "OK"
    assert finished(api, vm.resize.put(disk="scsi1", size=str(3 << 30))) == "OK"
    assert finished(api, vm.resize.put(disk="scsi1", size="2G")) == "shrinking disks is not supported"
    assert finished(api, vm.resize.put(disk="scsi9", size="2G")) == "disk 'scsi9' does not exist"
    assert finished(api, vm.move_disk.post(disk="scsi2", storage="local-lvm", delete=1)) == "OK"
    assert vm.config.get()["scsi2"] == "local-lvm:vm-500-disk-2,size=1G"
    vm.config.put(delete="scsi1,ide2")
    config = vm.config.get()
    assert config["unused0"] == "local-lvm:vm-500-disk-1"
    assert "ide2" not in config
    vm.config.put(scsi3="local-lvm:vm-500-disk-1")
    assert "unused0" not in vm.config.get()
    assert vm.config.get()["scsi3"] == "local-lvm:vm-500-disk-1,size=3G"
    vm.config.put(delete="scsi3")
    vm.config.put(delete="unused0")
    content = api.nodes("node01").storage("local-lvm").content.get(vmid=500)
    assert {item["volid"] for item in content} == {"local-lvm:vm-500-disk-0", "local-lvm:vm-500-disk-2"}
    vm.config.put(protection=1)
    with pytest.raises(ResourceException, match="can't remove VM 500 - protection mode enabled"):
        vm.delete()
    with pytest.raises(ResourceException, match="protection mode enabled"):
        vm.config.put(delete="scsi2")


def test_migration_takes_the_volumes_along(api, vm):
    assert finished(api, vm.migrate.post(target="node02")) == "OK"
    with pytest.raises(ResourceException, match="does not exist"):
        vm.config.get()
    there = api.nodes("node02").qemu(500)
    assert there.config.get()["scsi0"].startswith("local-lvm:vm-500-disk-0")
    assert [v["volid"] for v in api.nodes("node01").storage("local-lvm").content.get(vmid=500)] == []


def test_tags_and_mac(vm):
    vm.config.put(tags="web,K8S;web", net0="virtio,bridge=vmbr0,firewall=0")
    first = vm.config.get()
    assert first["tags"] == "k8s;web"
    assert re.fullmatch(r"virtio=BC:24:11\S{9},bridge=vmbr0,firewall=0", first["net0"])
    vm.config.put(net0="model=e1000,macaddr=BC:24:11:2E:01:AA,bridge=vmbr0")
    assert vm.config.get()["net0"] == "e1000=BC:24:11:2E:01:AA,bridge=vmbr0"


def test_faults(api, vm, session):
    config = f"{BASE}/nodes/node01/qemu/500/config"
    with faults.injected({"match": "PUT .*/config", "times": 2, "status": 500, "message": "got timeout"}):
        answers = [session.put(config, data={"tags": "a"}) for _ in range(3)]
    assert [(a.status_code, a.reason) for a in answers] == [(500, "got timeout")] * 2 + [(200, "OK")]
    with faults.injected({"match": "GET /nodes/node02/", "status": 595, "message": "No route to host"}):
        assert session.get(f"{BASE}/nodes/node02/qemu").status_code == 595
    with faults.injected({"match": "GET /cluster/resources", "data": []}):
        assert session.get(f"{BASE}/cluster/resources?type=vm").json() == {"data": []}
    with faults.injected({"match": "TASK qmstart:500", "error": "start failed: QEMU exited with code 1"}):
        assert finished(api, vm.status.start.post()) == "start failed: QEMU exited with code 1"
    with faults.injected({"full": "local-lvm"}):
        failed = finished(api, api.nodes("node01").qemu(9000).clone.post(newid=502))
        with pytest.raises(ResourceException, match="free space in thin pool"):
            vm.config.put(scsi1="local-lvm:1")
    assert failed.startswith("clone failed: lvcreate 'pve/vm-502-disk-0' error")
    assert session.get(f"{BASE}/nodes/node01/qemu/502/config").status_code == 500, "nothing is left of it"


def test_lock_while_a_clone_runs_and_none_when_its_client_is_gone(api, session):
    with faults.injected({"match": "TASK qmclone:", "delay": 1}):
        upid = api.nodes("node01").qemu(9000).clone.post(newid=503, name="slow", full=1)
        locked = api.nodes("node01").qemu(503)
        assert locked.status.current.get()["lock"] == "clone"
        assert locked.config.get()["name"] == "slow"
        with pytest.raises(ResourceException, match=r"VM is locked \(clone\)"):
            locked.config.put(tags="a")
        with pytest.raises(ResourceException, match="already exists"):
            api.nodes("node01").qemu(9000).clone.post(newid=503)
        assert api.nodes("node01").tasks(upid).status.get()["status"] == "running"
        # The API dies; the worker does not care.
        process.kill("proxmox")
        daemons.up(["proxmox"])
        assert finished(api, upid) == "OK"
    log = [line["t"] for line in api.nodes("node01").tasks(upid).log.get()]
    assert log[0].startswith("create full clone of drive")
    assert log[-1] == "TASK OK"
    assert "lock" not in locked.status.current.get()
    assert finished(api, locked.delete()) == "OK"


def test_a_worker_that_was_killed(api, session, root):
    with faults.injected({"match": "TASK qmclone:", "delay": 60}):
        upid = api.nodes("node01").qemu(9000).clone.post(newid=504)
        os.kill(int(upid.split(":")[2], 16), signal.SIGKILL)
        assert finished(api, upid) == "unexpected status"
    locked = api.nodes("node01").qemu(504)
    with pytest.raises(ResourceException, match=r"VM is locked \(clone\)"):
        locked.delete()
    unlock = f"{BASE}/nodes/node01/qemu/504/config"  # as qm unlock does
    assert session.put(unlock, data={"delete": "lock"}).status_code == 500
    assert root.put(unlock, data={"delete": "lock", "skiplock": 1}).status_code == 200
    assert finished(api, locked.delete()) == "OK"


def ssh(address: str, command: str, timeout: float = 30) -> str:
    """Run a command as the cloud-init user, as soon as the machine answers."""
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=1",
    )
    argv = ["ssh", "-i", lab_dir() / "secrets/ssh_key", *(f"-o{option}" for option in options)]
    argv += [f"suporte@{address}", command]
    deadline = time.monotonic() + timeout
    while True:
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode != 255 or time.monotonic() > deadline:
            assert done.returncode == 0, done.stderr
            return done.stdout
        time.sleep(0.1)


def host_key(address: str) -> str:
    scan = subprocess.run(["ssh-keyscan", "-t", "ed25519", address], capture_output=True, text=True)
    return scan.stdout.split()[2]


def keys() -> str:
    return urllib.parse.quote((lab_dir() / "secrets/ssh_key.pub").read_text(), safe="")


BY_ID = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"


def test_a_machines_life(api, vm):
    """Boot, disks while it runs, restarts from inside and outside, a new instance, migration, death."""
    address = "192.168.1.20"
    vm.config.put(
        ciuser="suporte", sshkeys=keys(), ipconfig0=f"ip={address}/24,gw=192.168.1.1", scsi1="local-lvm:1"
    )
    assert finished(api, vm.resize.put(disk="scsi0", size="5G")) == "OK"
    assert finished(api, vm.status.start.post()) == "OK"
    assert ssh(address, "hostname; whoami; sudo id -u").split() == ["vm-500", "suporte", "0"]
    assert finished(api, vm.status.start.post()) == "VM 500 already running"
    assert "status: done" in ssh(address, "cloud-init status --wait")
    assert int(ssh(address, "df --output=size -B1G / | tail -1")) >= 4, "grown at boot"
    assert ssh(address, "systemctl --failed --quiet") == ""
    mac = properties.parse_net("net0", vm.config.get()["net0"])["macaddr"]
    assert ssh(address, "cat /sys/class/net/eth0/address").strip().upper() == mac

    # The guest agent's answer comes from inside.
    interfaces = vm.agent("network-get-interfaces").get()["result"]
    eth0 = next(item for item in interfaces if item["name"] == "eth0")
    assert eth0["hardware-address"].upper() == mac
    assert {"ip-address": address, "prefix": 24, "ip-address-type": "ipv4"} in eth0["ip-addresses"]

    # A file system on the extra disk, mounted by UUID; the disk grows while it is in use.
    fstab = f"UUID=$(sudo blkid -o value -s UUID {BY_ID}) /mnt/storage ext4 defaults 0 2"
    ssh(address, f"sudo mkfs.ext4 -q {BY_ID} && sudo mkdir /mnt/storage")
    ssh(address, f"echo {fstab} | sudo tee -a /etc/fstab && sudo mount /mnt/storage")
    ssh(address, "sudo touch /mnt/storage/kept")
    assert finished(api, vm.resize.put(disk="scsi1", size="2G")) == "OK"
    assert ssh(address, f"lsblk -bno SIZE {BY_ID}").strip() == str(2 << 30)

    # A disk is plugged in and out.
    vm.config.put(scsi2="local-lvm:1")
    assert ssh(address, f"lsblk -bno SIZE {BY_ID.replace('scsi1', 'scsi2')}").strip() == str(1 << 30)
    vm.config.put(delete="scsi2")
    assert ssh(address, "ls /dev/disk/by-id").split() == [
        f"scsi-0QEMU_QEMU_HARDDISK_drive-scsi{n}" for n in (0, 1)
    ]
    assert vm.config.get()["unused0"] == "local-lvm:vm-500-disk-2"

    # Memory waits for a start from outside.
    vm.config.put(memory=768, tags="now")
    assert vm.config.get()["memory"] == "768"
    assert vm.config.get(current=1)["memory"] == "1024"
    pending = [item for item in vm.pending.get() if "pending" in item]
    assert pending == [{"key": "memory", "value": "1024", "pending": "768"}]
    before, key = machines.running(500), host_key(address)
    with contextlib.suppress(AssertionError):
        ssh(address, "sudo systemctl reboot")
    wait_for(lambda: machines.running(500)["leader"] not in (None, before["leader"]))
    assert ssh(address, "ls /mnt/storage").split() == ["kept", "lost+found"], "mounted again"
    assert vm.config.get(current=1)["memory"] == "1024", "a restart from inside changes nothing"
    assert host_key(address) == key
    assert finished(api, vm.status.reboot.post()) == "OK"
    assert vm.config.get(current=1)["memory"] == "768"
    assert ssh(address, "ls /mnt/storage").split() == ["kept", "lost+found"]
    assert host_key(address) == key, "the same instance"

    # Another name server makes another instance, and that other host keys.
    vm.config.put(nameserver="192.168.1.1")
    assert finished(api, vm.status.shutdown.post(timeout=30)) == "OK"
    assert vm.status.current.get()["status"] == "stopped"
    assert finished(api, vm.status.start.post()) == "OK"
    ssh(address, "true")
    assert host_key(address) != key

    # The API dies and comes back; the machine does not notice. Nor does it notice that it moves.
    leader = machines.running(500)["leader"]
    process.kill("proxmox")
    daemons.up(["proxmox"])
    with pytest.raises(ResourceException, match="can't migrate running VM without --online"):
        vm.migrate.post(target="node02")
    assert finished(api, vm.migrate.post(target="node02", online=1)) == "OK"
    assert machines.running(500)["leader"] == leader
    there = api.nodes("node02").qemu(500)
    assert there.status.current.get()["status"] == "running"
    with pytest.raises(ResourceException, match="VM 500 is running - destroy failed"):
        there.delete()
    assert finished(api, there.status.stop.post()) == "OK"
    assert finished(api, there.delete(purge=1)) == "OK"
    assert "vm500" not in cgroup.names()
    assert not [name for name in leftovers.loops() if name]


def wait_for(check, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_package_is_installed_without_a_mirror(api, vm):
    vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.21/24")
    assert finished(api, vm.status.start.post()) == "OK"
    ssh("192.168.1.21", "sudo cloud-init status --wait; ! dpkg -s haproxy && sudo apt-get -qq update")
    out = ssh(
        "192.168.1.21",
        "sudo apt-get -qq install -y haproxy >&2; systemctl is-active haproxy; sudo haproxy -v",
    )
    assert out.startswith("active\nHAProxy version 2.6")


def test_a_machine_that_never_answers(api, vm):
    with faults.injected({"no_boot": 500}):
        assert finished(api, vm.status.start.post()) == "OK"
        assert vm.status.current.get()["status"] == "running"
        with pytest.raises(ResourceException, match="QEMU guest agent is not running"):
            vm.agent("network-get-interfaces").get()
        timeout = finished(api, vm.status.shutdown.post(timeout=1))
        assert timeout == "VM quit/powerdown failed - got timeout"
        assert finished(api, vm.status.shutdown.post(timeout=1, forceStop=1)) == "OK"


def test_five_clones_at_once(api):
    ids = range(510, 515)
    with contextlib.ExitStack() as stack:
        for vmid in ids:
            stack.callback(lambda vmid=vmid: next(leftover(api, vmid), None))
        node = api.nodes("node01")
        tasks = [node.qemu(9000).clone.post(newid=vmid) for vmid in ids]
        assert [finished(api, upid) for upid in tasks] == ["OK"] * len(tasks)
        disks = {node.qemu(vmid).config.get()["scsi0"].partition(",")[0] for vmid in ids}
        assert disks == {f"local-lvm:vm-{vmid}-disk-0" for vmid in ids}
        assert len({node.qemu(vmid).config.get()["net0"] for vmid in ids}) == len(tasks)


def leftover(api, vmid):
    yield finished(api, api.nodes("node01").qemu(vmid).delete(purge=1))


def test_machines_come_back_with_the_lab(api, small):
    for vm in made(api, 505):
        vm.config.put(ciuser="suporte", sshkeys=keys(), ipconfig0="ip=192.168.1.22/24")
        assert finished(api, vm.status.start.post()) == "OK"
        ssh("192.168.1.22", "true")
        machines.stop_all()
        assert not machines.alive()
        process.kill("proxmox")
        (small / "run" / "proxmox.booted").unlink()  # as when the lab is stopped
        daemons.up(["proxmox"])
        wait_for(lambda: machines.running(505))
        ssh("192.168.1.22", "true")
        # Its process was killed: it counts as off, and the next start ends what is left of it.
        os.kill(machines.running(505)["pid"], signal.SIGKILL)
        wait_for(lambda: not machines.running(505))
        assert vm.status.current.get()["status"] == "stopped"
        assert finished(api, vm.status.start.post()) == "OK"
        ssh("192.168.1.22", "true")


# The cloud-init drive as PVE::QemuServer::Cloudinit writes it.
USER_DATA = """\
#cloud-config
hostname: web
manage_etc_hosts: true
fqdn: web.lan
user: suporte
ssh_authorized_keys:
  - ssh-ed25519 AAAA a@b
  - ssh-ed25519 BBBB
chpasswd:
  expire: False
users:
  - default
package_upgrade: true
"""
NETWORK = """\
version: 1
config:
    - type: physical
      name: eth0
      mac_address: 'bc:24:11:2e:01:aa'
      subnets:
      - type: static
        address: '192.168.1.20'
        netmask: '255.255.255.0'
        gateway: '192.168.1.1'
      - type: static6
        address: 'fd00::20/64'
    - type: nameserver
      address:
      - '192.168.1.2'
      search:
      - 'lan'
"""


def test_cloudinit_drive():
    config = {
        "name": "web", "ciuser": "suporte", "searchdomain": "lan", "nameserver": "192.168.1.2",
        "sshkeys": "ssh-ed25519%20AAAA%20a%40b%0Assh-ed25519%20BBBB%0A",
        "net0": "virtio=BC:24:11:2E:01:AA,bridge=vmbr0",
        "ipconfig0": "ip=192.168.1.20/24,gw=192.168.1.1,ip6=fd00::20/64",
    }  # fmt: skip
    seed = cloudinit.seed(config, 500)
    assert seed["user-data"] == USER_DATA
    assert seed["network-config"] == NETWORK
    assert re.fullmatch(r"instance-id: [0-9a-f]{40}\n", seed["meta-data"])
    same = cloudinit.seed(config | {"memory": "1", "tags": "x"}, 500)
    assert same == seed
    assert cloudinit.seed(config | {"ciuser": "root"}, 500)["meta-data"] != seed["meta-data"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0"), (1 << 30, "1G"), (1536 << 20, "1536M"), (1 << 40, "1T"), (4 << 20, "4M"), (1000, "1000")],
)
def test_sizes(size, shown):
    assert properties.show_size(size) == shown
    assert properties.to_bytes(shown) == size


def test_two_writers_of_one_configuration_take_turns(api, vm):
    def write(key):
        for value in range(5):
            vm.config.put(**{key: f"192.168.1.{value + 1}" if key == "nameserver" else str(100 + value)})

    threads = [threading.Thread(target=write, args=(key,)) for key in ("nameserver", "memory")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    config = vm.config.get()
    assert (config["nameserver"], config["memory"]) == ("192.168.1.5", "104")
