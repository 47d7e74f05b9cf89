"""What is said of the certificate that is served: against a server with certificates of an authority of its own."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lab import certificate
from lab.chaos import expiry
from tests.certificates import NOW, SIGNS, issue, pem

HOST = "vars.localhost"
CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def authority(tmp_path):
    """Return an authority's key, with its certificate beside."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.crt").write_bytes(issue("ca", 1000, key, key, "ca", *SIGNS))
    return key


@pytest.fixture
def serve(tmp_path, authority):
    """Return a function that serves a certificate for a name that ends in so many days, or this one; it returns the port."""
    with contextlib.ExitStack() as open_until_the_end:

        def start(days=397, name=HOST, given=None):
            key = ec.generate_private_key(ec.SECP256R1())
            made = issue(name, days, key, authority, "ca", x509.SubjectAlternativeName([x509.DNSName(name)]))
            file = tmp_path / "server.pem"
            file.write_bytes((given(made) if given else made) + pem(key))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            listening = open_until_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer():
                with contextlib.suppress(OSError):
                    context.wrap_socket(listening.accept()[0], server_side=True).close()

            threading.Thread(target=answer, daemon=True).start()
            return listening.getsockname()[1]

        yield start


def complaint(port, folder, *now):
    return certificate.complaint("127.0.0.1", port, HOST, folder / "ca.crt", *now)


@pytest.mark.parametrize(("days", "said"), [
    (397, ""), (31, ""), (29, "ends in 29 days; make up makes another"), (-1, "certificate has expired; make up makes another"),
])  # fmt: skip
def test_certificate_is_judged_by_its_end(serve, tmp_path, days, said):
    line = complaint(serve(days), tmp_path, NOW.timestamp())
    assert line.endswith(said)
    assert bool(line) is bool(said)


def test_certificate_of_another_name_is_refused(serve, tmp_path):
    assert "Hostname mismatch" in complaint(serve(name="other.localhost"), tmp_path)


def test_nobody_who_answers_is_no_complaint_about_a_certificate(tmp_path, authority):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        complaint(port, tmp_path)


def test_expired_certificate_is_the_same_but_for_its_time(serve, tmp_path, authority):
    made = []

    def expire(old):
        made.extend([old, expiry.expired(old, (tmp_path / "ca.crt").read_bytes(), pem(authority), NOW)])
        return made[1]

    assert "certificate has expired" in complaint(serve(given=expire), tmp_path)
    old, new = map(x509.load_pem_x509_certificate, made)
    assert [extension.value for extension in new.extensions] == [extension.value for extension in old.extensions]
    assert (new.subject, new.public_key()) == (old.subject, old.public_key())
    assert new.not_valid_after_utc < NOW


def test_what_is_said_to_end_soon_is_what_make_up_and_the_cluster_make_anew():
    made, renewed = (yaml.safe_load((CHECKOUT / "roles" / role / "defaults" / "main.yml").read_text()) for role in ("certificates", "renewal"))
    assert made["certificates_renew_days"] == renewed["renewal_before_days"] == certificate.RENEWED
