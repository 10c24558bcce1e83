"""The demo's two machines, made by one commit, and the proof that a second run changes nothing."""

from lab import user
from lab.clone import Clone
from lab.demo import template
from lab.demo.proof import (
    ADDRESS,
    HAPROXY,
    INVENTORY,
    K8S,
    changed,
    need,
    prove,
    provision,
    served,
    table,
    title,
)
from lab.forge import client

FILE = {name: f"proxmox/vms/{name}.yaml" for name in ADDRESS}


def machine(name: str, **changes) -> str:
    """The VM file of one of the demo's two machines."""
    disks = {"scsi0": {"size": "4G", "storage": "local-lvm"}}
    if name == K8S:
        disks["scsi1"] = {"size": "2G", "storage": "local-lvm", "mount": "/mnt/storage"}
    defaults = {"cores": 2, "memory": 2048} if name == K8S else {"node": "node02"}
    made = {"clone": template.NAME, "disks": disks}
    return user.machine_file(name, ADDRESS[name], **{**made, **defaults, **changes})


def create(fleet: Clone) -> None:
    """Both machines from one commit, or proof that nothing changes when they are there."""
    fleet.pull()
    template.build(fleet)
    missing = [name for name in ADDRESS if not (fleet.path / FILE[name]).exists()]
    if not missing:
        return again(fleet)
    tags = " ".join(f"[ansible {name if name == K8S else 'haproxy'}]" for name in missing)
    message = f"feat(proxmox): add {' and '.join(missing)} {tags}"
    title(f"a commit on a branch, merged and pushed: {message}")
    for name in missing:
        print(machine(name))
    known = fleet.read(INVENTORY)
    commit = fleet.merge_branch("add-machines", message, {FILE[name]: machine(name) for name in missing})
    runs = served(commit)
    table(fleet, runs)
    # A machine whose removal had not been applied still exists, and needs nothing.
    prove(fleet, "" if all(f"{name} ansible_host" in known for name in missing) else tags)


def again(fleet: Clone) -> None:
    """A second run of everything: Terraform, Ansible and Vault have nothing to change."""
    title("a second run of everything changes nothing")
    before = user.kubeconfig()[1]
    applied = served(number=client.dispatch("terraform-apply.yml"))
    need("No changes" in client.log(applied[0]["id"]), "Terraform has nothing to change")
    runs = [provision("k8s", K8S), provision("haproxy", HAPROXY)]
    need(all(count == 0 for run in runs for count in changed(run)), "Ansible reports 0 changed")
    need(user.kubeconfig()[1] == before, f"Vault still has version {before}")
    table(fleet, applied)
    prove(fleet)
    title("a change by hand is repaired, and nothing else is touched")
    user.ssh(ADDRESS[HAPROXY], "sudo rm /etc/haproxy/haproxy.cfg")
    need(sum(changed(provision("haproxy", HAPROXY))) > 0, "Ansible reports the repair as changed")
