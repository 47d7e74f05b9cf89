"""An expired certificate, signed by the lab's own authority, in the place of the one that the proxy answers with."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lab import addresses
from lab.certificate import complaint
from lab.chaos import ChaosError
from lab.chaos.place import Place
from lab.gitops.state import SERVICE

# The one beside this interpreter: a virtual environment need not be activated.
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))
# Seconds that `make up` may take.
LONGEST = 600


def expired(certificate: bytes, authority: bytes, key: bytes, now: datetime) -> bytes:
    """Return the same certificate (PEM), but one that ended a day ago; `key` is the authority's."""
    old, issuer = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
    made = x509.CertificateBuilder(issuer.subject, old.subject, old.public_key(), x509.random_serial_number(),
                                   now - timedelta(days=2), now - timedelta(days=1))  # fmt: skip
    for extension in old.extensions:
        made = made.add_extension(extension.value, extension.critical)
    signed = made.sign(serialization.load_pem_private_key(key, None), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def holders(secrets: Iterable[dict], certificate: bytes) -> list[tuple[str, str]]:
    """Return the namespace and the name of each Secret that holds this certificate (PEM)."""
    encoded = base64.b64encode(certificate).decode()
    return [(secret["metadata"]["namespace"], secret["metadata"]["name"]) for secret in secrets if secret["data"].get("tls.crt") == encoded]


def expire(place: Place) -> None:
    """Have the proxy answer with an expired certificate, and the role find one. Raises ChaosError where no Secret holds the present one.

    Every Secret that holds it is changed, not the service's alone: of certificates for the same names Traefik serves only one
    (`appendCertificate` in its package tls). Where Argo CD has a Secret too it was always that one that counted.
    """
    state = place.lab.state
    file = state / "pki" / "server.crt"
    old = file.read_bytes()
    found = holders(place.kubectl("").everything("secrets", "--field-selector=type=kubernetes.io/tls"), old)
    if not found:
        raise ChaosError("no Secret holds the certificate of .lab: make up puts it there")
    made = expired(old, (state / "ca.crt").read_bytes(), (state / "pki" / "ca.key").read_bytes(), datetime.now(UTC))
    file.write_bytes(made)
    patch = json.dumps({"data": {"tls.crt": base64.b64encode(made).decode()}})
    for namespace, name in found:
        place.kubectl(namespace).text("patch", "secret", name, "--namespace", namespace, "--patch", patch)


def settings(record: dict) -> dict:
    """Return what a lab's record holds of settings that a run may be given again: not what it was made of, nor parts of a setting."""
    return {name: value for name, value in record.items() if name != "lab_made_of" and "." not in name}


def parts(place: Place) -> list[str]:
    """Return what stands beside the service, as `lab_components` says it: all of it is to be there afterwards, too."""
    found = addresses.components(place.kubectl(""), place.lab.name) & set(addresses.COMPONENTS)
    scaled = place.kubectl().text("get", "horizontalpodautoscalers.autoscaling", f"--namespace={SERVICE}", "--output=name").strip()
    return sorted(found | ({"autoscaling"} if scaled else set()))


def renew(place: Place) -> None:
    """Do what `make up` does, for this lab as it is; nothing where the certificate is as it should be."""
    lab = place.lab
    file = lab.state / "pki" / "server.crt"
    if x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc > datetime.now(UTC):
        return
    record = yaml.safe_load((lab.state / "lab.yml").read_text())
    given = settings(record) | {"lab_components": parts(place)}
    place.command(PROGRAM, "site.yml", f"--extra-vars={json.dumps(given)}", timeout=LONGEST)


def noticed(place: Place) -> str:
    """Return what `make status` says of the certificate that is served now. Raises ChaosError where nobody answers."""
    try:
        return complaint(place.lab.address, place.https, place.lab.host(SERVICE), place.lab.state / "ca.crt")
    except OSError as error:
        raise ChaosError(f"nobody says which certificate is served: {error}") from error
