"""lab/README.md says what the code does: daemons, requests of both APIs, environment variables."""

import re
from types import SimpleNamespace

import pytest

from lab import ROOT
from lab.forge.rest import Rest
from lab.parts import DAEMONS
from lab.proxmox import api  # noqa: F401 (the requests register themselves)
from lab.proxmox.errors import ApiError
from lab.proxmox.routes import ROUTES, dispatch

README = (ROOT / "lab/README.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the first table after a text, without its head."""
    rows = README.partition(heading)[2].partition("|---")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_daemons():
    assert [tuple(row[:2]) for row in table("## Its daemons")] == [(one.name, one.address) for one in DAEMONS]


def prefix_of(path: str, prefixes: set[str]) -> str:
    """The longest prefix that stands for a path."""
    return max((p for p in prefixes if path == p or path.startswith(f"{p.rstrip('/')}/")), key=len)


def test_every_request_of_proxmox_has_a_row_and_every_row_a_request():
    rows = {name: set(re.findall(r"`(.*?)`", paths)) for name, paths in table("## What the Proxmox API")}
    file_of = {prefix: name for name, prefixes in rows.items() for prefix in prefixes}
    assert sum(map(len, rows.values())) == len(file_of), "a path in two rows"
    found = [(route.function.__module__.rpartition(".")[2], route.path) for route in ROUTES]
    assert [(file_of[prefix_of(path, set(file_of))], path) for _, path in found] == found
    assert {prefix_of(path, set(file_of)) for _, path in found} == set(file_of)


REFUSED = re.findall(r"`([A-Z]+) (/\S+)`", README.partition("Among these are")[2].partition("**To add")[0])


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_what_is_not_served_is_refused(method, path):
    with pytest.raises(ApiError, match="not implemented") as error:
        dispatch(method, path, {}, None)
    assert error.value.status == 501


def test_every_request_of_the_forge():
    application = Rest(SimpleNamespace(repository=None), None).application(trusted=False)
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in application.router.routes()
        if route.resource.canonical.startswith("/repos/") and route.method != "HEAD"
    }
    assert {row[0].strip("`") for row in table("## What the forge answers")} == served


def test_environment_variables():
    code = "".join(
        path.read_text() for place in ("lab", "tests/lab") for path in ROOT.glob(f"{place}/**/*.py")
    )
    used = set(re.findall(r"[\"'](LAB_[A-Z_]+|PROXMOX_GITOPS_CACHE)[\"']", code)) | {"LAB_FORGE_RUN"}
    named = {name for row in table("are the passwords?") for name in row[0].split(", ")}
    assert used == named
