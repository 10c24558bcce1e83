"""Wait until a cluster's API answers /readyz to the credentials of its kubeconfig.

Reads the kubeconfig that K3s writes on standard input; the arguments are the address under which the API is
reached from here and the seconds to wait. Prints what it asked; exits with 1 when no good answer came, 2 when
the kubeconfig cannot be used. The certificate is verified for the given address.
"""

import base64
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import yaml


def credentials(kubeconfig: str, address: str) -> tuple[str, str, bytes]:
    """The URL of /readyz at `address`, the authority, and the client's certificate with its key (PEM)."""
    config = yaml.safe_load(kubeconfig)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    host = f"[{address}]" if ":" in address else address
    decoded = {
        field: base64.b64decode(entry[field])
        for entry, fields in (
            (cluster, ["certificate-authority-data"]),
            (user, ["client-certificate-data", "client-key-data"]),
        )
        for field in fields
    }
    authority = decoded["certificate-authority-data"].decode()
    client = decoded["client-certificate-data"] + b"\n" + decoded["client-key-data"]
    return f"https://{host}:{urlsplit(cluster['server']).port or 443}/readyz", authority, client


def context_of(authority: str, client: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    # OpenSSL reads a key from a file only; the folder is for this user alone and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "client.pem"
        pem.touch(0o600)
        pem.write_bytes(client)
        context.load_cert_chain(pem)
    return context


def wait(url: str, context: ssl.SSLContext, seconds: float) -> str:
    """Empty when the API answered in time, else what it answered last."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    end = time.monotonic() + seconds
    while True:
        try:
            with opener.open(url, timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            answer = f"answered {error.code}: {error.read(300).decode(errors='replace').strip()}"
        except OSError as error:
            answer = f"did not answer: {getattr(error, 'reason', None) or error}"
        if time.monotonic() > end:
            return answer
        time.sleep(0.5)


def main(argv: list[str] | None = None) -> int:
    address, seconds = argv or sys.argv[1:]
    try:
        url, authority, client = credentials(sys.stdin.read(), address)
        context = context_of(authority, client)
    except (yaml.YAMLError, LookupError, TypeError, ValueError, OSError) as error:
        # Neither the message of a YAML error nor the kubeconfig itself is shown: both may hold the key.
        print(f"the kubeconfig on standard input cannot be used ({type(error).__name__})", file=sys.stderr)
        return 2
    started = time.monotonic()
    answer = wait(url, context, float(seconds))
    if answer:
        print(f"{url} {answer} (waited {float(seconds):.0f} s)", file=sys.stderr)
        return 1
    print(f"{url} answered from outside after {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
