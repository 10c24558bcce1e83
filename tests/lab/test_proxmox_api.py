"""The simulated Proxmox: its API as clients see it."""

import re
import subprocess

import pytest
import requests
from proxmoxer import ResourceException

from lab.proxmox import state
from tests.helpers.proxmox import BASE, TEMPLATE, finished

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
    ("POST", f"{TEMPLATE}/clone", {"newid": 9000}, 500, "unable to create VM 9000: config file already exists"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "name": "vm_02"}, 400, "name: invalid format"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "bogus": 1}, 400, "bogus: property is not defined"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "storage": "ceph"}, 500, "storage 'ceph' does not exist"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "target": "node02"}, 500, "VM uses local storage"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "full": 0, "storage": "local"}, 500, "not allowed for linked clones"),
    ("POST", f"{TEMPLATE}/clone", {"newid": 600, "pool": "none"}, 500, "pool 'none' does not exist"),
    ("POST", f"{TEMPLATE}/status/start", {}, 500, "you can't start a vm if it's a template"),
    ("POST", f"{TEMPLATE}/migrate", {"target": "node01"}, 400, "target is local node"),
    ("PUT", f"{TEMPLATE}/config", {}, 500, "no options specified"),
    ("PUT", f"{TEMPLATE}/config", {"cores": 0}, 400, "cores: value must have a minimum value of 1"),
    ("PUT", f"{TEMPLATE}/config", {"cores": "two"}, 400, "cores: type check ('integer') failed - got 'two'"),
    ("PUT", f"{TEMPLATE}/config", {"onboot": "maybe"}, 400, "onboot: type check ('boolean') failed"),
    ("PUT", f"{TEMPLATE}/config", {"memory": 8}, 400, "memory"),
    ("PUT", f"{TEMPLATE}/config", {"colour": "red"}, 400, "colour: property is not defined in schema"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "local-lvm:1,colour=red"}, 400, "list property: colour"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "ceph:1"}, 500, "storage 'ceph' does not exist"),
    ("PUT", f"{TEMPLATE}/config", {"scsi1": "local-lvm:vm-9000-disk-7"}, 500, "does not exist"),
    ("PUT", f"{TEMPLATE}/config", {"net0": "virtio=01:00:5e:00:00:01"}, 400, "net0: invalid format"),
    ("PUT", f"{TEMPLATE}/config", {"ipconfig0": "ip=192.168.1.20"}, 400, "does not look like a valid ip"),
    ("PUT", f"{TEMPLATE}/config", {"ipconfig0": "gw=192.168.1.1"}, 400, "required by 'ipconfig0.gw'"),
    ("PUT", f"{TEMPLATE}/config", {"sshkeys": "ssh-ed25519 AAAA"}, 400, "invalid urlencoded string"),
    ("PUT", f"{TEMPLATE}/config", {"sshkeys": "nonsense"}, 400, "SSH public key validation error"),
    ("PUT", f"{TEMPLATE}/config", {"memory": 64, "delete": "memory"}, 400, "at the same time"),
    ("PUT", f"{TEMPLATE}/config", {"delete": "colour"}, 400, "unknown option 'colour'"),
    ("PUT", f"{TEMPLATE}/config", {"tags": "a", "digest": "0" * 40}, 500, "checksum mismatch"),
    ("PUT", f"{TEMPLATE}/config", {"tags": "a", "skiplock": 1}, 400, "Only root may use this option"),
    ("PUT", f"{TEMPLATE}/resize", {"disk": "scsi0", "size": "big"}, 400, "does not match the regex pattern"),
    *(
        (method, path, {}, 400, "colour: property is not defined in schema and the schema does not allow")
        for method, path in (
            ("GET", "/access/permissions?colour=red"), ("GET", "/cluster/nextid?colour=red"),
            ("GET", "/cluster/resources?colour=red"), ("GET", "/nodes/node01/network?colour=red"),
            ("GET", "/nodes/node01/qemu?colour=red"), ("GET", f"{TEMPLATE}/config?colour=red"),
            ("GET", f"{TEMPLATE}/pending?colour=red"), ("POST", f"{TEMPLATE}/migrate?target=node02&colour=red"),
            ("POST", f"{TEMPLATE}/move_disk?disk=scsi0&colour=red"), ("POST", "/nodes/node01/qemu?vmid=600&colour=red"),
            ("GET", "/nodes/node01/storage?colour=red"), ("GET", "/nodes/node01/storage/local/status?colour=red"),
            ("GET", "/nodes/node01/storage/local/content?colour=red"), ("GET", "/storage?colour=red"),
            ("GET", "/nodes/node01/tasks?colour=red"),
        )
    ),
    ("GET", "/nodes/node01/tasks/UPID:nonsense/status", {}, 400, "unable to parse worker upid"),
    ("GET", "/nodes/node01/storage/ceph/status", {}, 400, "storage: No such storage."),
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


def test_tls_is_1_3_and_by_the_labs_authority(hypervisor):
    with requests.Session() as stranger, pytest.raises(requests.exceptions.SSLError):
        stranger.trust_env = False
        stranger.get(f"{BASE}/version")
    old = ["curl", "--silent", "--cacert", hypervisor / "tls/ca.pem", "--tls-max", "1.2", f"{BASE}/version"]
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
    assert [s["storage"] for s in get("/nodes/node01/storage")] == [
        "local",
        "local-lvm",
        "share",
        "tank",
        "vg",
    ]
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
