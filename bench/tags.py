"""extract_ansible_tag.py against `git log` alone on the same range."""

import subprocess
import tempfile
from pathlib import Path

from bench import ROOT, Command, Row, grown, label, medians, script

NOTE = """
`extract_ansible_tag.py --format json` on that many commits after the served one, of which every twentieth
has a tag and every fifth changes a VM file, against `git log` on the same range. At one commit the
difference is the start of Python, which at 10,000 takes as long as `git log`.
"""
SIZES = [1, 100, 10_000]
PERSON = "A Person <person@example.org>"
BODY = f"\n\nThe address comes from the plan of the network, see the wiki.\nReviewed-by: {PERSON}\n"


def history(folder: Path, count: int) -> None:
    """This many commits after the served one; every twentieth has a tag, every fifth a VM file."""
    stream = []
    for number in range(count + 1):
        tag = " [ansible k8s]" if number % 20 == 1 else ""
        message = f"feat(proxmox): change number {number}{tag}{BODY}"
        stream.append(
            f"commit refs/heads/main\ncommitter {PERSON} {1_700_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
        )
        path = f"proxmox/vms/k8s-{number % 50:02}.yaml" if number % 5 == 1 else "README.md"
        text = f"memory: {number}\n"
        stream.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n")
    stream.append("M 100644 inline proxmox/playbooks/k8s.yml\ndata 4\n---\n\n")
    git = ["git", "-C", str(folder)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*git, "fast-import", "--quiet"], input="".join(stream), text=True, check=True)
    subprocess.run([*git, "reset", "-q", "--hard"], check=True)
    subprocess.run([*git, "update-ref", "refs/gitops/served", f"HEAD~{count}"], check=True)


def rows(runs: int) -> list[Row]:
    result = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            history(folder, size)
            ours = Command(script("extract_ansible_tag", "--repo", folder, "--format", "json"), ROOT)
            other = Command(["git", "log", "refs/gitops/served..HEAD"], folder)
            taken = medians(runs, ours, other)
        goal = 2 if size == 10_000 else None
        result.append(Row("extract_ansible_tag.py / git log", label(size, "commit"), *taken, goal=goal))
    return grown(result, SIZES)
