#!/usr/bin/env python3
"""Make or mend the project's two API tokens in Proxmox, and put their secrets into .env.

Reads PROXMOX_VE_ENDPOINT from the environment or .env, and roles, users, tokens and access lists from Proxmox, as an
administrator whose password it asks for. Makes, or completes, the roles GitOps and GitOpsRead, the user terraform@pve,
its tokens gitops (PROXMOX_VE_API_TOKEN) and gitops-read (PROXMOX_READ_API_TOKEN), both with privilege separation, and
their rights on each path. It shows the difference and asks before it changes anything. What is there and not needed is
named and kept. At the end both tokens are tried.
A secret is told once, when its token is made: it goes into .env, and is never shown. One that is lost cannot be read
again: --rotate makes a new one, and the old one ends at once.
Exit codes: 0 all is as it should be, 1 something is not, or would be changed (--dry-run), or nobody agreed, 2 wrong
usage or Proxmox out of reach.
"""

import argparse
import getpass
import os
import sys
from pathlib import Path

from fleet import cli, dotenv
from fleet.access import apply, excess, plan, present, ticket, verify
from fleet.access.wanted import TOKENS
from fleet.console import note
from fleet.files import read_text
from fleet.findings import Fault, Finding, guarded, report
from fleet.paths import shown
from fleet.proxmox import client as proxmox


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option(
        "--user", default="root@pam", help="the administrator, or a token of his: USER@REALM!ID (%(default)s)"
    )
    option("--password-file", metavar="FILE", help="his password or the token's secret; - is standard input")
    ids = [token.id for token in TOKENS]
    option(
        "--rotate",
        nargs="*",
        choices=ids,
        metavar="TOKEN",
        help=f"new secrets: {', '.join(ids)} (none named: both)",
    )
    option("--yes", action="store_true", help="do not ask")
    option("--dry-run", action="store_true", help="show the difference and change nothing")
    args = parser.parse_args(argv)
    if not ticket.USER.fullmatch(args.user):
        parser.error("--user is USER@REALM, as root@pam, or USER@REALM!ID for a token")
    return args


def _secret(args: argparse.Namespace) -> str:
    what = f"{'secret' if '!' in args.user else 'password'} of {args.user}"
    if args.password_file == "-":
        text = sys.stdin.readline()
    elif args.password_file:
        text = read_text(Path(args.password_file))
    elif sys.stdin.isatty():
        text = getpass.getpass(f"The {what}: ")
    else:
        raise Fault(
            f"nobody is there to type the {what}: give --password-file FILE, or - for standard input", code=2
        )
    if not text.strip():
        raise Fault(f"the {what} is missing", args.password_file or "", code=2)
    return text.rstrip("\r\n")


def _agreed() -> bool:
    try:
        return input("Change this in Proxmox? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        raise Fault("nobody is there to agree: give --yes", code=2) from None


@guarded
def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    file, environment = dotenv.file(), dict(os.environ)  # before .env is read into it
    dotenv.read(file)  # nobody types a password for a file that is refused afterwards
    rotate = [] if args.rotate is None else args.rotate or [token.id for token in TOKENS]
    client = proxmox.connect(None)
    if client.verify is False:
        note(f"whoever answers at {client.url} can read the password as well")
    ticket.sign_in(client, args.user, _secret(args))
    verify.check_administrator(client)
    found, named = present.read(client), verify.named(file)
    changes = plan.changes(found, rotate)
    print(plan.shown(changes) if changes else "nothing to change")
    for line in excess.found(found, named.values()):
        print(f"more than needed: {line}")
    if changes and args.dry_run:
        return 1
    if changes:
        made = [change.makes for change in changes if change.makes]
        if made:
            apply.check_room(file)
        if not args.yes and not _agreed():
            return report([Finding("nothing was changed")])
        apply.run(client, changes, file, print)
        if made:
            names = ", ".join(token.variable for token in made)
            print(
                f"{shown(file)} has new secrets: {names}; where else they stand, as on GitHub, put them too"
            )
    return report(verify.findings(file, environment))


if __name__ == "__main__":
    raise SystemExit(main())
