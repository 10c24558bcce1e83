"""What `cloud-init status` says of a machine."""

import re
import subprocess

from fleet.findings import printable

STATUS = "cloud-init status --wait --long"


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[bool, str]:
    """What `cloud-init status --wait --long` means: whether the machine is ready, and how to say it."""
    if done.returncode == 127:
        return True, "ready (it has no cloud-init)"
    status = "".join(re.findall(r"^status: *(.+)$", done.stdout, re.M)[-1:]) or "unknown"
    extended = "".join(re.findall(r"^extended_status: *(.+)$", done.stdout, re.M)[-1:])
    if status == "done" and (done.returncode == 2 or "degraded" in extended):
        return True, "ready (cloud-init: degraded, see `cloud-init status --long` there)"
    if status in ("done", "disabled") or status.startswith("degraded"):
        return True, "ready" if status == "done" else printable(f"ready (cloud-init: {status})")
    detail = " ".join((done.stdout + done.stderr).split())[-300:]
    return False, printable(f"cloud-init ended with status {status}: {detail}")
