"""Terraform's state in PostgreSQL: whether it answers, what it holds, and who holds its lock."""

import datetime
import re
from collections.abc import Iterator
from typing import Any

from fleet.doctor.configured import setting
from fleet.doctor.line import Line, red, skipped, warning
from fleet.findings import Fault, printable
from fleet.paths import PROXMOX_DIR, shown
from fleet.proxmox.tls import is_loopback
from fleet.secrets import forms
from fleet.terraform.lock import KEY

SECONDS = 5  # to connect
LOGIN = "a login, and the right to make the schema of the state"
SCHEMA, TABLE = "terraform_remote_state", "states"  # of Terraform's backend, and OpenTofu's

_LOCKS = """
SELECT (classid::bigint << 32) + objid::bigint, pid, application_name, client_addr, backend_start, now() - backend_start
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY backend_start
"""


def backend() -> Line:
    """Where Terraform keeps its state; without PostgreSQL there is nothing more to ask."""
    name = "backend"
    others = sorted(PROXMOX_DIR.glob("*override.tf*"))
    if others:
        kind = re.search(r'backend\s+"(\w+)"', "".join(path.read_text("utf-8", "replace") for path in others))
        if kind and kind[1] != "pg":
            return skipped(name, f"{shown(others[0])} names the backend {kind[1]}, which is not asked")
    if not setting("PG_CONN_STR"):
        return skipped(name, "set PG_CONN_STR, the database of Terraform's state (docs/install.md, step 3)")
    return Line(name, "pg, named by PG_CONN_STR", "a backend that locks")


def form() -> Line:
    name, wanted = "PG_CONN_STR", "postgres://USER:PASSWORD@HOST/DATABASE"
    try:
        forms.check("PG_CONN_STR", setting("PG_CONN_STR"))
    except Fault as fault:
        found, _, mend = str(fault).partition("; ")
        return red(name, found, wanted, mend or "correct PG_CONN_STR")
    return Line(name, "has the form", wanted)


def database() -> Iterator[Line]:
    """By one connection. No line quotes PG_CONN_STR, which holds the password."""
    import psycopg

    try:
        session = psycopg.connect(
            setting("PG_CONN_STR"),
            autocommit=True,
            application_name="proxmox-gitops doctor",
            connect_timeout=SECONDS,
            options="-c statement_timeout=5000",
        )
    except psycopg.Error as error:
        yield _unreached(printable(" ".join(str(error).split()))[:300] or type(error).__name__)
        yield from (skipped(name, "not asked: see database") for name in ("TLS", "state", "lock"))
        return
    with session:
        yield login(session)
        yield encryption(session)
        for name, ask in (("state", content), ("lock", lock)):
            try:
                yield ask(session)
            except psycopg.Error as error:  # such as a table of somebody else's
                mend = 'look at it with `psql "$PG_CONN_STR"`'
                yield red(name, printable(str(error).splitlines()[0]), "an answer of the database", mend)


def _unreached(words: str) -> Line:
    if "database" in words and "does not exist" in words:
        mend = "on the database's host: `createdb -O USER DATABASE`"
    elif "password" in words or "role" in words:
        mend = 'correct user and password in PG_CONN_STR; `psql "$PG_CONN_STR"` tries it'
    else:
        mend = (
            "on the database's host: `systemctl status postgresql`, and its listen_addresses and pg_hba.conf"
        )
    return red("database", words, LOGIN, mend)


def login(session: Any) -> Line:
    name = "database"
    info = session.info
    version = divmod(info.server_version, 10000)
    found = f"{info.dbname} on {info.host}:{info.port}, PostgreSQL {version[0]}.{version[1]}"
    may = session.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE') OR to_regnamespace(%s) IS NOT NULL",
        [SCHEMA],
    ).fetchone()[0]
    if not may:
        mend = f"as the database's owner: `GRANT CREATE ON DATABASE {info.dbname} TO {info.user}`"
        return red(name, f"{found}, where {info.user} may make no schema", LOGIN, mend)
    return Line(name, found, LOGIN)


def encryption(session: Any) -> Line:
    name, wanted, info = "TLS", "encrypted, unless the database is on this computer", session.info
    if session.pgconn.ssl_in_use:
        return Line(name, "encrypted", wanted)
    if info.get_parameters().get("sslmode") != "disable":  # we do without; Terraform's driver does not
        mend = "`ssl = on` in postgresql.conf; on a network that you trust, end PG_CONN_STR with ?sslmode=disable"
        return red(name, "the server offers none, and Terraform requires it", "TLS, or sslmode=disable", mend)
    if is_loopback(info.host) or info.host.startswith("/"):
        return Line(name, "not encrypted, on this computer", wanted)
    mend = "give the server a certificate (`ssl = on`), and remove sslmode=disable from PG_CONN_STR"
    return warning(name, f"password and state cross the network to {info.host} in clear", wanted, mend)


def content(session: Any) -> Line:
    name, wanted = "state", "one that Terraform wrote, or none yet"
    if session.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.{TABLE}"]).fetchone()[0] is None:
        return Line(name, "none yet; the first apply makes it", wanted)
    row = session.execute(
        f"SELECT data::json->>'serial', data::json->>'terraform_version',"
        f" json_array_length(data::json->'resources') FROM {SCHEMA}.{TABLE} WHERE name = 'default' AND data <> ''"
    ).fetchone()
    if row is None:
        return Line(name, "empty; the first apply fills it", wanted)
    return Line(name, f"serial {row[0]} with {row[2] or 0} resources, by version {row[1]}", wanted)


def lock(session: Any) -> Line:
    """Ours, which an apply holds from the choice of VMIDs to its end, and those of Terraform's own backend."""
    name, wanted = "lock", "free"
    rows = session.execute(_LOCKS).fetchall()
    if not rows:
        return Line(name, "free", wanted)
    key, pid, who, address, since, age = rows[0]
    kind = "the lock of an apply" if key == KEY else "Terraform's own lock"
    who = printable(who) or "somebody who gives no name"
    age -= datetime.timedelta(microseconds=age.microseconds)
    place = f"{address or 'the same host'}, process {pid}"
    found = f"{kind} is held by {who} from {place}, since {since:%Y-%m-%d %H:%M:%S} ({age})"
    mend = (
        f"wait for that run; if it is dead: `psql \"$PG_CONN_STR\" -c 'SELECT pg_terminate_backend({pid})'`"
    )
    return red(name, found, wanted, mend)
