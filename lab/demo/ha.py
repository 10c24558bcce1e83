"""The demo of a K3s cluster of several machines: one commit, and what happens when a machine is lost.

Steps: create (or, when the machines are there, proof that a second run changes nothing), loss, rebuild, grow.
"""

import re

from lab import user
from lab.clone import Clone
from lab.demo import by_hand
from lab.demo.cluster import (
    ADDED,
    ADDRESS,
    BALANCER,
    CLUSTER,
    FIRST,
    PLAYBOOK,
    SERVERS,
    WORKER,
    answers,
    etcd,
    file,
    members,
    not_ready,
    prove,
    unchanged,
)
from lab.demo.proof import logs, need, say, served, table, title
from lab.forge import client

MEMORY = {BALANCER: 512, WORKER: 768, ADDED: 768}  # MB; a server has 1536
OUTAGE = 10  # seconds until the API answers again after the loss of a server


def machine(name: str, **changes: object) -> str:
    node = "node02" if name in (SERVERS[1], WORKER) else "node01"
    size = MEMORY.get(name, 1536)
    return user.machine_file(name, ADDRESS[name], node, cores=2, memory=size, **changes)


def create(fleet: Clone) -> None:
    """Five machines from one commit, or proof that nothing changes when they are there."""
    fleet.pull()
    missing = [name for name in FIRST if not (fleet.path / file(name)).exists()]
    if not missing:
        return again(fleet)
    message = f"feat(proxmox): the cluster {CLUSTER} [ansible {PLAYBOOK}] [ansible haproxy]"
    title(f"one push with {len(missing)} VM files: {message}")
    runs = served(fleet.push(message, {file(name): machine(name) for name in missing}))
    table(fleet, runs)
    prove(fleet)


def again(fleet: Clone) -> None:
    """A second run of everything: Terraform, Ansible and Vault have nothing to change."""
    title("a second run of everything changes nothing")
    before = user.kubeconfig()[1]
    applied = served(number=client.dispatch("terraform-apply.yml"))
    need("No changes" in client.log(applied[0]["id"]), "Terraform has nothing to change")
    unchanged(fleet)
    need(user.kubeconfig()[1] == before, f"Vault still has version {before}")
    prove(fleet)


def loss(fleet: Clone) -> None:
    """A server loses power: the API answers through the others, and the next run brings it back."""
    lost = SERVERS[0]
    title(f"{lost} loses power")
    fleet.pull()
    one = user.terraform_output(fleet)["ansible_inventory"][lost]
    by_hand.stop(one["node"], one["vmid"])
    seconds = answers()
    need(seconds <= OUTAGE, f"kubectl answers again after {seconds:.1f} s, through {BALANCER}")
    served(number=client.dispatch("terraform-apply.yml"))
    served(number=client.dispatch("ansible.yml", {"playbook": PLAYBOOK, "hosts": ",".join(members(fleet))}))
    need(not not_ready(fleet), f"the next run started {lost} again: every node is ready")
    prove(fleet)
    unchanged(fleet)


def rebuild(fleet: Clone) -> None:
    """A server is destroyed with its disk and made again: it joins the cluster that is there."""
    name = SERVERS[1]
    fleet.pull()
    vmid = 700 if user.terraform_output(fleet)["vm_ids"][name] != 700 else 701
    message = f"chore(proxmox): make {name} again [destroy {name}] [ansible {PLAYBOOK}]"
    title(f"a push with another vmid: {message}")
    cluster, before = etcd(SERVERS[0])
    runs = served(fleet.push(message, {file(name): machine(name, vmid=vmid)}))
    table(fleet, runs)
    after = etcd(name)
    need(after[0] == cluster, f"{name} is a member of the same etcd cluster, {cluster}")
    need(len(set(before) & set(after[1])) == 2, "the others are the members that they were")
    prove(fleet)


def grow(fleet: Clone) -> None:
    """A worker is added by a push, and nothing else is touched."""
    title(f"{ADDED} is added by a push")
    if (fleet.path / file(ADDED)).exists():
        return say(f"{ADDED} is there already")
    message = f"feat(proxmox): one more worker [ansible {PLAYBOOK}]"
    runs = served(fleet.push(message, {file(ADDED): machine(ADDED)}))
    log = logs(runs)
    need("1 to add, 0 to change, 0 to destroy" in log, "Terraform made one machine and changed none")
    played = set(re.findall(r"^.*\| (\S+) +: ok=", log, re.M))
    need(played == {ADDED}, f"Ansible played on {ADDED} alone")
    prove(fleet)


STEPS = {"create": create, "loss": loss, "rebuild": rebuild, "grow": grow}
