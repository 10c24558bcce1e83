"""An Ansible callback: writes what became of each host to the file that FLEET_RESULTS names, as JSON."""

import json
import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: host_results
type: aggregate
short_description: Writes the result of each host to a file
description:
  - At the end of a playbook, writes C({"hosts": {name: counters}, "aborted": bool}) to the file that the
    environment variable E(FLEET_RESULTS) names. Without it nothing is written.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "host_results"

    def __init__(self):
        super().__init__()
        self.aborted = False  # a play ended early: hosts without a failure may not have come to its end

    def v2_playbook_on_no_hosts_remaining(self):
        self.aborted = True

    def v2_playbook_on_stats(self, stats):
        if file := os.environ.get("FLEET_RESULTS"):
            hosts = {host: stats.summarize(host) for host in stats.processed}
            Path(file).write_text(json.dumps({"hosts": hosts, "aborted": self.aborted}))
