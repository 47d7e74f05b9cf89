"""The certificate that the lab's proxy answers with: what a client would say of it, and for how long it lasts."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

# Seconds that the handshake may take.
PATIENCE = 5
# Days before its end from which on `make up` makes another (certificates_renew_days of the role `certificates`).
RENEWED = 30


def complaint(address: str, port: int, host: str, authority: Path, now: float | None = None) -> str:
    """Return what is wrong with the certificate that is served for a host, and what helps; nothing where all is well.

    Raises OSError where nobody answers there: that says nothing of the certificate.
    """
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with socket.create_connection((address, port), PATIENCE) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
            ends = ssl.cert_time_to_seconds(secure.getpeercert()["notAfter"])
    except ssl.SSLCertVerificationError as error:
        return f"clients refuse the certificate of {host}: {error.verify_message}; make up makes another"
    days = (ends - (time.time() if now is None else now)) / 86400
    return f"the certificate of {host} ends in {days:.0f} days; make up makes another" if days < RENEWED else ""
