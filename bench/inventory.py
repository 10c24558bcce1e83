"""update_inventory.py against `ansible-inventory --list` on the same file."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench import SCRIPTS, Command, Row, grown, label, medians, patched, script

NOTE = """
`update_inventory.py --outputs` where one machine is new, one is gone and one has another address, against
`ansible-inventory --list` on the same inventory. The script's last step is that same command on the new
text: the first rows are without it, the others with it.
"""
SIZES = [10, 1000, 10_000]
UNCHECKED = "from fleet.ansible import command; command.check_inventory = lambda *_: []"


def outputs(count: int) -> dict:
    """Terraform's outputs with this many machines, half of them K3s."""
    machines = {}
    for number in range(count):
        name, high, low = f"{('k8s', 'vm')[number % 2]}-{number:05}", *divmod(number, 200)
        mac = f"BC:24:11:00:{number >> 8:02X}:{number & 255:02X}"
        mounts = {"scsi1": "/mnt/storage"} if number % 2 else {}
        machines[name] = {"address": f"10.1.{high}.{low + 2}", "user": "suporte", "mac": mac}
        machines[name] |= {"instance": f"{number:012x}", "mounts": mounts}
    return {"ansible_inventory": {"value": machines}}


def rows(runs: int) -> list[Row]:
    unchecked, whole = [], []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            inventory, queue, before, after = (folder / name for name in ("k8s.ini", "queue", "old", "new"))
            now = outputs(size)
            machines = now["ansible_inventory"]["value"]
            gone, changed, *_ = machines
            after.write_text(json.dumps({"ansible_inventory": {"value": machines}}))
            options = ("--outputs", after, "--inventory", inventory, "--queue", queue)
            inventory.write_text("[k3s]\n")
            Command(script("update_inventory", *options), folder).seconds()
            shutil.copy(inventory, before)
            # One machine leaves, one gets another address, one is new.
            machines["k8s-new"] = machines.pop(gone) | {"mac": "BC:24:11:FF:00:01"}
            machines[changed]["address"] = "10.1.255.250"
            after.write_text(json.dumps(now))

            def fresh(inventory=inventory, before=before, queue=queue):
                shutil.copy(before, inventory)
                queue.write_text("")

            ansible = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory), "--list"]
            taken = medians(
                runs,
                Command(patched("update_inventory", UNCHECKED, *options), SCRIPTS, fresh),
                Command(script("update_inventory", *options), SCRIPTS, fresh),
                Command(ansible, folder, fresh),
            )
        machines, goal = label(size, "machine"), 0.2 if size == 1000 else None
        what = "update_inventory.py / ansible-inventory --list"
        unchecked.append(Row(what, machines, taken[0], taken[2], goal))
        whole.append(Row("… with its last check, by ansible-inventory", machines, taken[1], taken[2]))
    return grown(unchecked, SIZES) + grown(whole, SIZES)
