"""PostgreSQL for Terraform's state: Debian's server, on a cluster in LAB_DIR/postgres.

The server refuses to run as root, and another user may not be able to enter the folders above the checkout.
So it sees its cluster at /mnt, in a mount namespace of its own.
"""

import shutil
import socket
import subprocess
from pathlib import Path

from lab import POSTGRES_PORT, LabError, lab_dir, network, secret

USER = DATABASE = "terraform"
_SYSTEM_USER = "postgres"  # Debian's package makes it

# A mount that this namespace copied would outlive the one it was copied from, and with it a loop device or
# the network of another lab.
_PRIVATE = """
set -e
mount --bind "$1" /mnt; shift
cd /mnt
while read -r _ _ _ _ target _ rest; do
    case "${rest##*- }" in nsfs*|*" /dev/loop"*) umount --lazy "$(printf %b "$target")" ;; esac
done < /proc/self/mountinfo
exec setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all -- "$@"
"""


def connection_string() -> str:
    """PG_CONN_STR: what Terraform's pg backend takes."""
    password = secret("postgres_password")
    return f"postgres://{USER}:{password}@127.0.0.1:{POSTGRES_PORT}/{DATABASE}?sslmode=disable"


def binaries() -> Path | None:
    """The newest installed server's programs."""
    found = Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres")
    return max((path.parent for path in found), key=lambda path: int(path.parent.name), default=None)


def _private(*argv: str) -> list[str]:
    home = str(lab_dir() / "postgres")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _PRIVATE, "postgres", home, *argv]


def argv() -> list[str]:
    """The server, to be run in the lab's network; without fsync, since a lab can be built again."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(POSTGRES_PORT),
        "unix_socket_directories": "",
        "shared_buffers": "16MB",
        "max_connections": "30",
        "fsync": "off",
    }
    options = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
    return _private(str(binaries() / "postgres"), "-D", "/mnt/data", *options)


def prepare() -> None:
    """Make the cluster, with its user and database, unless it is there; the server must not run."""
    home = lab_dir() / "postgres"
    if (home / "ready").exists():
        # A killed server leaves this file, and its process id may belong to another process by now.
        (home / "data/postmaster.pid").unlink(missing_ok=True)
        return
    programs = binaries()
    if not programs:
        raise LabError("PostgreSQL's server is not installed; `python -m lab setup` installs it")
    shutil.rmtree(home, ignore_errors=True)  # a cluster half made
    home.mkdir(mode=0o700, parents=True)
    (home / "password").write_text(secret("postgres_admin_password"))
    for path in (home, home / "password"):
        shutil.chown(path, _SYSTEM_USER, _SYSTEM_USER)
    (home / "password").chmod(0o600)
    _run(_private(
        str(programs / "initdb"), "-D", "/mnt/data", "--username=postgres", "--pwfile=/mnt/password",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
    ))  # fmt: skip
    (home / "password").unlink()
    # The server takes this from a file and not by the network, so no administrator has to log in for it.
    statements = (
        f"CREATE ROLE {USER} LOGIN PASSWORD '{secret('postgres_password')}'",
        f"CREATE DATABASE {DATABASE} OWNER {USER}",
    )
    _run(
        _private(str(programs / "postgres"), "--single", "-D", "/mnt/data", "postgres"),
        given="\n".join(statements) + "\n",
    )
    (home / "ready").touch()


def ready() -> bool:
    """Whether the server accepts clients: it then answers a startup message."""
    with network.inside(), socket.create_connection(("127.0.0.1", POSTGRES_PORT), timeout=2) as client:
        startup = b"user\0terraform\0database\0terraform\0\0"
        client.sendall((len(startup) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + startup)
        # R asks for the password; E says that the database system is starting.
        return client.recv(512)[:1] == b"R"


def _run(argv: list[str], given: str = "") -> None:
    done = subprocess.run(argv, input=given, capture_output=True, text=True)
    if done.returncode or "ERROR:" in done.stderr:
        raise LabError(f"the PostgreSQL cluster could not be made:\n{done.stderr.strip()[-2000:]}")
