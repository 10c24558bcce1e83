#!/usr/bin/python
"""The documentation of the action `proxmox_api`, where Ansible looks for it; the action is in the role of that name."""

import json
import sys

DOCUMENTATION = """
module: proxmox_api
short_description: Use Proxmox VE's API, or run a step of this project's roles
description:
  - Calls Proxmox VE's API with the client of C(scripts/fleet/proxmox), the same that all scripts here use.
  - It is an action that runs on the controller. A role that uses it names the role C(proxmox_api) in its
    C(meta/main.yml) as a dependency.
  - What a step or a task of Proxmox does while it works is shown at once.
author: the project
options:
  action:
    description:
      - V(get) reads. It also runs in check mode and never is a change.
      - V(call) sends O(method) and waits for the task that the answer names. Check mode skips it.
      - V(ensure) reads the configuration at O(path), compares it with O(want) and sends what differs, in one call,
        unless somebody changed it meanwhile.
    type: str
    choices: [get, call, ensure]
  path:
    description: The path below C(/api2/json).
    type: str
  method:
    description: The method of V(call).
    type: str
    choices: [POST, PUT, DELETE]
    default: POST
  data:
    description: The parameters of V(get) and V(call).
    type: dict
    default: {}
  want:
    description:
      - For V(ensure), the options that are to be set; others stay as they are.
      - A property string is compared by its properties, so that their order and Proxmox's defaults are no difference.
      - An option whose value is null is deleted.
    type: dict
  wait:
    description: Whether V(call) waits until the task has ended.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for a task.
    type: float
    default: 600
  run:
    description: A step of a role instead of an action, as V(builds.create) for C(scripts/fleet/builds/create.py).
    type: str
  arguments:
    description: What the step is given.
    type: dict
    default: {}
  endpoint:
    description:
      - The address of Proxmox, where it is not the one of C(PROXMOX_VE_ENDPOINT) in the environment or in C(.env).
      - Needs O(api_token).
    type: str
  api_token:
    description:
      - The token, as C(user@realm!tokenid=secret), where it is not the one of C(PROXMOX_VE_API_TOKEN).
      - A task with this argument needs C(no_log), or C(-vvv) would show it.
    type: str
  insecure:
    description: With O(endpoint), accept any certificate.
    type: bool
    default: false
attributes:
  check_mode:
    description: V(call) is skipped, V(ensure) and steps say what they would do.
    support: full
  diff_mode:
    description: V(ensure) and steps tell the values before and after, without secrets.
    support: full
"""

EXAMPLES = """
- name: List the machines
  proxmox_api:
    action: get
    path: cluster/resources
    data:
      type: vm
  register: machines

- name: Restart a machine, and wait until that is done
  proxmox_api:
    action: call
    path: nodes/node01/qemu/120/status/reboot
    data:
      timeout: 60

- name: Set two options and delete one
  proxmox_api:
    action: ensure
    path: nodes/node01/qemu/120/config
    want:
      cores: 4
      net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7
      balloon: null

- name: Run a step of a role
  proxmox_api:
    run: lifecycle.verify
    arguments:
      name: web-1
"""

RETURN = """
data:
  description: The API's answer.
  returned: V(get) and V(call)
  type: raw
exitstatus:
  description: How the task ended, C(OK) or C(WARNINGS) with their number.
  returned: V(call), when a task was waited for
  type: str
msg:
  description: What was done, or is wrong.
  returned: V(ensure), steps, failure
  type: str
seconds:
  description: How long the step took.
  returned: steps
  type: float
upid:
  description: The task of Proxmox that failed.
  returned: failure of a task
  type: str
log:
  description: The end of that task's log.
  returned: failure of a task
  type: list
  elements: str
"""

if __name__ == "__main__":
    message = (
        "proxmox_api is an action of the role proxmox_api, which this play does not use: name that role in the"
        " dependencies of yours, or in the play's roles"
    )
    print(json.dumps({"failed": True, "msg": message}))
    sys.exit(1)
