"""Certificates of loopback and of one name, by an authority that nobody knows."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.server import LOOPBACK

NAME = "store.invalid"
"""Resolves nowhere (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Files in PEM.

    Attributes:
        root: Certificate of the authority, for those who are to trust it.
        server: Key of a server and the certificate that the authority signed.
    """

    root: Path
    server: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def authority(folder: Path) -> Authority:
    """A new one; good until tomorrow."""
    root_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, server_name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("root", "server")
    )
    certificates = [
        _unsigned(name, root_name, key.public_key(), is_authority=key is root_key)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
        .sign(root_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        for name, key in ((root_name, root_key), (server_name, server_key))
    ]
    made = Authority(folder / "root.pem", folder / "server.pem")
    made.root.write_bytes(certificates[0])
    key = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made.server.write_bytes(key + certificates[1])
    return made


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    is_authority: bool,
) -> x509.CertificateBuilder:
    now, day = datetime.now(UTC), timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    if is_authority:
        return builder
    names = [x509.IPAddress(ip_address(LOOPBACK)), x509.DNSName(NAME)]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
