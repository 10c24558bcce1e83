"""The chain for machines of Talos on the lab: image, template, Terraform, inventory, playbook, Vault; and its bad days.

The tests build on each other, in their order.
"""

import pytest

from lab import LabError, user
from lab.demo import proof, talos
from lab.forge import client


def test_one_commit_makes_a_cluster(fleet):
    talos.create(fleet)
    inventory = user.terraform_output(fleet)["ansible_inventory"]
    assert {name: one["user"] for name, one in inventory.items()} == dict.fromkeys(talos.ADDRESS)


def test_a_second_run_sends_nothing(fleet):
    talos.again(fleet)


def test_a_change_by_hand_is_corrected(fleet):
    talos.drift(fleet)


def test_a_runner_without_talosctl_says_what_to_install_and_the_machine_stays_in_the_queue(fleet, lab):
    program = lab / "bin/talosctl"
    target = program.readlink()
    program.unlink()
    try:
        commit = fleet.push(f"chore(proxmox): once more [ansible {talos.WORKER}]", {})
        with pytest.raises(LabError, match="failed"):
            proof.served(commit)
        assert "talosctl is not in PATH" in proof.logs(client.wait(commit))
    finally:
        program.symlink_to(target)
    with pytest.raises(LabError, match="the queue is empty"):
        proof.need_empty_queue(fleet)
    proof.served(number=client.dispatch("terraform-apply.yml"))
    proof.need_empty_queue(fleet)
