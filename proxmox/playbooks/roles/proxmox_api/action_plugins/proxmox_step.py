"""The action `proxmox_step`: one step of a role, done by a function of scripts/fleet with Proxmox's API.

    - name: Build the template's machine
      proxmox_step:
        run: builds.create         # scripts/fleet/builds/create.py, whose function `run` is called
        arguments: {node: node01}

Endpoint and token come from the environment, as for Terraform's provider: PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN,
PROXMOX_VE_INSECURE. So no task has a secret among its arguments. What a step does while it works is shown at once.

Returns `changed`, `msg`, `seconds`, `diff`, and what the step hands on to later tasks. In check mode nothing is
written, and the answer says what would be. A failure that is a task's of Proxmox has its `upid`, and the end of its
`log`.

Like `proxmox_api` it is an action: it runs in Ansible's own process on the controller, from this checkout.
"""

import contextlib
import ctypes
import importlib
import re
import signal
import sys
import time
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SCRIPTS = Path(__file__).resolve().parents[5] / "scripts"
STEP = re.compile(r"(?:builds|lifecycle|templates)\.[a-z_]+")
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
OPTIONS = {"run": {"type": "str", "required": True}, "arguments": {"type": "dict", "default": {}}}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        if not STEP.fullmatch(given["run"]):
            raise AnsibleActionFail(f"{given['run']} is not a step")
        # Ansible gives a task a session of its own, in which it would outlive a play that is killed.
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        sys.path.insert(0, str(SCRIPTS))
        try:
            from fleet.findings import Fault, visible
            from fleet.proxmox import client
            from fleet.proxmox.change import Change

            step = importlib.import_module(f"fleet.{given['run']}").run
            say = Display().display
            change = Change(client.connect(), self._task.check_mode, lambda line: say(f"  {visible(line)}"))
            start = time.monotonic()
            result = step(change, given["arguments"])
            seconds = round(time.monotonic() - start, 1)
            answer = {"changed": result.changed, "msg": result.message, "seconds": seconds}
        except ModuleNotFoundError as error:
            raise AnsibleActionFail(f"Ansible's Python lacks the package {error.name}") from error
        except Fault as fault:
            raise AnsibleActionFail(fault.finding.text(), result=_task(fault)) from None
        finally:
            sys.path.remove(str(SCRIPTS))
        if result.changed:
            answer["diff"] = {"before": dict(result.before), "after": dict(result.after)}
        return {**answer, **result.facts}


def _task(fault):
    """The task of Proxmox that a failure comes from, if it is one's."""
    from fleet.findings import Fault
    from fleet.proxmox import client, tasks

    failed = fault if isinstance(fault, tasks.Failed) else fault.__context__
    if not isinstance(failed, tasks.Failed):
        return {}
    lines = []
    with contextlib.suppress(Fault):  # that Proxmox does not answer any more is no news then
        lines = tasks.last_lines(client.connect(), failed.task)
    return {"upid": failed.task.upid, "log": lines}
