"""The public keys of a cluster's API server, by which others recognise the tokens of its ServiceAccounts."""

import base64
import urllib.error
from typing import Any
from urllib.parse import urlsplit

from fleet.clusters import contents, ready
from fleet.findings import Fault, cut, printable
from fleet.vault.login import Keys

CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}


def published(kubeconfig: dict[str, Any], context: str) -> Keys:
    """What the cluster of a context publishes now, asked as its administrator. Raises Fault."""
    _, cluster, user = contents.chosen(contents.with_context(kubeconfig, context), context)
    server = str(cluster["cluster"]["server"])
    try:
        asked = ready.Question(server, ready.context(cluster["cluster"], user["user"]))
    except (LookupError, TypeError, ValueError, OSError):
        raise Fault(f"the kubeconfig of {context} has no certificates of an administrator", code=2) from None
    try:
        issuer = ready.document(asked, "/.well-known/openid-configuration")["issuer"]
        found = ready.document(asked, "/openid/v1/jwks")["keys"]
    except urllib.error.HTTPError as error:
        with error:
            raise Fault(
                f"the API of {context} at {_host(server)} refuses to tell its keys ({error.code})", code=2
            ) from None
    except OSError as error:
        said = printable(str(getattr(error, "reason", None) or error))[:200]
        raise Fault(f"the API of {context} at {_host(server)} does not answer: {said}", code=2) from None
    except (ValueError, LookupError, TypeError):
        raise Fault(f"{_host(server)} does not answer as the API of {context} would", code=2) from None
    return parsed(issuer, found, context)


def parsed(issuer: Any, found: Any, context: str) -> Keys:
    """JSON Web Keys as PEM. Raises Fault, since with a key that is left out some tokens would be refused."""
    try:
        keys = Keys(
            str(issuer), tuple(_pem(key) for key in found), tuple(sorted({str(key["alg"]) for key in found}))
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Fault(f"a key of {context} cannot be used: {cut(printable(str(error)))}") from None
    if not issuer or not keys.pems:
        raise Fault(
            f"the API of {context} tells no issuer or no keys, so that nobody could recognise its tokens"
        )
    return keys


def _pem(key: dict[str, str]) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    def number(field: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(key[field] + "=" * (-len(key[field]) % 4)))

    if key["kty"] == "RSA":
        public: Any = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    elif key["kty"] == "EC":
        curve = getattr(ec, CURVES[key["crv"]])()
        public = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
    else:
        raise ValueError(f"it is of the kind {key['kty']}")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    # Without the last line break, as Vault keeps it.
    return public.public_bytes(serialization.Encoding.PEM, form).decode().strip()


def _host(server: str) -> str:
    return printable(urlsplit(server).netloc.rpartition("@")[2])
