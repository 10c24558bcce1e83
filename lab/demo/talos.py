"""The demo of a Talos cluster: an image becomes a template, and one commit becomes two machines without SSH.

Steps: create (or, when the machines are there, again), again, drift.
"""

import json
import socket
import tempfile

from lab import network, secrets_dir, setup, talos, user, vault
from lab.clone import Clone
from lab.demo.proof import changed, logs, need, need_empty_queue, not_ready, provision, served, table, title
from lab.demo.template import need_ready, shown
from lab.forge import client

CLUSTER, PLAYBOOK, TEMPLATE = "talos-prod", "talos", "talos-template"
CONTROL_PLANE, WORKER = f"{CLUSTER}-cp01", f"{CLUSTER}-w01"
ADDRESS = {CONTROL_PLANE: "192.168.1.51", WORKER: "192.168.1.52"}
FILE = {name: f"proxmox/vms/{name}.yaml" for name in ADDRESS}
IMAGES, LOCK = "proxmox/images.yml", "proxmox/images.lock.yml"
IMAGE = f"\ntalos:\n  file: {talos.FILE}\n  user: talos\n  firmware: ovmf\n"
CHANGE = "vm.swappiness"  # what a person sets by hand
SSH, API = 22, 50000


def machine(name: str) -> str:
    node, memory = ("node01", 4096) if name == CONTROL_PLANE else ("node02", 2048)
    disks = {"scsi0": {"size": "4G", "storage": "local-lvm"}}
    return user.machine_file(
        name, ADDRESS[name], node, clone=TEMPLATE, cores=2, memory=memory, ciuser=None, disks=disks
    )


def template(fleet: Clone) -> None:
    """The template as a person makes it on a fleet's clone, and the image's entries on the forge."""
    title("the image of Talos is uploaded, and becomes a template")
    fleet.pull()
    text = fleet.read(IMAGES)
    if IMAGE not in text:
        (fleet.path / IMAGES).write_text(text + IMAGE)
    here = {"PROXMOX_IMAGES": str(fleet.path / IMAGES)}
    shown([str(fleet.path / "scripts/upload_image.py"), "talos", str(talos.disk())], **here)
    playbook = str(fleet.path / "proxmox/playbooks/template.yml")
    options = ["-e", "proxmox_template_image=talos", "-e", "proxmox_template_agent=false"]
    need_ready(TEMPLATE, shown(["ansible-playbook", playbook, *options], **here))
    if fleet.git("status", "--porcelain", IMAGES, LOCK):
        written = {name: fleet.read(name) for name in (IMAGES, LOCK)}
        served(fleet.push("feat(proxmox): the image of Talos", written))


def create(fleet: Clone) -> None:
    """Both machines from one commit, or proof that nothing changes when they are there."""
    setup.on_demand("talosctl")  # LAB_DIR/bin is in the runner's PATH
    template(fleet)
    missing = [name for name in ADDRESS if not (fleet.path / FILE[name]).exists()]
    if not missing:
        return again(fleet)
    message = f"feat(proxmox): the cluster {CLUSTER} [ansible {PLAYBOOK}]"
    title(f"one push with {len(missing)} VM files: {message}")
    for name in missing:
        print(machine(name))
    runs = served(fleet.push(message, {FILE[name]: machine(name) for name in missing}))
    table(fleet, runs)
    prove(fleet)


def prove(fleet: Clone) -> None:
    """Check the result from outside, without the workflows' own reports."""
    title("checked from outside, with what is read back from Vault")
    found, version = secret()
    need({"secrets", "talosconfig"} <= found.keys(), f"Vault has the secrets of {CLUSTER}, version {version}")
    config = user.kubeconfig()[0]
    context = next(one["context"] for one in config["contexts"] if one["name"] == CLUSTER)
    server = next(one["cluster"]["server"] for one in config["clusters"] if one["name"] == context["cluster"])
    need(server == f"https://{ADDRESS[CONTROL_PLANE]}:6443", f"context {CLUSTER}: {server}")
    need(not not_ready(CLUSTER, ADDRESS), f"kubectl --context {CLUSTER} get nodes: both are ready")
    print(user.kubectl(CLUSTER, "get", "nodes", "--output=wide"))
    for name, address in ADDRESS.items():
        print(talosctl(name, "version", "--short"))
        right = _opens(address, API) and not _opens(address, SSH)
        need(right, f"{name}: port {API} is open, port {SSH} is closed")
    need_empty_queue(fleet)


def again(fleet: Clone) -> None:
    """A second run of everything: Terraform, Ansible, Vault and the machines have nothing to change."""
    title("a second run of everything sends nothing")
    before = versions()
    applied = served(number=client.dispatch("terraform-apply.yml"))
    need("No changes" in client.log(applied[0]["id"]), "Terraform has nothing to change")
    unchanged()
    need(versions() == before, f"Vault's secrets and the machines' configurations have versions {before}")
    prove(fleet)


def drift(_fleet: Clone) -> None:
    """A configuration that somebody changed with talosctl is told and corrected."""
    title(f"{CHANGE} is set by hand on {WORKER}")
    patch = json.dumps({"machine": {"sysctls": {CHANGE: "10"}}})
    print(talosctl(WORKER, "patch", "machineconfig", f"--patch={patch}"))
    need(CHANGE in _configuration(WORKER), f"the configuration of {WORKER} has it")
    run = provision(PLAYBOOK, WORKER)
    need(sum(changed(run)) > 0 and CHANGE in logs([run]), f"the run says that {CHANGE} differs")
    need(CHANGE not in _configuration(WORKER), f"the configuration of {WORKER} is as it was")
    unchanged()


STEPS = {"create": create, "again": again, "drift": drift}


def unchanged() -> None:
    """The playbook on both machines, with nothing to change."""
    counts = changed(provision(PLAYBOOK, ",".join(ADDRESS)))
    need(counts and not any(counts), f"{PLAYBOOK}.yml reports 0 changed")


def secret() -> tuple[dict[str, str], int]:
    """The cluster's secrets in Vault, and their version."""
    answer = vault.request("GET", f"{vault.MOUNT}/data/cluster-bootstrap/{CLUSTER}")["data"]
    return answer["data"], answer["metadata"]["version"]


def versions() -> list[int]:
    """Of the secrets and the kubeconfig in Vault, and of each machine's configuration, which a sent one raises."""
    answers = [talosctl(name, "get", "machineconfig", "v1alpha1", "--output=json") for name in ADDRESS]
    sent = [json.loads(answer)["metadata"]["version"] for answer in answers]
    return [secret()[1], user.kubeconfig()[1], *map(int, sent)]


def talosctl(name: str, *arguments: str) -> str:
    """talosctl from outside the machine, with the talosconfig read back from Vault."""
    with tempfile.NamedTemporaryFile("w", dir=secrets_dir()) as file:
        file.write(secret()[0]["talosconfig"])
        file.flush()
        place = (f"--nodes={ADDRESS[name]}", f"--endpoints={ADDRESS[name]}")
        return user.inside(["talosctl", f"--talosconfig={file.name}", *place, *arguments])


def _configuration(name: str) -> str:
    return talosctl(name, "get", "machineconfig", "v1alpha1", "--output=yaml")


def _opens(address: str, port: int) -> bool:
    with network.inside():
        try:
            socket.create_connection((address, port), timeout=3).close()
        except OSError:
            return False
    return True
