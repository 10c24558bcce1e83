"""What a line of a .pub file looks like, and what is wrong with one that does not."""

import base64
import binascii

KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def problem_of(key: str) -> str:
    """Why nobody could log in by this line, as the rest of a sentence; "" for a public key."""
    if "PRIVATE KEY" in key:
        return "is a private key: it is known to whoever reads Git; make a new pair at once"
    kind, _, rest = key.strip().partition(" ")
    if kind not in KINDS:
        return "is no public key; copy the line of a .pub file"
    return "" if _is_key(kind, rest.split(" ")[0]) else "is cut off or mistyped; copy the line again"


def _is_key(kind: str, text: str) -> bool:
    """Whether the text decodes to length-prefixed fields, the first of which names the key's type."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    fields = []
    while raw:
        length = int.from_bytes(raw[:4], "big")
        if len(raw) < 4 + length:
            return False
        fields.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return len(fields) >= 2 and fields[0] == kind.encode()
