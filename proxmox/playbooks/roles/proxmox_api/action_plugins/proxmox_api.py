"""The action `proxmox_api`: a call of Proxmox's API from a play, or a step of a role, by the code of scripts/fleet.

Its options, returned values and examples stand in proxmox/library/proxmox_api.py: `ansible-doc -t module proxmox_api`.

It is an action and not a module: an action runs in Ansible's own process on the controller, from this very file. So it
finds the scripts of this checkout wherever the play was started, and the token is in no other process's arguments,
environment or files. A role that uses it names the role `proxmox_api` in its dependencies; Ansible then finds it
without ansible.cfg and whatever playbook uses that role.
"""

import ctypes
import importlib
import re
import signal
import sys
import time
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleActionSkip
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SCRIPTS = Path(__file__).resolve().parents[5] / "scripts"
STEP = re.compile(r"(?:builds|lifecycle|templates|deploy|snippets)\.[a-z_]+")
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
OPTIONS = {
    "action": {"type": "str", "choices": ["get", "call", "ensure"]},
    "path": {"type": "str"},
    "method": {"type": "str", "default": "POST", "choices": ["POST", "PUT", "DELETE"]},
    "data": {"type": "dict", "default": {}},
    "want": {"type": "dict"},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 600},
    "run": {"type": "str"},
    "arguments": {"type": "dict", "default": {}},
    "endpoint": {"type": "str"},
    "api_token": {"type": "str", "no_log": True},
    "insecure": {"type": "bool", "default": False},
}
RULES = {
    "mutually_exclusive": [("action", "run")],
    "required_one_of": [("action", "run")],
    "required_together": [("endpoint", "api_token")],
    "required_if": [
        ("action", "get", ("path",)),
        ("action", "call", ("path",)),
        ("action", "ensure", ("path", "want")),
    ],
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS, **RULES)
        if given["run"] and not STEP.fullmatch(given["run"]):
            raise AnsibleActionFail(f"{given['run']} is not a step")
        if given["action"] == "call" and self._task.check_mode:
            raise AnsibleActionSkip(f"{given['method']} {given['path']} is not sent in check mode")
        # Ansible gives a task a session of its own, in which it would outlive a play that is killed.
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        sys.path.insert(0, str(SCRIPTS))
        try:
            from fleet.findings import Fault

            return self._do(given, (task_vars or {}).get("inventory_hostname", "localhost"))
        except ModuleNotFoundError as error:
            raise AnsibleActionFail(f"Ansible's Python lacks the package {error.name}") from error
        except Fault as fault:
            raise AnsibleActionFail(fault.finding.text(), result=_task(fault)) from None
        finally:
            sys.path.remove(str(SCRIPTS))

    def _do(self, given, host):
        from fleet.findings import visible
        from fleet.lifecycle import machine
        from fleet.proxmox import client, ensure
        from fleet.proxmox.change import Change

        display = Display()
        if given["endpoint"] is None:
            api = client.connect(say=display.warning)  # of which Ansible shows each once
        else:
            api = client.Client(given["endpoint"], given["api_token"], given["insecure"])
            if given["insecure"]:
                display.warning(client.INSECURE)
        path = (given["path"] or "").strip("/")
        if given["action"] == "get":
            return {"changed": False, "data": api.get(path, **given["data"])}
        # Machines that are made at the same time tell which of them a line is about.
        head = "  " if host == "localhost" else f"  {host}: "

        def say(line):
            display.display(head + visible(line).replace("\n", f"\n{head}"))

        change = Change(api, self._task.check_mode, say)
        if given["action"] == "call":
            answer = getattr(api, given["method"].lower())(path, **given["data"])
            ended = machine.wait(change, answer, given["timeout"]) if given["wait"] else ""
            return {"changed": True, "data": answer, **({"exitstatus": ended} if ended else {})}
        start = time.monotonic()
        if given["action"] == "ensure":
            result = ensure.run(change, path, given["want"])
        else:
            result = importlib.import_module(f"fleet.{given['run']}").run(change, given["arguments"])
        answer = {"changed": result.changed, "msg": result.message}
        answer["seconds"] = round(time.monotonic() - start, 1)
        if result.changed:
            answer["diff"] = {"before": dict(result.before), "after": dict(result.after)}
        return {**answer, **result.facts}


def _task(fault):
    """The task of Proxmox that a failure comes from, if it is one's."""
    from fleet.proxmox import tasks

    failed = fault if isinstance(fault, tasks.Failed) else fault.__context__
    return {"upid": failed.task.upid, "log": list(failed.log)} if isinstance(failed, tasks.Failed) else {}
