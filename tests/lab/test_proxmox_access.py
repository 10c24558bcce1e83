"""The simulated Proxmox: what tokens may do and are told, the cluster's options, and the list of tasks."""

import contextlib
from urllib.parse import quote

import pytest
from proxmoxer import ResourceException

from lab import secret
from lab.proxmox import access, faults, state
from lab.proxmox.schema import UNKNOWN
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


@pytest.fixture
def accounts(root):
    """All is as before at the end."""
    before = access.read()
    yield
    faults.inject()
    access.write(before)


def said(answer) -> tuple[int, str]:
    """The status, and the words: of a parameter, else the reason."""
    wrong = answer.json().get("errors") if answer.status_code == 400 else None
    return answer.status_code, next(iter(wrong.items())) if wrong else answer.reason


def test_roles_are_made_completed_and_removed(root, accounts):
    roles = f"{BASE}/access/roles"
    assert root.post(roles, data={"roleid": "R", "privs": "VM.Audit VM.Clone"}).status_code == 200
    assert root.put(f"{roles}/R", data={"privs": "Sys.Audit", "append": 1}).status_code == 200
    assert root.get(f"{roles}/R").json()["data"] == {"Sys.Audit": 1, "VM.Audit": 1, "VM.Clone": 1}
    assert root.put(f"{roles}/R", data={"privs": "VM.Audit"}).status_code == 200
    listed = {one["roleid"]: one for one in root.get(roles).json()["data"]}
    assert (listed["R"]["privs"], listed["R"]["special"], listed["PVEVMAdmin"]["special"]) == (
        "VM.Audit",
        0,
        1,
    )
    assert not {"VM.Clone", "VM.Allocate", "Datastore.AllocateSpace", "SDN.Use"} <= {
        *listed["PVEVMAdmin"]["privs"].split(",")
    }
    for method, path, data, words in (
        ("POST", roles, {"roleid": "R"}, (500, "create role failed: role 'R' already exists")),
        ("POST", roles, {"roleid": "pveX"},
         (400, ("roleid", "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"))),
        ("POST", roles, {"roleid": "S", "privs": "VM.Monitor"},
         (400, ("privs", "invalid format - invalid privilege 'VM.Monitor'\n"))),
        ("PUT", f"{roles}/R", {"append": 1}, (400, ("privs", "missing property required by 'append'"))),
        ("PUT", f"{roles}/PVEAdmin", {"privs": ""}, (500, "auto-generated role 'PVEAdmin' cannot be modified")),
        ("PUT", f"{roles}/S", {"privs": ""}, (500, "update role failed: role 'S' does not exist")),
        ("GET", f"{roles}/S", {}, (500, "role 'S' does not exist")),
        ("DELETE", f"{roles}/PVEAdmin", {}, (500, "auto-generated role 'PVEAdmin' cannot be deleted")),
        ("DELETE", f"{roles}/S", {}, (500, "delete role failed: role 'S' does not exist")),
    ):  # fmt: skip
        assert said(root.request(method, path, data=data)) == words
    acl = {"path": "/vms", "roles": "R", "users": "terraform@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
    assert root.delete(f"{roles}/R").status_code == 200
    assert "R" not in [one["roleid"] for one in root.get(f"{BASE}/access/acl").json()["data"]]


def test_each_release_has_its_own_privileges(root, accounts):
    with faults.injected({"release": 8}):
        assert (
            root.post(f"{BASE}/access/roles", data={"roleid": "Old", "privs": "VM.Monitor"}).status_code
            == 200
        )
        answer = root.post(f"{BASE}/access/roles", data={"roleid": "New", "privs": "VM.GuestAgent.Audit"})
        assert said(answer) == (400, ("privs", "invalid format - invalid privilege 'VM.GuestAgent.Audit'\n"))
        auditor = root.get(f"{BASE}/access/roles/PVEAuditor").json()["data"]
        assert "VM.GuestAgent.Audit" not in auditor
    assert root.get(f"{BASE}/access/roles/Old").json()["data"] == {}, "after the upgrade"


def test_users_and_tokens_are_read_and_changed(session, root, accounts):
    headers, users = login(root, "ann@pve", "t"), f"{BASE}/access/users"
    ann = f"{users}/ann@pve"

    def told(path):
        return session.get(path, headers=headers)

    assert told(f"{BASE}/version").status_code == 200
    for data, words in (
        ({"enable": 0}, "user 'ann@pve' is disabled"),
        ({"enable": 1, "expire": 9}, "user 'ann@pve' access expired"),
    ):
        assert root.put(ann, data=data).status_code == 200
        assert said(told(f"{BASE}/version")) == (401, words)
    assert root.put(ann, data={"expire": 0, "comment": "x"}).status_code == 200
    assert root.put(f"{ann}/token/t", data={"expire": 9}).json()["data"] == {"privsep": 1, "expire": 9}
    assert said(told(f"{BASE}/version")) == (401, "token 't' access expired")
    root.put(f"{ann}/token/t", data={"expire": 0, "comment": "mine"})
    assert root.get(f"{ann}/token/t").json()["data"] == {"privsep": 1, "expire": 0, "comment": "mine"}
    assert root.get(ann).json()["data"]["tokens"] == {"t": {"privsep": 1, "expire": 0, "comment": "mine"}}
    listed = {one["userid"]: one for one in root.get(f"{users}?full=1").json()["data"]}
    assert {"root@pam", "terraform@pve", "ann@pve"} <= listed.keys()
    assert [one["tokenid"] for one in listed["ann@pve"]["tokens"]] == ["t"]
    assert "hash" not in str(listed) and "tokens" not in root.get(users).text
    assert told(users).json()["data"] == [], "a token is not its user"
    assert said(told(f"{ann}/token")) == (403, "Permission check failed")
    for method, path, data, words in (
        ("GET", f"{users}/eve@pve", {}, (500, "no such user ('eve@pve')")),
        ("PUT", ann, {"colour": "red"}, (400, ("colour", UNKNOWN))),
        ("PUT", f"{ann}/token/t", {"regenerate": 1}, (400, ("regenerate", UNKNOWN))),
        ("GET", f"{ann}/token/u", {}, (500, "no such token 'u' for user 'ann@pve'")),
        (
            "PUT",
            f"{ann}/token/u",
            {},
            (500, "updating token info failed: no such token 'u' for user 'ann@pve'"),
        ),
        (
            "DELETE",
            f"{ann}/token/u",
            {},
            (500, "deleting token failed: no such token 'u' for user 'ann@pve'"),
        ),
        ("POST", f"{ann}/token/t", {}, (400, ("tokenid", "Token already exists."))),
        ("POST", users, {"userid": "ann@pve"}, (500, "create user failed: user 'ann@pve' already exists")),
    ):
        assert said(root.request(method, path, data=data)) == words
    for method, path, words in (
        (
            "POST",
            f"{users}?userid=eve@pve",
            "Permission check failed (/access/realm/pve, Realm.AllocateUser)",
        ),
        ("PUT", ann, "Permission check failed"),
        ("POST", f"{ann}/token/more", "Permission check failed"),
        ("DELETE", ann, "Permission check failed (/access/realm/pve, Realm.AllocateUser)"),
    ):
        assert said(session.request(method, path, headers=headers)) == (403, words)


def test_a_token_that_is_made_again_has_no_rights(root, accounts):
    login(root, "ann@pve", "t")
    acl = {"path": "/vms", "roles": "PVEAuditor", "tokens": "ann@pve!t", "users": "ann@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200

    def entries():
        return [one["ugid"] for one in root.get(f"{BASE}/access/acl").json()["data"] if "ann" in one["ugid"]]

    assert entries() == ["ann@pve", "ann@pve!t"]
    assert root.delete(f"{BASE}/access/users/ann@pve/token/t").status_code == 200
    login(root, "ann@pve", "t")
    assert entries() == ["ann@pve"]
    assert root.delete(f"{BASE}/access/users/ann@pve").status_code == 200
    assert entries() == [] and "ann@pve!t" not in access.read()["tokens"]


def test_access_lists(session, root, accounts, grant):
    acl = f"{BASE}/access/acl"
    for data, words in (
        ({"path": "/vms", "roles": "PVEAuditor"},
         (400, ("users", "either 'users', 'groups' or 'tokens' is required."))),
        ({"path": "/nope", "roles": "PVEAuditor", "users": "terraform@pve"},
         (400, ("path", "invalid ACL path '/nope'"))),
        ({"path": "/", "roles": "Nope", "users": "terraform@pve"},
         (500, "ACL update failed: role 'Nope' does not exist")),
        ({"path": "/", "roles": "PVEAuditor", "users": "eve@pve"},
         (500, "ACL update failed: user 'eve@pve' does not exist")),
        ({"path": "/", "roles": "PVEAuditor", "tokens": "terraform@pve!x"},
         (500, "ACL update failed: no such token 'x' for user 'terraform@pve'")),
    ):  # fmt: skip
        assert said(root.put(acl, data=data)) == words
    headers = login(root, "ann@pve", "t", 0)
    assert session.get(acl, headers=headers).json()["data"] == []
    assert said(session.put(acl, data={"path": "/", "roles": "PVEAuditor", "users": "ann@pve"}, headers=headers)) == (
        403, "Permission check failed (/, Permissions.Modify)",
    )  # fmt: skip
    grant("ann@pve", "/vms/500", "VM.Allocate,VM.Audit")
    given = {"path": "/vms/500", "users": "terraform@pve"}
    refused = session.put(acl, data=given | {"roles": "PVEVMAdmin"}, headers=headers)
    assert said(refused)[1][1].startswith("Cannot add role 'PVEVMAdmin' - requires 'Permissions.Modify' or")
    mine = f"r{'VM.Allocate,VM.Audit'.replace(',', '')}"
    assert session.put(acl, data=given | {"roles": mine}, headers=headers).status_code == 200
    assert [one["path"] for one in session.get(acl, headers=headers).json()["data"]] == ["/vms/500"] * 2


def test_a_second_factor(root, session):
    with faults.injected({"second_factor": "root@pam"}):
        login = {"username": "root@pam", "password": secret("proxmox_root_password")}
        answer = session.post(f"{BASE}/access/ticket", data=login).json()["data"]
    assert answer["NeedTFA"] == 1 and answer["ticket"].startswith("PVE:!tfa!")
    cookie = {"Cookie": f"PVEAuthCookie={quote(answer['ticket'])}", "Authorization": ""}
    assert said(session.get(f"{BASE}/version", headers=cookie)) == (401, "No ticket")


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
