"""What the new version itself says of the fleet's files: its validators, and its plan where credentials are."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fleet.console import note
from fleet.findings import Fault, Finding
from fleet.upgrades.scratch import run

VALIDATORS = ("validate_vms.py", "validate_clusters.py", "validate_playbooks.py")
PLAN = ("apply_terraform.py", "--plan-only")
NEEDED = ("PROXMOX_VE_ENDPOINT", "PROXMOX_VE_API_TOKEN", "PG_CONN_STR")
# What a validator needs of the environment. It is code that nobody has merged, so it gets no secret.
_HARMLESS = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "GITHUB_ACTIONS", "RUNNER_TEMP", "XDG_CACHE_HOME",
    "PROXMOX_GITOPS_CACHE", "PROXMOX_GITOPS_VENV", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL",
    "PIP_CONFIG_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def check(repo: Path, scratch: Path, commit: str) -> list[Finding]:
    """Check a commit out and run what it brings; a finding for each that is not content. Raises Fault."""
    run(scratch, "reset", "--quiet", "--hard", commit)
    bare = {name: os.environ[name] for name in _HARMLESS if name in os.environ}
    bare["PROXMOX_GITOPS_ENV"] = str(scratch / ".env")  # there is none
    note("the new version's Python environment")
    if _run(scratch, ["scripts/setup_venv.sh"], bare):
        raise Fault("the new version's Python environment cannot be made, see above", code=2)
    calls = [((name,), bare) for name in VALIDATORS]
    own = Path(os.environ.get("PROXMOX_GITOPS_ENV") or repo / ".env")
    said = own.read_text("utf-8", "replace") if own.is_file() else ""
    missing = [name for name in NEEDED if not os.environ.get(name) and not _sets(said, name)]
    if missing:
        note(f"no plan: {', '.join(missing)} not set")
    else:
        calls.append((PLAN, os.environ | {"PROXMOX_GITOPS_ENV": str(own.absolute())}))
    findings = []
    for (script, *options), environment in calls:
        if not (scratch / "scripts" / script).is_file():
            continue  # the version is older than that
        note(" ".join(("the new", script, *options)))
        if code := _run(scratch, [".venv/bin/python", f"scripts/{script}", *options], environment):
            findings.append(Finding(f"the new version's {script} ends with {code}, see above"))
    return findings


def _sets(text: str, name: str) -> bool:
    """Whether a text as `.env` gives a variable a value; the new version reads it by itself."""
    return re.search(rf"^\s*(export\s+)?{name}\s*=\s*\S", text, re.M) is not None


def _run(scratch: Path, command: list[str], environment: Mapping[str, str]) -> int:
    """The exit status; all that it prints is for a person, and goes to standard error."""
    nothing = subprocess.DEVNULL
    return subprocess.run(
        command, cwd=scratch, env=environment, stdin=nothing, stdout=sys.stderr, check=False
    ).returncode
