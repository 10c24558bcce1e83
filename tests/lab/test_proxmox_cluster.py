"""The simulated Proxmox as a cluster: high availability, containers, nodes that are offline, storages out of sight."""

import pytest
from proxmoxer import ResourceException

from lab.proxmox import containers, faults, ha, machines
from tests.helpers.proxmox import BASE, finished, made, wait_for

RESOURCES, GROUPS, RULES = (f"{BASE}/cluster/ha/{kind}" for kind in ("resources", "groups", "rules"))
MIGRATED = "ha groups have been migrated to rules"


def said(answer) -> tuple[int, str]:
    errors = [f"{key}: {value}" for key, value in answer.json().get("errors", {}).items()]
    return answer.status_code, " ".join([answer.reason, *errors])


@pytest.fixture
def service(vm, root):
    """A machine in HA that is not to be started."""
    assert root.post(RESOURCES, data={"sid": "vm:500", "state": "ignored"}).status_code == 200
    yield f"{RESOURCES}/vm:500"
    for kind in ("rules", "resources", "groups"):
        for name in ha.read(kind):
            ha.change(kind, name, None)


def test_ha_in_version_9(service, root, session):
    assert said(session.post(RESOURCES, data={"sid": "vm:9000"})) == (
        403,
        "Permission check failed (/, Sys.Console)",
    )
    listed = session.get(RESOURCES).json()["data"]
    assert [(item["sid"], item["type"], item["state"]) for item in listed] == [("vm:500", "vm", "ignored")]
    for data, status, text in (
        ({"sid": "vm:500"}, 500, "create resource failed: resource ID 'vm:500' already defined"),
        ({"sid": "vm:999"}, 500, "resource 'vm:999' does not exist in cluster"),
        ({"sid": "999"}, 500, "unable to detect SID from VMID - VM/CT 999 does not exist"),
        ({"sid": "9000", "group": "g"}, 500, f"invalid parameter 'group': {MIGRATED}"),
        (
            {"sid": "9000", "state": "running"},
            400,
            "state: value 'running' does not have a value in the enumeration",
        ),
        ({"sid": "9000", "max_restart": -1}, 400, "max_restart: value must have a minimum value of 0"),
        ({"sid": "9000", "colour": "red"}, 400, "colour: property is not defined in schema"),
    ):
        found = said(root.post(RESOURCES, data=data))
        assert (found[0], text in found[1]) == (status, True), found
    assert root.put(service, data={"max_restart": 3, "failback": 0, "comment": "kept"}).status_code == 200
    assert root.put(service, data={"delete": "comment", "max_relocate": 2}).status_code == 200
    shown = session.get(service).json()["data"]
    assert {key: shown.get(key) for key in ("max_restart", "max_relocate", "failback", "comment")} == {
        "max_restart": 3, "max_relocate": 2, "failback": 0, "comment": None,
    }  # fmt: skip
    assert said(root.put(service, data={"group": "g"})) == (500, f"invalid parameter 'group': {MIGRATED}")
    assert said(session.get(GROUPS)) == (500, f"cannot index groups: {MIGRATED}")
    assert said(root.post(GROUPS, data={"group": "g", "nodes": "node01"})) == (
        500, f"cannot create group: {MIGRATED}",
    )  # fmt: skip
    rule = {"rule": "near", "type": "node-affinity", "resources": "vm:500", "nodes": "node01"}
    assert root.post(RULES, data=rule).status_code == 200
    assert "already defined" in said(root.post(RULES, data=rule))[1]
    assert (
        "cannot use unmanaged resource(s) vm:9."
        in said(root.post(RULES, data=rule | {"rule": "r", "resources": "vm:9"}))[1]
    )
    assert [item["rule"] for item in session.get(RULES).json()["data"]] == ["near"]
    assert root.delete(f"{RULES}/near").status_code == 200
    assert root.delete(service).status_code == 200
    assert said(root.delete(service)) == (500, "cannot delete service 'vm:500', not HA managed!")
    assert said(session.get(service)) == (500, "no such resource 'vm:500'")


def test_ha_in_version_8(service, root, session):
    with faults.injected({"release": 8}):
        assert session.get(f"{BASE}/version").json()["data"]["release"] == "8.4"
        assert root.post(GROUPS, data={"group": "g", "nodes": "node01:1", "restricted": 1}).status_code == 200
        assert session.get(f"{GROUPS}/g").json()["data"]["nodes"] == "node01:1"
        assert said(root.put(service, data={"group": "none"})) == (500, "HA group 'none' does not exist")
        assert root.put(service, data={"group": "g"}).status_code == 200
        assert session.get(service).json()["data"]["group"] == "g"
        assert "ha group is used by service 'vm:500'" in said(root.delete(f"{GROUPS}/g"))[1]
        rule = {"rule": "near", "type": "node-affinity", "resources": "vm:500", "nodes": "node01"}
        assert "ha groups have not been migrated yet" in said(root.post(RULES, data=rule))[1]
        assert said(root.put(service, data={"failback": 1}))[0] == 400
        assert (
            "VM.Monitor" in said(session.get(f"{BASE}/nodes/node01/qemu/500/agent/network-get-interfaces"))[1]
        )
    assert session.get(service).json()["data"]["group"] == "g", (
        "an upgrade leaves groups until they are migrated"
    )


def test_ha_starts_and_stops_what_it_looks_after(api, vm, service, root):
    assert root.put(service, data={"state": "started"}).status_code == 200
    wait_for(lambda: machines.running(500))
    task = vm.status.stop.post()
    assert ":hastop:500:" in task
    assert finished(api, task) == "OK"
    assert ha.manages(500)["state"] == "stopped"
    # The power button is not seen by a guest that still boots: HA pulls the plug after 60 s.
    wait_for(lambda: not machines.running(500), 120)
    with pytest.raises(ResourceException, match="used in HA resources and purge parameter not set"):
        vm.delete()
    assert finished(api, vm.delete(purge=1)) == "OK"
    assert ha.manages(500) is None


def test_containers_are_listed_and_have_their_ids(session, api):
    containers.add(700, "ct-dev", tags="web")
    listed = session.get(f"{BASE}/cluster/resources?type=vm").json()["data"]
    found = next(item for item in listed if item["vmid"] == 700)
    assert (found["id"], found["type"], found["name"], found["tags"]) == ("lxc/700", "lxc", "ct-dev", "web")
    assert [item["vmid"] for item in api.nodes("node01").lxc.get()] == [700]
    taken = "close (rename) atomic file '/etc/pve/nodes/node01/qemu-server/700.conf' failed: File exists"
    assert finished(api, api.nodes("node01").qemu(9000).clone.post(newid=700)) == taken
    with pytest.raises(ResourceException, match="CT 700 already exists on node 'node01'"):
        api.nodes("node01").qemu.post(vmid=700)
    with pytest.raises(ResourceException, match="VM 700 already exists"):
        api.cluster.nextid.get(vmid=700)
    containers.remove(700)


def test_two_machines_of_one_name(api, vm):
    for other in made(api, 509):
        other.config.put(name="vm-500")
        named = [
            item["vmid"] for item in api.cluster.resources.get(type="vm") if item.get("name") == "vm-500"
        ]
        assert named == [500, 509]


def test_a_node_that_is_offline(api, session):
    for vm in made(api, 508):
        assert finished(api, vm.migrate.post(target="node02")) == "OK"
        with faults.injected({"offline": "node02"}):
            assert said(session.get(f"{BASE}/nodes/node02/qemu/508/config")) == (595, "No route to host")
            assert {node["node"]: node["status"] for node in api.nodes.get()} == {
                "node01": "online", "node02": "offline",
            }  # fmt: skip
            entries = {item["id"]: item for item in session.get(f"{BASE}/cluster/resources").json()["data"]}
            assert entries["qemu/508"]["status"] == "unknown"
            assert entries["node/node02"]["status"] == "offline"
            assert session.get(f"{BASE}/nodes/node01/qemu/9000/config").status_code == 200
        assert session.get(f"{BASE}/nodes/node02/qemu/508/config").status_code == 200


def test_a_storage_that_the_token_does_not_see(api, session, root, vm):
    acl = {"path": "/storage/local-lvm", "roles": "NoAccess", "users": "terraform@pve"}
    assert root.put(f"{BASE}/access/acl", data=acl).status_code == 200
    seen = {item["storage"] for item in api.nodes("node01").storage.get()}
    assert seen == {"local", "share", "tank", "vg"}
    assert said(session.put(f"{BASE}/nodes/node01/qemu/500/config", data={"scsi1": "local-lvm:1"})) == (
        403, "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)",
    )  # fmt: skip
    assert vm.config.get()["scsi0"].startswith("local-lvm:"), "what a machine has is still shown"
    assert root.put(f"{BASE}/access/acl", data=acl | {"delete": 1}).status_code == 200


@pytest.mark.parametrize("kind", ["backup", "migrate", "snapshot"])
def test_a_machine_that_is_locked(api, vm, root, kind):
    config = f"{BASE}/nodes/node01/qemu/500/config"
    assert root.put(config, data={"lock": kind}).status_code == 200
    assert vm.status.current.get()["lock"] == kind
    for change in (lambda: vm.config.put(tags="a"), vm.status.start.post):
        with pytest.raises(ResourceException, match=rf"VM is locked \({kind}\)"):
            change()
    assert finished(api, vm.delete()) == f"VM is locked ({kind})"
    assert root.put(config, data={"delete": "lock", "skiplock": 1}).status_code == 200


def test_iso_images_are_listed_and_snippets_only_for_those_who_manage_the_storage(api, root):
    def listed(session, kind):
        answer = session.get(f"{BASE}/nodes/node01/storage/local/content?content={kind}")
        return [item["volid"] for item in answer.json()["data"]]

    assert [item["volid"] for item in api.nodes("node01").storage("local").content.get(content="iso")] == [
        "local:iso/tools.iso"
    ]
    assert api.nodes("node01").storage("local").content.get(content="snippets") == []
    assert listed(root, "snippets") == ["local:snippets/vendor.yaml"]
