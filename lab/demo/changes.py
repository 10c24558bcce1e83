"""What happens to a machine later: more memory, a bigger disk, a change by hand, its removal."""

import re

from lab import user
from lab.clone import Clone
from lab.demo import by_hand, creation
from lab.demo.proof import (
    ADDRESS,
    HAPROXY,
    INVENTORY,
    K8S,
    QUEUE,
    logs,
    need,
    provision,
    say,
    served,
    title,
)
from lab.forge import client


def memory(fleet: Clone) -> None:
    """More memory is configured; it takes effect at a restart, which nothing here triggers."""
    title("more memory: the run reports that a restart is needed, and there is no downtime")
    boot = user.ssh(
        ADDRESS[K8S], "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp k3s"
    )
    text = fleet.read(creation.FILE[K8S])
    size = int(re.search(r"memory: (\d+)", text)[1]) + 512
    runs = served(
        fleet.push(f"feat(proxmox): {K8S} gets {size} MB", {creation.FILE[K8S]: _set(text, "memory", size)})
    )
    need(
        re.search(rf"{K8S}.*restart|restart.*{K8S}", logs(runs)),
        f"the run reports that {K8S} needs a restart",
    )
    after = user.ssh(
        ADDRESS[K8S], "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp k3s"
    )
    need(after == boot, "the machine was not touched")


def disk(fleet: Clone) -> None:
    """A disk grows while in use, and the machine sees it."""
    title("a bigger disk, online")
    device = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"
    before = int(user.ssh(ADDRESS[K8S], f"lsblk -bdno SIZE {device}"))
    text = fleet.read(creation.FILE[K8S])
    head, _, tail = text.partition("scsi1:")
    gib = before // 2**30 + 1
    served(fleet.push(f"feat(proxmox): {K8S} gets a disk of {gib} GiB", {
        creation.FILE[K8S]: f"{head}scsi1:{re.sub(r'size: [0-9]+G', f'size: {gib}G', tail, count=1)}"
    }))  # fmt: skip
    print(user.ssh(ADDRESS[K8S], f"lsblk {device}"))
    need(
        int(user.ssh(ADDRESS[K8S], f"lsblk -bdno SIZE {device}")) == gib * 2**30,
        f"the machine sees {gib} GiB",
    )
    provision("k8s", K8S)
    size = int(user.ssh(ADDRESS[K8S], "df --output=size -B1 /mnt/storage | tail -1"))
    need(size > 0.9 * gib * 2**30, "the playbook gave the new space to its file system")


def drift(fleet: Clone) -> None:
    """A change behind Terraform's back appears in the plan."""
    title("memory changed behind Terraform's back appears in the plan")
    fleet.pull()
    vmid = user.terraform_output(fleet)["vm_ids"][HAPROXY]
    by_hand.set_memory("node02", vmid, 1536)
    try:
        plan = user.inside(
            ["python3", str(fleet.path / "scripts/apply_terraform.py"), "--plan-only"], check=False
        )
        print(
            "\n".join(
                line
                for line in plan.splitlines()
                if "memory" in line or "dedicated" in line or "Plan:" in line
            )
        )
        need(re.search(r"dedicated\s+= 1536 -> 1024", plan), "the plan shows 1536 -> 1024")
    finally:
        by_hand.set_memory("node02", vmid, 1024)


def remove(fleet: Clone) -> None:
    """A removed file destroys nothing until a commit approves it; then all of the machine is removed."""
    title("a removed VM file: refused, while other pushes are applied")
    fleet.pull()
    if not (fleet.path / creation.FILE[HAPROXY]).exists():
        creation.create(fleet)
    before = fleet.read(INVENTORY), user.kubeconfig()
    removal = fleet.push(f"chore(proxmox): remove {HAPROXY}", {creation.FILE[HAPROXY]: None})
    runs = client.wait(removal, report=say)
    need(
        client.failed(runs) and f"[destroy {HAPROXY}]" in logs(runs),
        "the run fails and names the missing approval",
    )
    text = fleet.read(creation.FILE[K8S])
    served(fleet.push("docs(proxmox): another push", {creation.FILE[K8S]: text + "# another push\n"}))
    user.ssh(ADDRESS[HAPROXY], "true")
    need(True, f"another push was applied, and {HAPROXY} still runs")

    title(f"a commit with [destroy {HAPROXY}]")
    served(fleet.push(f"chore(proxmox): it is no longer needed [destroy {HAPROXY}]", {}))
    fleet.pull()
    kept = [line for line in before[0].splitlines() if not line.startswith(HAPROXY)]
    need(
        fleet.read(INVENTORY).splitlines() == kept,
        "its inventory lines are removed, all others are unchanged",
    )
    need(HAPROXY not in fleet.read(QUEUE), "it is not in the queue")
    need(user.kubeconfig() == before[1], "the clusters in Vault are unchanged")
    need(HAPROXY not in user.terraform_output(fleet)["vm_ips"], "Terraform no longer has it")
    need(user.ssh(ADDRESS[HAPROXY], "echo ok", check=False) != "ok", "it no longer answers")


STEPS = {"memory": memory, "disk": disk, "drift": drift, "remove": remove}


def _set(text: str, field: str, value: object) -> str:
    return re.sub(rf"^{field}: .*$", f"{field}: {value}", text, flags=re.M)
