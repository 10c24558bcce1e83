"""The task file that asks a stage again while it is not possible yet: the real Ansible, and a script in its place."""

import json
import os
import subprocess
import sys
from pathlib import Path

from fleet.paths import PLAYBOOKS_DIR

# Slower than the whole time that it has, as a cluster is of which nobody answers.
SCRIPT = """import pathlib, sys, time
with pathlib.Path(__file__).with_name("asked").open("a") as file:
    print(sys.argv[1], file=file)
time.sleep(10.5)
print("cp01 does not answer", file=sys.stderr)
sys.exit(75)
"""


def test_a_stage_is_asked_again_until_its_seconds_are_over(tmp_path: Path):
    (tmp_path / "stage.py").write_text(SCRIPT)
    controller = {
        "script": f"{tmp_path}/stage.py",
        "timeout": "10",
        "vault_addr": "",
        "vault_token": "t",
        "input": "",
    }
    stage = {"ansible.builtin.include_tasks": str(PLAYBOOKS_DIR / "roles/talos/tasks/stage.yml")}
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [stage],
        "vars": {
            "ansible_python_interpreter": sys.executable, "talos_stage": "health", "talos_controller": controller
        },
    }  # fmt: skip
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "play.yml"], cwd=tmp_path, text=True,
        env=environment | {"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "cp01 does not answer" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "asked").read_text() == "health\n"
