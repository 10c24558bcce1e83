"""validate_vms.py against check-jsonschema with the same schema."""

import hashlib
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bench import ROOT, Command, Row, grown, label, medians, script
from lab import cache, cache_dir, user

NOTE = """
`validate_vms.py --vms-dir` on a folder of valid VM files, against `check-jsonschema --schemafile` with the
project's own schema on the same files, from an environment of its own. Only the first also compares the
files with each other.
"""
SIZES = [1, 100, 1000, 10_000]


def peer() -> list[str]:
    """check-jsonschema in an environment of its own, made once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"]["bench"]
    constraints = ROOT / "constraints.txt"
    key = hashlib.sha256(f"{sys.version} {wanted} {constraints.read_text()}".encode()).hexdigest()[:16]
    with cache.made(cache_dir() / f"bench-{key}", "the bench's environment") as folder:
        if folder:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, "-c", str(constraints), *wanted], check=True)
    return [str(cache_dir() / f"bench-{key}/bin/python"), "-m", "check_jsonschema"]


def write(folder: Path, count: int) -> list[str]:
    """VM files that are all valid, and valid together; their names."""
    for number in range(count):
        name, high, low = f"vm-{number:05}", *divmod(number, 200)
        address = f"10.1.{high}.{low + 2}"
        text = user.machine_file(name, address, ipconfig0=f"ip={address}/16,gw=10.1.255.254")
        (folder / f"{name}.yaml").write_text(text)
    return sorted(path.name for path in folder.glob("*.yaml"))


def rows(runs: int) -> list[Row]:
    result, program = [], peer()
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            names = write(Path(folder), size)
            ours = Command(script("validate_vms", "--vms-dir", folder), Path(folder))
            schema = ROOT / "schemas/vm.schema.json"
            other = Command([*program, "--schemafile", str(schema), *names], Path(folder))
            taken = medians(runs, ours, other)
        result.append(Row("validate_vms.py / check-jsonschema", label(size, "file"), *taken, goal=0.5))
    return grown(result, SIZES)
