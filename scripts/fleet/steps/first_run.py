"""Whether there is anything to work on yet: a machine, a workspace of clusters/."""

from pathlib import Path, PurePosixPath

from fleet.ansible import inventory, queue
from fleet.files import read_text
from fleet.git import command as git
from fleet.names import managed
from fleet.paths import INVENTORY, QUEUE, ROOT, VMS_DIR

# A line of clusters/variables.tf that gives a workspace its cluster, unless it is commented out.
ENTRY = r'^[^#]*kubernetes_context"?[[:space:]]*[=:][[:space:]]*["<]'


def has_machines() -> bool:
    """Whether there is or was anything but the samples: a file for a machine, a host or a line of the queue.

    A machine whose making failed and whose file is gone again is known to Terraform's state alone.
    """
    files = [path for path in VMS_DIR.rglob("[!.]*") if path.is_file() and managed(path.stem)]
    hosts = inventory.parse(read_text(INVENTORY))
    waiting = any(queue.parse(read_text(QUEUE)))  # also a line that is none
    return bool(files or hosts.variables() or hosts.findings or waiting or _had_files())


def _had_files() -> bool:
    gone = git.git(
        VMS_DIR, "log", "--format=", "--name-only", "-z", "--diff-filter=D", "--", ".", check=False
    )
    return any(managed(PurePosixPath(name).stem) for name in gone.split("\0") if name.strip())


def has_workspaces(repo: Path = ROOT) -> bool:
    """Whether clusters/variables.tf has or ever had an entry: what it was made of may be in the clusters still.

    Looked for in the history alone, and not read as HCL: this is asked where nothing is installed, and a wrong yes
    costs no more than a look.
    """
    log = ("log", "-1", "--format=%H", "--full-history", f"-G{ENTRY}", "--", "clusters/variables.tf")
    return bool(git.git(repo, *log, check=False))
