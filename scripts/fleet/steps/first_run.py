"""Whether there is any machine to work on yet."""

from fleet.ansible import inventory
from fleet.files import read_text
from fleet.names import managed
from fleet.paths import INVENTORY, QUEUE, VMS_DIR


def has_machines() -> bool:
    """Whether there is anything but the samples: a file for a machine, a host or a line of the queue."""
    files = [path for path in VMS_DIR.rglob("[!.]*") if path.is_file() and managed(path.stem)]
    hosts = inventory.parse(read_text(INVENTORY))
    lines = [line for line in read_text(QUEUE).splitlines() if line.strip() and not line.startswith("#")]
    return bool(files or hosts.variables() or hosts.findings or lines)
