"""The demo's template, built from a cloud image of the lab's site, as a person does it on a fleet's clone."""

import re
import subprocess

from lab import LabError, network
from lab.clone import Clone
from lab.demo.proof import need, title
from lab.environment import environment

IMAGE, NAME = "debian12", "debian12-template"


def build(fleet: Clone) -> None:
    """Build it, or prove that a second run of everything changes nothing."""
    title("the newest build of a cloud image is locked, and becomes a template")
    shown([str(fleet.path / "scripts/update_images.py"), IMAGE])
    playbook = str(fleet.path / "proxmox/playbooks/template.yml")
    recap = shown(["ansible-playbook", playbook, "-e", f"proxmox_template_image={IMAGE}"])
    need_ready(NAME, recap)


def need_ready(name: str, recap: str) -> None:
    """`recap`: what the build printed."""
    need(f"{name} " in recap and "failed=0" in recap, f"{name} is ready")
    if " is as wanted" in recap:
        need(re.search(r"changed=0\b", recap), "it was there: 0 changed")


def shown(argv: list[str], **env: str) -> str:
    """Run a command and show its lines as they come, without the tasks that had nothing to do; all of them."""
    process = subprocess.Popen(
        network.inside_argv(argv), env=environment() | {"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"} | env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines = []
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    if process.wait():
        raise LabError(f"{argv[0]} ended with {process.returncode}")
    return "".join(lines)
