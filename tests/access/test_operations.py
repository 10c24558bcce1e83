"""The tokens that are made can do what the project does, and the one that looks cannot do more."""

import functools
import http.server
import json
import os
import threading
from unittest import mock

import pytest

import doctor
from fleet import dotenv
from fleet.access import present
from fleet.access.privileges import OPTIONAL
from fleet.lifecycle import modify, power, remove, verify
from fleet.proxmox import ha, tasks
from fleet.proxmox.errors import Refused
from fleet.templates import found
from lab.proxmox import access, accounts, faults
from tests.lifecycle.conftest import TEMPLATE, Lab

READ = "PROXMOX_READ_API_TOKEN"


@pytest.fixture
def image(tmp_path):
    """The address of a file that a node can fetch."""
    (tmp_path / "good.iso").write_bytes(b"x" * 1000)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("192.168.1.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://192.168.1.1:{server.server_port}/good.iso"
        server.shutdown()


@pytest.mark.parametrize("release", [8, 9])
def test_the_token_runs_every_operation(site, image, release):
    faults.inject({"release": release})
    assert site.run().status == 0
    lab = Lab()
    lab.api = api = site.client()
    facts = lab.created("app", cores=1)
    try:
        assert lab.step(power, power="start", name="app").changed
        assert lab.step(
            modify, name="app", cores=2, memory=4096, vlan=7, tags="blue", disk_min_size="9G"
        ).changed
        assert lab.step(verify, name="app", template_vmid=TEMPLATE).facts["vmid"] == facts["vmid"]
        path = f"nodes/{facts['node']}/qemu/{facts['vmid']}"
        assert api.get(f"{path}/agent/network-get-interfaces")["result"]
        log: list[str] = []
        fields = {"url": image, "filename": f"{release}.iso", "content": "iso"}
        tasks.wait(
            api,
            api.post("nodes/node01/storage/local/download-url", **fields),
            progress=log.append,
            pause=0.05,
        )
        tasks.wait(api, api.post(f"{path}/clone", newid=501, name="copy", full=1), pause=0.05)
        tasks.wait(api, api.post("nodes/node01/qemu/501/template"), pause=0.05)
        tasks.wait(api, api.delete("nodes/node01/qemu/501", purge=1), pause=0.05)
    finally:
        lab.step(remove, name="app", confirm="app", force_stop=True)
    with pytest.raises(Refused, match="403 Permission check failed"):
        api.put("access/roles/GitOps", append=1, privs="Sys.Modify")


def test_the_other_token_sees_all_and_changes_nothing(made):
    lab, api, full = Lab(), made.client(READ), made.client()
    lab.api = full
    facts = lab.created("app", cores=1)
    path = f"nodes/{facts['node']}/qemu/{facts['vmid']}"
    try:
        assert {guest.name for guest in api.guests()} == {"ubuntu24-template", "app"}
        assert api.config(facts["node"], facts["vmid"])["name"] == "app"
        assert api.nodes() == full.nodes() and api.bridges("node01") == {"vmbr0"}
        assert api.storages("node01") == full.storages("node01")
        assert found.all_of(api, api.guests()) == found.all_of(full, full.guests())
        assert ha.settings(api) == ha.settings(full)
        assert present.read(api) == present.read(full) and present.read(api).users["terraform@pve"].tokens
        assert api.get("cluster/options") == full.get("cluster/options")
        assert api.get("nodes/node01/status") and api.get(f"{path}/pending")
        with pytest.raises(Refused, match="is not running"):
            api.get(f"{path}/agent/network-get-interfaces")
        writes = [
            ("post", f"{path}/status/start", {}),
            ("put", f"{path}/config", {"cores": 2}),
            ("post", f"{path}/clone", {"newid": 600}),
            ("put", f"{path}/resize", {"disk": "scsi0", "size": "+1G"}),
            ("post", f"{path}/template", {}),
            ("delete", path, {}),
            ("post", "nodes/node01/qemu", {"vmid": 600}),
            ("post", "nodes/node01/storage/local/download-url",
             {"url": "http://192.168.1.1/x.iso", "filename": "x.iso", "content": "iso"}),
            ("put", "access/acl", {"path": "/", "roles": "GitOps", "tokens": "terraform@pve!gitops-read"}),
            ("post", "access/users/terraform@pve/token/more", {"privsep": 0}),
            ("post", "pools", {"poolid": "team"}),
        ]  # fmt: skip
        for method, place, fields in writes:
            with pytest.raises(Refused, match="403 Permission check failed"):
                getattr(api, method)(place, **fields)
    finally:
        lab.step(remove, name="app", confirm="app", force_stop=True)


def test_what_is_added_to_the_role_does_not_hold_where_rights_are_given(made):
    """`startup` needs Sys.Modify on /, and on /access that would let the token rewrite its own role."""
    lab = Lab()
    lab.api = api = made.client()
    facts = lab.created("app", cores=1)
    path = f"nodes/{facts['node']}/qemu/{facts['vmid']}/config"
    try:
        with pytest.raises(Refused, match=r"403 Permission check failed \(/, Sys.Modify\)"):
            api.put(path, startup="order=1")
        accounts.change_role("GitOps", ",".join(OPTIONAL), append=True)
        api.put(path, startup="order=1")
        assert {"Mapping.Use"} <= access.privileges(api.user, "/mapping/pci/gpu").keys()
        assert {"Sys.Console"} <= access.privileges(api.user, "/").keys()
        for method, place, fields in (
            ("put", "access/roles/GitOps", {"append": 1, "privs": "Permissions.Modify"}),
            ("put", "access/users/terraform@pve", {"enable": 1}),
            ("put", "access/acl", {"path": "/", "roles": "Administrator", "tokens": api.user}),
        ):
            with pytest.raises(Refused, match="403 Permission check failed"):
                getattr(api, method)(place, **fields)
        assert made.run().out.count("more than needed: role GitOps has ") == len(OPTIONAL)
    finally:
        lab.step(remove, name="app", confirm="app", force_stop=True)


def test_the_doctor_is_content_with_both(made, capsys):
    state = made.state
    with mock.patch.dict(os.environ, {"PROXMOX_GITOPS_ENV": str(made.file)}):
        for name in dotenv.KNOWN - {"SSL_CERT_FILE"}:
            os.environ.pop(name, None)
        doctor.main(["--json"])
    lines = {
        line["name"]: line["state"]
        for line in json.loads(capsys.readouterr().out)
        if line["group"] == "Proxmox"
    }
    about = {name for name in lines if name.startswith("may ")} | {
        "token",
        "read-only token",
        "no more rights",
    }
    assert len(about) > 8 and {name: lines[name] for name in about} == dict.fromkeys(about, "ok")
    assert made.state == state
