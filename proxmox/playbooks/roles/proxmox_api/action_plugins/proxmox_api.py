"""The action `proxmox_api`: one call of Proxmox's API from a play, by the client of scripts/fleet/proxmox.

    - name: Restart the machine
      proxmox_api:
        endpoint: https://pve:8006/
        api_token: user@realm!tokenid=secret
        insecure: false               # accept any certificate
        method: POST                  # GET (default), POST, PUT or DELETE
        path: nodes/node01/qemu/120/status/reboot
        data: {timeout: 60}           # query of GET and DELETE, form of POST and PUT
        wait: true                    # when the answer names a task, until it has ended
        timeout: 300                  # seconds for that
      delegate_to: localhost
      no_log: true # the API token is an argument

Returns `data`, the API's answer, and with `wait` the task's `exitstatus`. GET runs in check mode too and
never is a change; in check mode every other method is skipped.

It is an action and not a module: an action runs in Ansible's own process on the controller, from this very
file. So it finds the scripts of this checkout wherever the play was started, and the token is in no other
process's arguments, environment or files. A role that uses it names the role `proxmox_api` in its
dependencies; Ansible then finds it without ansible.cfg and whatever playbook uses that role.
"""

import sys
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleActionSkip
from ansible.plugins.action import ActionBase

SCRIPTS = Path(__file__).resolve().parents[5] / "scripts"
OPTIONS = {
    "endpoint": {"type": "str", "required": True},
    "api_token": {"type": "str", "required": True, "no_log": True},
    "insecure": {"type": "bool", "default": False},
    "method": {"type": "str", "default": "GET", "choices": ["GET", "POST", "PUT", "DELETE"]},
    "path": {"type": "str", "required": True},
    "data": {"type": "dict", "default": {}},
    "wait": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 600},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(OPTIONS)
        method, data = given["method"], given["data"]
        if self._task.check_mode and method != "GET":
            raise AnsibleActionSkip(f"{method} {given['path']} is not sent in check mode")
        sys.path.insert(0, str(SCRIPTS))
        try:
            from fleet.findings import Fault
            from fleet.proxmox import client, tasks

            api = client.Client(given["endpoint"], given["api_token"], given["insecure"])
            answer = getattr(api, method.lower())(given["path"].lstrip("/"), **data)
            result = {"changed": method != "GET", "data": answer}
            if given["wait"] and tasks.is_upid(answer):
                result["exitstatus"] = tasks.wait(api, answer, given["timeout"])
            return result
        except ModuleNotFoundError as error:
            raise AnsibleActionFail(f"Ansible's Python lacks the package {error.name}") from error
        except Fault as fault:
            raise AnsibleActionFail(str(fault)) from None
        finally:
            sys.path.remove(str(SCRIPTS))
