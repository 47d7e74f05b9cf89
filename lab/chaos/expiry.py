"""An expired certificate, signed by the lab's own authority, in the place of the one that the proxy answers with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lab.certificate import RENEWED, complaint
from lab.chaos import ChaosError
from lab.chaos.place import Place
from lab.gitops.state import SERVICE

# Waits, in the node ($1 seconds at most), until what makes certificates anew has just looked (roles/renewal): the next look is then
# as far away as it gets, and clients meet what is put there.
LOOKED = """
looked() { stat -c %y /etc/kubernetes/pki/lab/looked 2>/dev/null; }
before=$(looked)
until [ "$(looked)" != "$before" ]; do
  [ "$1" -gt 0 ] || { echo "nothing here looks at certificates: make up has it look again" >&2; exit 1; }
  sleep 1
  set -- "$(($1 - 1))"
done
"""
# Seconds that the next look may take to come.
LONGEST = 30


def expired(certificate: bytes, authority: bytes, key: bytes, now: datetime) -> bytes:
    """Return the same certificate (PEM), but one that ended a day ago; `key` is the authority's."""
    old, issuer = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
    made = x509.CertificateBuilder(issuer.subject, old.subject, old.public_key(), x509.random_serial_number(),
                                   now - timedelta(days=2), now - timedelta(days=1))  # fmt: skip
    for extension in old.extensions:
        made = made.add_extension(extension.value, extension.critical)
    signed = made.sign(serialization.load_pem_private_key(key, None), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def in_secret(content: bytes) -> str:
    """Return what stands in a Secret's data for a file."""
    return base64.b64encode(content).decode()


def held(place: Place) -> list[dict]:
    """Return the Secrets that the proxy has the lab's certificate from: those with the server's key."""
    secrets = place.kubectl("").everything("secrets", "--field-selector=type=kubernetes.io/tls")
    encoded = in_secret((place.lab.state / "pki" / "server.key").read_bytes())
    return [secret for secret in secrets if secret["data"].get("tls.key") == encoded]


def put(place: Place, encoded: str, secrets: Iterable[dict]) -> None:
    """Put a certificate, as it stands in a Secret, into those of the Secrets that hold another."""
    for secret in secrets:
        if secret["data"].get("tls.crt") != encoded:
            namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
            patch = json.dumps({"data": {"tls.crt": encoded}})
            place.kubectl(namespace).text("patch", "secret", name, "--namespace", namespace, "--patch", patch)


def wait_for_a_look(place: Place) -> None:
    """Return when what makes certificates anew has just looked. Raises ChaosError where it does not look."""
    place.inside(f"{place.lab.name}-control-plane", LOOKED, str(LONGEST))


def expire(place: Place) -> Callable[[], str]:
    """Have the proxy answer with an expired certificate; return what says that it still does. Raises ChaosError where no Secret has one.

    Every Secret that holds the lab's is changed, not the service's alone: of certificates for the same names Traefik serves only one
    (`appendCertificate` in its package tls). Where Argo CD has a Secret too it was always that one that counted.
    """
    state = place.lab.state
    old = (state / "pki" / "server.crt").read_bytes()
    found = held(place)
    if not found:
        raise ChaosError("no Secret holds the certificate of .lab: make up puts it there")
    made = in_secret(expired(old, (state / "ca.crt").read_bytes(), (state / "pki" / "ca.key").read_bytes(), datetime.now(UTC)))
    put(place, made, found)

    def missing() -> str:
        left = [secret["metadata"]["namespace"] for secret in held(place) if secret["data"].get("tls.crt") == made]
        return f"the expired certificate is still in {', '.join(left)}" if left else noticed(place)

    return missing


def restore(place: Place) -> None:
    """Put the state folder's own certificate back in the place of the one that was made anew: the next `make up` has nothing to change.

    One that ends soon stays away: the next `make up` makes another.
    """
    own = (place.lab.state / "pki" / "server.crt").read_bytes()
    if x509.load_pem_x509_certificate(own).not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEWED):
        put(place, in_secret(own), held(place))


def noticed(place: Place) -> str:
    """Return what `make status` says of the certificate that is served now. Raises ChaosError where nobody answers."""
    try:
        return complaint(place.lab.address, place.lab.https, place.lab.host(SERVICE), place.lab.state / "ca.crt")
    except OSError as error:
        raise ChaosError(f"nobody says which certificate is served: {error}") from error
