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
  - At the end of a playbook, writes each host's counters, and whether the run ended early, as JSON to the
    file that the environment variable FLEET_RESULTS names. Without it nothing is written.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "host_results"

    def __init__(self):
        super().__init__()
        self.aborted = False  # a play ended early: hosts without a failure may not have come to its end
        self.last = self.begun = None  # the playbook's last play, and the last that has begun

    def v2_playbook_on_start(self, playbook):
        self.last = playbook.get_plays()[-1]._uuid

    def v2_playbook_on_play_start(self, play):
        self.begun = play._uuid

    def v2_playbook_on_no_hosts_remaining(self):
        self.aborted = True

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self._ends_for_all(result)

    def v2_runner_on_unreachable(self, result):
        self._ends_for_all(result)

    def _ends_for_all(self, result):
        # Ansible then stops on every host, and tells no callback which of them had not come to the end.
        task = getattr(result, "task", None) or result._task  # the name of ansible-core up to 2.18
        self.aborted |= bool(task.any_errors_fatal or task.run_once)

    def v2_playbook_on_stats(self, stats):
        if file := os.environ.get("FLEET_RESULTS"):
            hosts = {host: stats.summarize(host) for host in stats.processed}
            # Where all hosts of a batch fail, Ansible leaves out the batches and plays that follow.
            aborted = self.aborted or self.begun != self.last
            Path(file).write_text(json.dumps({"hosts": hosts, "aborted": aborted}), "utf-8")
