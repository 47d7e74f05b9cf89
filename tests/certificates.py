"""Certificates of an authority that a test made."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

NOW = datetime.now(UTC)
SIGNS = (x509.BasicConstraints(True, 0), x509.KeyUsage(False, False, False, False, False, True, True, False, False))


def pem(key):
    """Return a private key as text."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def issue(name, days, key, signer, issuer, *extensions):
    """Return a certificate (PEM) that ends in so many days."""
    subject, by = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    made = x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number(), NOW - timedelta(days=400), NOW + timedelta(days=days))
    for extension in extensions:
        made = made.add_extension(extension, critical=True)
    return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
