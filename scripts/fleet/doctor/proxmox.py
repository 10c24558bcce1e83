"""Proxmox: whether it answers, and with which certificate; its version and its nodes.

More than 150 lines because one question finds out all that can stand between here and Proxmox.
"""

import logging
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import cached_property
from os import environ
from typing import Any, NamedTuple

from fleet.doctor.line import Line, red, skipped, warning
from fleet.doctor.run import within
from fleet.findings import Fault, printable
from fleet.proxmox import errors, tls
from fleet.proxmox.client import READ_TOKEN, TOKEN, Client
from fleet.proxmox.rights import Right, lacking

TIMEOUT = (4, 6)  # seconds to connect, and between two bytes
STORAGES = 6  # seconds for a node to tell its storages: one that is mounted and gone makes it wait for long
DAY = 24 * 60 * 60
SOON = 21  # days
OLDEST, KNOWN = (8, 4), 9
TRUST = "add a node's /etc/pve/pve-root-ca.pem to this computer's authorities (docs/install.md, step 2)"


class Reached(NamedTuple):
    """What one question met. `down`: why there was no answer; `refused`: why its certificate was not accepted."""

    down: str = ""
    refused: str = ""
    status: int = 0
    words: str = ""
    version: str = ""
    days: int | None = None  # that the certificate has left
    ahead: float | None = None  # seconds that the node's clock is ahead of ours


class Proxmox:
    """What the checks ask together; each is asked for once."""

    def __init__(self) -> None:
        # That a connection more than it keeps is closed again is nothing for a person.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self.endpoint = environ.get("PROXMOX_VE_ENDPOINT", "").strip()
        self.token = environ.get("PROXMOX_VE_API_TOKEN", "").strip()
        self.read_token = environ.get(READ_TOKEN, "").strip()
        self.insecure = environ.get("PROXMOX_VE_INSECURE", "").lower() in ("1", "true", "yes")
        self.reached = Reached(down="not asked")

    @cached_property
    def client(self) -> Client:
        return Client(self.endpoint, self.token, self.insecure)

    @cached_property
    def reader(self) -> Client | None:
        """The client of the token that can only look; None without one, or where it has no form of one."""
        usable = TOKEN.fullmatch(self.read_token)
        return Client(self.endpoint, self.read_token, self.insecure) if usable else None

    @property
    def release(self) -> int:
        """The major version."""
        return int(self.reached.version.partition(".")[0])

    @cached_property
    def told(self) -> dict[str, dict[str, Any]]:
        """The token's rights by path."""
        return self.client.get("access/permissions")

    def lacks(self, path: str, *any_of: str) -> str:
        """Why a question need not be asked that wants one of these rights; "" where the token has one."""
        wanted = Right(path, any_of)
        return f"not asked: the token lacks {any_of[0]} on {path}" if lacking(self.told, [wanted]) else ""

    @cached_property
    def online(self) -> list[str]:
        return sorted(name for name, online in self.client.nodes().items() if online)

    @cached_property
    def storages(self) -> dict[str, dict[str, dict[str, Any]] | None]:
        """Those of each node that is online, {} where the token may not see them; None: a storage of it hangs."""
        return within(STORAGES, lambda node: self.client.storages(node) or {}, self.online)

    @cached_property
    def guests(self) -> list[Any]:
        return self.client.guests()


def endpoint(pve: Proxmox, unread: bool) -> Line:
    """The first question; the other lines read what it met. `unread`: there is a `.env`, but no package to read it."""
    name, wanted = "endpoint", "an answer of Proxmox VE's API"
    if unread and not pve.endpoint:
        return skipped(name, "not asked: see packages")
    if not pve.endpoint:
        return red(
            name,
            "PROXMOX_VE_ENDPOINT is not set",
            "https://HOST:8006/",
            "`cp .env.example .env`, and set it there",
        )
    try:
        url = tls.checked(pve.endpoint)
    except Fault as fault:
        return red(name, str(fault), "https://HOST:8006/", "correct PROXMOX_VE_ENDPOINT")
    pve.reached = met = reach(url, pve.token, pve.insecure)
    if met.down:
        mend = "check PROXMOX_VE_ENDPOINT, and on the node `systemctl status pveproxy`"
        mend = "correct SSL_CERT_FILE" if met.down.startswith("SSL_CERT_FILE") else mend
        return red(name, f"{url}: {met.down}", wanted, mend)
    return Line(name, url, wanted)


def reach(url: str, token: str, insecure: bool) -> Reached:
    """Ask for the version, with the token where it has the form of one."""
    import requests

    with requests.Session() as session:
        verify = tls.prepare(session, insecure)
        if TOKEN.fullmatch(token):
            session.headers["Authorization"] = f"PVEAPIToken={token}"
        try:
            with session.get(
                f"{url}/api2/json/version", timeout=TIMEOUT, verify=verify, allow_redirects=False, stream=True
            ) as answer:
                days, ahead = _days(answer), ahead_of_us(answer.headers.get("Date"))
                words, version = printable(answer.reason or ""), ""
                if answer.ok:
                    version = str(answer.json()["data"]["version"])
                elif 300 <= answer.status_code < 400:
                    return Reached(str(errors.redirected(url, answer)), days=days)
        except requests.exceptions.JSONDecodeError:
            return Reached("what answers is not Proxmox VE's API")
        except OSError as error:
            said = str(errors.no_answer(url, "GET version", TIMEOUT[1], error))
            refused = said.removeprefix(f"the certificate of {url} was refused: ")
            if refused != said:
                return Reached(refused=refused)
            return Reached(said.removeprefix(f"Proxmox at {url} is "))
        except (ValueError, KeyError, TypeError):
            return Reached("what answers is not Proxmox VE's API")
    if not version and answer.status_code != 401:
        return Reached(f"answers with {answer.status_code} {words}")
    return Reached("", "", answer.status_code, words, version, days, ahead)


def _days(answer: Any) -> int | None:
    """Of the certificate; None where it was not looked at."""
    connection = getattr(answer.raw, "connection", None)
    certificate = (
        connection.sock.getpeercert() if hasattr(getattr(connection, "sock", None), "getpeercert") else None
    )
    if not certificate:
        return None
    return int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // DAY)


def ahead_of_us(date: str | None) -> float | None:
    """How many seconds a service's clock is ahead, by the head `Date` of its answer."""
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, TypeError):
        return None


def certificate(pve: Proxmox) -> Line:
    name, wanted, met = "certificate", "trusted, and valid for 21 days or more", pve.reached
    renew = "on the node: `pvenode acme cert order`, or `pvecm updatecerts --force` for Proxmox's own"
    if met.refused:
        found, _, mend = met.refused.partition(": ")
        return red(name, found, wanted, mend)
    if pve.endpoint.startswith("http://"):
        return skipped(name, "http, on this computer only, has none")
    if pve.insecure:
        return warning(
            name, "not looked at: PROXMOX_VE_INSECURE is true", wanted, f"{TRUST}, and remove that line"
        )
    if met.days is None:
        return skipped(name, "trusted; its end is not known")
    found = f"trusted, {met.days} days left"
    return Line(name, found, wanted) if met.days >= SOON else warning(name, found, wanted, renew)


def version(pve: Proxmox) -> Line:
    name, has, wanted = "version", pve.reached.version, "8.4 or 9.x"
    number = tuple(int(part) for part in has.split(".")[:2] if part.isdigit())
    if number < OLDEST:
        return red(name, has, wanted, "upgrade the nodes: https://pve.proxmox.com/wiki/Category:Upgrade")
    if number[0] > KNOWN:
        return warning(name, has, wanted, "nobody has tried this release; test with one machine first")
    return Line(name, has, wanted)


def nodes(pve: Proxmox) -> Iterator[Line]:
    for entry in pve.client.if_told("cluster/status") or ():
        if entry.get("type") == "cluster" and not int(entry.get("quorate", 1)):
            found = "lost: Proxmox refuses every change"
            yield red("quorum", found, "more than half of the nodes online", "on a node: `pvecm status`")
    for node, online in sorted(pve.client.nodes().items()):
        name = f"node {node}"
        if online:
            yield Line(name, "online", "online")
        else:
            mend = "start it; if it runs, on it: `systemctl status pve-cluster corosync`, and `pvecm status`"
            yield red(name, "offline", "online", mend)
