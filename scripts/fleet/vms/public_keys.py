"""SSH public keys: lines of a .pub file, and what is wrong with a line that is not one."""

import base64
import binascii
import re
from pathlib import Path

from fleet.findings import Finding
from fleet.paths import shown

KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)

_MAPPING = re.compile(r":(\s|$)")


def problem_of(key: str) -> str:
    """Why nobody could log in with this line, as the rest of a sentence; "" for a public key."""
    if "PRIVATE KEY" in key:
        return "is a private key, which everyone who can read the repository now has; make a new pair at once"
    kind, _, rest = key.strip().partition(" ")
    if kind not in KINDS:
        return "is not a public key; copy the line of a .pub file"
    if not _is_key(kind, rest.split(" ")[0]):
        return "is truncated or mistyped; copy the line again"
    if _MAPPING.search(key):
        return (
            "has a colon before a space or at the end of its comment, where cloud-init, which gets the line without"
            " quotes, reads a mapping instead of a key, so that nobody could log in; remove the colon"
        )
    return ""


def read(path: Path) -> tuple[list[str], list[Finding]]:
    """The keys of a file with one on each line, and what is wrong with the others; none without a file."""
    if not path.exists():
        return [], []
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return [], [Finding("is not valid UTF-8; save the file as UTF-8", shown(path))]
    keys, findings = [], []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            problem = problem_of(line)
            if not problem and not line.isprintable():
                problem = "contains a tab or another control character; remove it"
            if problem:
                findings.append(Finding(f"this line {problem}", shown(path), number))
                if "private" in problem:
                    break  # each of its lines is one
            keys.append(line)
    return keys, findings


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
