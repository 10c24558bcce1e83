"""The project's own repository, which shares no history with a fleet's: where it is, and its releases.

Its tags are fetched into a namespace of their own: a fleet's releases have tags of the same names.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.findings import Fault, printable
from fleet.forge.api import ask
from fleet.git import command
from fleet.upgrades.scratch import content, listing, run

TAGS = "refs/upstream/tags/"
PROJECT = "proxmox-gitops"
# git knows transports that run a program, as ext::; the address is a stranger's in none of these.
_TRANSPORTS = ("https", "ssh", "file")
_ADDRESS = re.compile(
    r"(https|ssh|file)://[^\s\0-]\S*|/[^\0\n]*|\.{1,2}(/[^\0\n]*)?|[\w.-]+@[\w.][\w.-]*:[^\s:-]\S*"
)
_LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?/\S*")


class Version(NamedTuple):
    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse(text: str) -> Version | None:
    """A release's version, as v1.2.3 or 1.2.3; None for anything else."""
    found = re.fullmatch(r"v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", text, re.A)
    return Version(*map(int, found.groups())) if found else None


def address(repo: Path, given: str) -> str:
    """The project's address: the one given, that of git's remote `upstream` or of GitHub's template; "" without one.

    Raises Fault.
    """
    url = given or command.git(repo, "config", "--get", "remote.upstream.url", check=False) or _template()
    url = url and checked(url)
    return str(Path(url).resolve()) if url.startswith(".") else url


def checked(url: str) -> str:
    """An address that git may fetch from. Raises Fault, which does not tell the address."""
    if not _ADDRESS.fullmatch(url) and not _LOCAL.fullmatch(url):
        forms = "https://HOST/PATH, ssh://HOST/PATH, user@HOST:PATH or the path of a folder"
        raise Fault(f"the address of the project must have the form {forms}", code=2)
    if "://" in url and urlsplit(url).password is not None:
        raise Fault("the address of the project has a password; give it to git's credential helper", code=2)
    return url


def is_for_all(url: str) -> bool:
    """Whether the address leads there from other computers too."""
    return not url.startswith(("/", "file:")) and not _LOCAL.fullmatch(url)


def _template() -> str:
    """The address of the template that GitHub made this repository of; "" elsewhere."""
    api, name = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    if not api or not name:
        return ""
    try:
        template = ask(api, f"repos/{name}", os.environ.get("GITHUB_TOKEN", "")).get("template_repository")
        return str(template["clone_url"]) if template else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # the message says how to name it instead


def fetch(repo: Path, url: str) -> dict[Version, str]:
    """The project's releases, oldest first, each with its commit, all in this clone now. Raises Fault."""
    allowed = ["-c", "protocol.allow=never"]
    for transport in (*_TRANSPORTS, *(["http"] if _LOCAL.fullmatch(url) else [])):
        allowed += ["-c", f"protocol.{transport}.allow=always"]
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--prune",
        "--no-auto-maintenance")  # fmt: skip
    hardened = ("-c", "core.hooksPath=/dev/null", "-c", "fetch.fsckObjects=true", *allowed)
    status, said = command.tried(repo, *hardened, "fetch", *options, url, f"+refs/tags/v*:{TAGS}v*")
    if status:
        raise Fault(f"the project cannot be fetched: {printable(command.last_lines(said))}", code=2)
    lines = run(repo, "for-each-ref", "--format=%(refname)", TAGS).splitlines()
    names = {name: found for name in lines if (found := parse(name.removeprefix(TAGS)))}
    commits = command.resolve_all(repo, *names) if names else []
    releases = {found: commit for found, commit in zip(names.values(), commits, strict=True) if commit}
    if not releases:
        raise Fault("the project's repository has no release, a tag as v1.2.3", code=2)
    return dict(sorted(releases.items()))


def check(repo: Path, commit: str, version: Version) -> None:
    """Raise Fault unless this commit is one of this project."""
    entry = listing(repo, commit).get("pyproject.toml")
    try:
        name = tomllib.loads(content(repo, entry))["project"]["name"] if entry else ""
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        name = ""
    if name != PROJECT:
        raise Fault(f"{version} of that repository is not {PROJECT}: its pyproject.toml has another name")
