"""The simulated Proxmox: what tokens may do and are told, the cluster's options, and the list of tasks."""

import contextlib

import pytest
from proxmoxer import ResourceException

from lab.proxmox import faults, state
from tests.helpers.proxmox import BASE, finished


@pytest.fixture
def grant(root):
    """Gives a user or token a role of these privileges at a path; all is as before at the end."""
    before = state.read_json(state.root() / "access.json", {})

    def give(who: str, path: str, privs: str, propagate: int = 1) -> None:
        kind, role = "tokens" if "!" in who else "users", f"r{privs.replace(',', '')}"
        root.post(f"{BASE}/access/roles", data={"roleid": role, "privs": privs})
        acl = {"path": path, "roles": role if privs else "NoAccess", kind: who, "propagate": propagate}
        assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200

    yield give
    state.write_json(state.root() / "access.json", before)


def login(root, user: str, token: str, privsep: int = 1) -> dict[str, str]:
    root.post(f"{BASE}/access/users", data={"userid": user})
    made = root.post(f"{BASE}/access/users/{user}/token/{token}", data={"privsep": privsep}).json()["data"]
    return {"Authorization": f"PVEAPIToken={made['full-tokenid']}={made['value']}"}


def test_permissions_are_told_by_path_with_what_holds_below(session, root, grant):
    of_user, of_token = login(root, "ann@pve", "all", 0), login(root, "ann@pve", "some")
    grant("ann@pve", "/", "Sys.Audit,VM.Audit")
    grant("ann@pve", "/vms", "VM.Audit,VM.Clone", propagate=0)
    grant("ann@pve", "/storage/tank", "")
    grant("ann@pve!some", "/vms", "VM.Clone,VM.Allocate")

    def told(headers, query=""):
        answer = session.get(f"{BASE}/access/permissions{query}", headers=headers)
        return answer.json()["data"] if answer.status_code == 200 else answer.reason

    everywhere = {"Sys.Audit": 1, "VM.Audit": 1}
    found = told(of_user)
    assert found["/"] == found["/storage"] == found["/access/groups"] == everywhere
    assert found["/vms"] == {"VM.Audit": 0, "VM.Clone": 0}
    assert "/storage/tank" not in found, "what allows nothing is left out"
    assert told(of_user, "?path=/vms/100") == {"/vms/100": everywhere}, "/vms does not hold below"
    assert told(of_user, "?path=/storage/tank") == {"/storage/tank": {}}
    assert told(of_token) == {"/vms": {"VM.Clone": 0}}, "what both have"
    assert told(of_user, "?userid=ann@pve!some") == {"/vms": {"VM.Clone": 0}}
    assert told(of_token, "?userid=ann@pve") == "Permission check failed (/access, Sys.Audit)"


def test_a_pool_gives_rights_to_its_machines(session, root, grant, vm):
    headers = login(root, "bob@pve", "t", 0)
    assert root.post(f"{BASE}/pools", data={"poolid": "team"}).status_code == 200
    grant("bob@pve", "/pool/team", "VM.Audit,VM.Allocate,VM.Config.Disk")
    body = {"vmid": 640, "pool": "team", "name": "new"}
    create = f"{BASE}/nodes/node01/qemu"
    refused = session.post(create, data={"vmid": 640}, headers=headers)
    assert refused.reason == "Permission check failed (/vms/640, VM.Allocate)"
    assert (
        session.post(create, data=body | {"pool": "none"}, headers=headers).reason
        == "pool 'none' does not exist"
    )
    assert session.put(f"{BASE}/pools/team", data={"vms": "500"}).status_code == 200
    told = session.get(f"{BASE}/access/permissions", headers=headers).json()["data"]
    assert told["/vms/500"] == {"VM.Allocate": 0, "VM.Audit": 0, "VM.Config.Disk": 0}
    assert session.put(f"{BASE}/pools/team", data={"vms": "500", "delete": 1}).status_code == 200
    assert session.delete(f"{BASE}/pools/team").status_code == 200


def test_the_range_of_new_vmids(session, root):
    options = f"{BASE}/cluster/options"
    assert session.get(options).json()["data"] == {"allowed-tags": []}
    refused = session.put(options, data={"next-id": "lower=500"})
    assert (refused.status_code, refused.reason) == (403, "Permission check failed (/, Sys.Modify)")
    for bad, words in (
        ({"next-id": "lower=many"}, "next-id.lower: type check ('integer') failed - got 'many'"),
        ({"next-id": "first=1"}, "invalid key in comma-separated list property: first"),
        ({"colour": "red"}, "property is not defined in schema"),
    ):
        answer = root.put(options, data=bad)
        assert (answer.status_code, words in str(answer.json()["errors"])) == (400, True)
    assert root.put(options, data={"next-id": "lower=9000,upper=9002"}).status_code == 200
    assert session.get(options).json()["data"]["next-id"] == {"lower": "9000", "upper": "9002"}
    assert session.get(f"{BASE}/cluster/nextid").json()["data"] == "9001"
    assert root.put(options, data={"next-id": "lower=9000,upper=9001"}).status_code == 200
    full = session.get(f"{BASE}/cluster/nextid")
    assert (full.status_code, full.reason) == (500, "unable to get any free VMID in range [9000, 9001]")
    assert session.get(f"{BASE}/cluster/nextid?vmid=100").json()["data"] == "100", (
        "the range is for what is proposed"
    )
    assert root.put(options, data={"delete": "next-id"}).status_code == 200
    assert session.get(f"{BASE}/cluster/nextid").json()["data"] == "100"
    wrong = session.get(f"{BASE}/cluster/nextid?vmid=7")
    assert wrong.json()["errors"] == {"vmid": "invalid format - value does not look like a valid VM ID\n"}


def test_bridges_of_a_node(session, root):
    network = f"{BASE}/nodes/node02/network"
    for kind, count in (("any_bridge", 1), ("bridge", 1), ("bond", 0), ("include_sdn", 1)):
        found = session.get(f"{network}?type={kind}").json()["data"]
        assert [item["iface"] for item in found] == ["vmbr0"] * count
    assert "does not have a value in the enumeration" in str(
        session.get(f"{network}?type=wifi").json()["errors"]
    )
    assert session.get(network, headers=login(root, "eve@pve", "t", 0)).json()["data"] == []


def test_tasks_are_listed_filtered_and_stopped(api, vm, session, root):
    node, config = api.nodes("node01"), {"disk": "scsi0", "size": "+1G"}
    assert finished(api, vm.resize.put(**config)) == "OK"
    assert finished(api, vm.resize.put(disk="scsi0", size="1G")) == "shrinking disks is not supported"
    # Two tasks of one second come in any order.
    assert sorted(task["status"] for task in node.tasks.get(vmid=500, typefilter="resize")) == [
        "OK", "shrinking disks is not supported",
    ]  # fmt: skip
    assert [task["type"] for task in node.tasks.get(vmid=500, errors=1)] == ["resize"]
    assert {task["status"] for task in node.tasks.get(vmid=500, statusfilter="ok")} == {"OK"}
    assert node.tasks.get(vmid=500, userfilter="nobody") == []
    eve = login(root, "eve@pve", "other", 0)
    with faults.injected({"match": "TASK resize:500", "delay": 60}):
        running = vm.resize.put(**config)
        assert [task["upid"] for task in node.tasks.get(source="active")] == [running]
        assert running not in [task["upid"] for task in node.tasks.get()]
        assert running in [task["upid"] for task in node.tasks.get(source="all")]
        assert session.get(f"{BASE}/nodes/node01/tasks?source=all", headers=eve).json()["data"] == []
        for method, privilege in (("GET", "Sys.Audit"), ("DELETE", "Sys.Modify")):
            path = f"{BASE}/nodes/node01/tasks/{running}{'/status' if method == 'GET' else ''}"
            refused = session.request(method, path, headers=eve)
            assert refused.reason == f"Permission check failed (/nodes/node01, {privilege})"
        with contextlib.suppress(ResourceException):
            node.tasks(running).delete()
        assert finished(api, running) == "received interrupt"
    assert vm.config.get()["scsi0"].endswith("size=4G,ssd=1")
    gone = session.delete(f"{BASE}/nodes/node01/tasks/{running[:-1]}x:")
    assert gone.json()["errors"] == {"upid": "no such task"}
