"""The lab's credentials: tokens, passwords, an SSH key pair, a CA of its own.

Made once, by `prepare()`; secret values are in LAB_DIR/secrets, one per file, readable only by their owner.
"""

import datetime
import ipaddress
import os
import secrets
import ssl
import subprocess
import uuid
from pathlib import Path

from lab import GATEWAY, lab_dir, secrets_dir

_SYSTEM_BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))


def prepare() -> None:
    """Make everything that is missing."""
    secrets_dir().mkdir(parents=True, exist_ok=True)
    secrets_dir().chmod(0o700)
    made = {
        # bpg's own pattern for a token's secret allows letters, digits and dashes.
        "proxmox_token": lambda: f"terraform@pve!gitops={uuid.uuid4()}",
        "proxmox_root_password": lambda: secrets.token_hex(20),
        "postgres_password": lambda: secrets.token_hex(20),
        "postgres_admin_password": lambda: secrets.token_hex(20),
        "github_token": lambda: f"ghs_{secrets.token_hex(18)}",
    }
    for name, make in made.items():
        if not (secrets_dir() / name).exists():
            write(name, make() + "\n")
    _ssh_key()
    _certificates()


def write(name: str, text: str) -> Path:
    """Put a secret into its file, which is never readable by others, not even for a moment."""
    path = secrets_dir() / name
    temporary = path.with_name(f".{name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    temporary.replace(path)
    return path


def _ssh_key() -> None:
    key = secrets_dir() / "ssh_key"
    public = key.with_suffix(".pub")
    if key.exists() and public.exists():
        return
    key.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab-fleet", "-f", str(key)],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _certificates() -> None:
    """Proxmox's key and certificate, the CA that signed it, and a bundle of the system's CAs and this one."""
    folder = lab_dir() / "tls"
    folder.mkdir(exist_ok=True)
    ca, cert, key = folder / "ca.pem", folder / "proxmox.pem", secrets_dir() / "proxmox_tls.key"
    if not (ca.exists() and cert.exists() and key.exists()):
        authority = Authority()
        key_text, cert_text = authority.issue("lab-proxmox", [GATEWAY, "127.0.0.1"])
        write(key.name, key_text)
        cert.write_text(cert_text + authority.text)
        ca.write_text(authority.text)
    # Written at each start, since the system's bundle changes with the system.
    system = next((path for path in (Path(ssl.get_default_verify_paths().cafile or ""), *_SYSTEM_BUNDLES)
                   if path.is_file()), None)  # fmt: skip
    (folder / "bundle.pem").write_text((system.read_text() if system else "") + ca.read_text())


class Authority:
    """A CA whose key is dropped once it has signed the server's certificate."""

    def __init__(self, name: str = "lab CA"):
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.text = self._sign(
            self._name, self._key.public_key(),
            (x509.BasicConstraints(ca=True, path_length=0), True), (usage, True), (self._identifier, False),
        )  # fmt: skip

    def issue(self, name: str, hosts: list[str]) -> tuple[str, str]:
        """The key and the certificate of a server that answers at `hosts` (addresses)."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
        cert = self._sign(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key.public_key(),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName([*addresses, x509.DNSName("localhost")]), False),
            (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier), False),
        )  # fmt: skip
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        return key.private_bytes(serialization.Encoding.PEM, form, plain).decode(), cert

    def _sign(self, subject, public_key, *extensions) -> str:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
