"""Ask Proxmox VE's API one question: METHOD URL [NAME=VALUE ...], the API token on standard input.

Prints the answer's `data` as JSON, or on standard error why there is none (exit 1). With `--insecure` first,
any certificate is accepted. Ansible's own module cannot be used: from Python 3.13 on it refuses Proxmox's own
CA, which has no key usage extension, also where it is trusted.
"""

import json
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request


def ask(method: str, url: str, token: str, fields: list[str], insecure: bool = False) -> object:
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    body = (
        urllib.parse.urlencode([tuple(field.split("=", 1)) for field in fields]).encode() if fields else None
    )
    request = urllib.request.Request(url, body, {"Authorization": f"PVEAPIToken={token}"}, method=method)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return json.load(answer)["data"]


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    insecure = words[0] == "--insecure"
    method, url, *fields = words[insecure:]
    try:
        print(json.dumps(ask(method, url, sys.stdin.read().strip(), fields, insecure)))
        return 0
    except urllib.error.HTTPError as error:
        with error:
            reason = f"answered {error.code} {error.reason}"
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = f"gave no answer: {getattr(error, 'reason', None) or error}"
    print(f"Proxmox {reason} ({method} {urllib.parse.urlsplit(url).path})", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
