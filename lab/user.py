"""What a person sees from outside: machines over SSH, clusters through Vault, Terraform's outputs."""

import json
import tempfile

import yaml

from lab import GATEWAY, LabError, lab_dir, network, secrets_dir, vault
from lab.clone import Clone
from lab.command import output
from lab.environment import environment


def machine_file(name: str, address: str, node: str = "node01", **changes) -> str:
    """The text of a VM file; `changes` replace or add fields, None omits one."""
    data = {
        "name": name,
        "target_node": node,
        "cores": 1,
        "memory": 1024,
        "clone": "ubuntu24-template",
        "ipconfig0": f"ip={address}/24,gw={GATEWAY}",
        "ciuser": "suporte",
        "disks": {"scsi0": {"size": "4G", "storage": "local-lvm"}},
    } | changes
    body = yaml.safe_dump({key: value for key, value in data.items() if value is not None}, sort_keys=False)
    return "# yaml-language-server: $schema=../../schemas/vm.schema.json\n" + body


def inside(argv: list[str], check: bool = True, stdin: str | None = None, **env: str) -> str:
    """Standard output of a command run in the lab's network with its environment."""
    return output(network.inside_argv(argv), check=check, stdin=stdin, env=environment() | env)


def ssh(address: str, command: str, user: str = "suporte", check: bool = True) -> str:
    """Standard output of a command in a machine."""
    options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=5",
    ]
    argv = ["ssh", "-i", str(secrets_dir() / "ssh_key"), *(part for one in options for part in ("-o", one))]
    return inside([*argv, f"{user}@{address}", command], check=check)


def kubeconfig() -> tuple[dict, int]:
    """The kubeconfig of all clusters in Vault and the secret's version; ({}, 0) when there is none."""
    with network.inside():
        try:
            answer = vault.request("GET", f"{vault.MOUNT}/data/{vault.PATH}")["data"]
        except LabError as error:
            if "404" in str(error):
                return {}, 0
            raise
    return yaml.safe_load(answer["data"]["KUBECONFIG"]), answer["metadata"]["version"]


def kubectl(context: str, *args: str, check: bool = True) -> str:
    """kubectl from outside the machines, with the kubeconfig read back from Vault."""
    with tempfile.NamedTemporaryFile("w", dir=secrets_dir()) as file:
        yaml.safe_dump(kubeconfig()[0], file)
        file.flush()
        program = environment()["KUBECTL"]
        return inside(
            [program, "--kubeconfig", file.name, "--context", context, "--request-timeout=10s", *args], check
        )


def terraform_output(clone: Clone) -> dict:
    """Terraform's outputs, as a person reads them in proxmox/."""
    command = [environment()["TERRAFORM"], f"-chdir={clone.path / 'proxmox'}"]
    inside([*command, "init", "-input=false", "-no-color"])
    answer = json.loads(inside([*command, "output", "-json"]))
    return {name: item["value"] for name, item in answer.items()}


def fleet() -> Clone:
    """The clone that the demo works in."""
    return Clone(lab_dir() / "demo" / "fleet")
