"""The process of one task: reads what to do from stdin, writes the task's log."""

import json
import os
import sys
import traceback

from lab.proxmox import faults, tasks
from lab.proxmox.errors import ApiError
from lab.proxmox.jobs import clones, configs, disks, images, power, templates

JOBS = {
    "change": configs.change,
    "clone": clones.clone,
    "create": configs.create,
    "delete_volume": disks.delete_volume,
    "destroy": disks.destroy,
    "download": images.download,
    "ha_request": power.ha_request,
    "migrate": disks.migrate,
    "move_disk": disks.move_disk,
    "reboot": power.reboot,
    "reset": power.reset,
    "resize": disks.resize,
    "shutdown": power.shutdown,
    "start": power.start,
    "stop": power.stop,
    "template": templates.template,
    "upload": images.upload,
}
# What a task does before any fault meets it.
FIRST = {"clone": clones.reserve}
# What a task has to undo that fails before its work.
ABORTS = {"clone": clones.clone_abort, "create": configs.create_abort}


def main() -> int:
    order = json.load(sys.stdin)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    upid = tasks.parse(order["upid"])
    try:
        FIRST.get(order["job"], lambda **_: None)(**order["arguments"])
        try:
            tasks.interrupted("received interrupt")
            warned = faults.meet(f"TASK {upid.type}:{upid.id}")
        except ApiError:
            ABORTS.get(order["job"], lambda **_: None)(**order["arguments"])
            raise
        warnings = (JOBS[order["job"]](**order["arguments"]) or 0) + warned
        for _ in range(warned):
            print("WARN: the guest's storage answers slowly", flush=True)
    except ApiError as error:
        print(f"TASK ERROR: {error.message}", flush=True)
        return 1
    except Exception as error:
        traceback.print_exc()
        print(f"TASK ERROR: {type(error).__name__}: {error}", flush=True)
        return 1
    print(f"TASK WARNINGS: {warnings}" if warnings else "TASK OK", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
