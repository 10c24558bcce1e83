#!/usr/bin/env python3
"""Renew Vault's token, so that it lives for as long as workflows run, and warn when it will end all the same.

Reads VAULT_ADDR and VAULT_TOKEN (also VAULT_CACERT, VAULT_NAMESPACE) from the environment or `.env`; without both it
does nothing. Writes nothing but the token's lease in Vault. No secret is ever printed.
What it finds is a warning: a run that needs no Vault goes on, and one that does fails where it needs it.
Exit codes: 0, whatever it found; 2 wrong usage.
"""

import os

from fleet import cli, dotenv
from fleet.findings import Fault, Finding, guarded, report
from fleet.steps import vault_token


@guarded
def main(argv: list[str] | None = None) -> int:
    cli.parser(__doc__).parse_args(argv)
    dotenv.load()
    addr, token = (os.environ.get(name, "").strip() for name in ("VAULT_ADDR", "VAULT_TOKEN"))
    if not addr or not token:
        print("VAULT_ADDR and VAULT_TOKEN are not both set: there is no token to renew")
        return 0
    try:
        done, finding = vault_token.renew(addr, token)
        print(done)
    except Fault as fault:
        finding = Finding(f"Vault's token was not renewed: {fault}", level="warning")
    return report([finding] if finding else [])


if __name__ == "__main__":
    raise SystemExit(main())
