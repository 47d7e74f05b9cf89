"""The role `certificates`, without a lab: what has ended, or is about to, is made anew, and only that."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab.chaos.expiry import expired
from tests.certificates import issue
from tests.lifecycle.conftest import CHECKOUT, Run

PLAY = [{"hosts": "localhost", "gather_facts": False, "roles": [{"role": "certificates"}]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def role(folder):
    """Return a function that runs the role on the folder."""
    (folder / "play.yml").write_text(yaml.safe_dump(PLAY))

    def run(**more):
        variables = {"certificates_dir": str(folder / "pki"), "certificates_ca": str(folder / "ca.crt"), **more}
        command = [Path(sys.executable).with_name("ansible-playbook"), folder / "play.yml", "-e", yaml.safe_dump(variables, default_flow_style=True)]
        done = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        return Run(done.returncode, done.stdout)

    return run


@pytest.fixture
def server(folder):
    """Return a function that reads the server's certificate."""
    return lambda: x509.load_pem_x509_certificate((folder / "pki" / "server.crt").read_bytes())


def left(certificate):
    return certificate.not_valid_after_utc - datetime.now(UTC)


def verified(folder, certificate="pki/server.crt"):
    """Return what openssl says of a certificate that is to be one of the authority's, and valid now."""
    words = ["openssl", "verify", "-CAfile", folder / "ca.crt", folder / certificate]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr


def verifies(folder):
    """Tell whether the server's certificate is one of the authority's, and valid now."""
    return verified(folder).endswith("server.crt: OK\n")


def test_certificate_is_made_and_then_left_alone(role, server, folder):
    assert role().changed > 0
    assert left(server()) > timedelta(days=390)
    assert verifies(folder)
    assert role().changed == 0


@pytest.mark.parametrize(("name", "said"), [("any.localhost", "other.crt: OK"), ("example.org", "permitted subtree violation")])
def test_authority_signs_for_the_labs_names_alone(role, folder, name, said):
    signer = serialization.load_pem_private_key((folder / "pki" / "ca.key").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    (folder / "other.crt").write_bytes(issue(name, 1, signer, signer, issuer, names))
    assert said in verified(folder, "other.crt")


def test_certificate_that_has_expired_is_made_anew(role, server, folder):
    file = folder / "pki" / "server.crt"
    file.write_bytes(expired(file.read_bytes(), (folder / "ca.crt").read_bytes(), (folder / "pki" / "ca.key").read_bytes(), datetime.now(UTC)))
    assert not verifies(folder)
    key = server().public_key()
    assert role().changed == 1
    assert left(server()) > timedelta(days=390)
    assert server().public_key() == key
    assert verifies(folder)


def test_certificate_that_is_about_to_end_is_made_anew(role, server):
    before = server().serial_number
    # It has 397 days left.
    assert role(certificates_renew_days=396).changed == 0
    assert role(certificates_renew_days=398).changed > 0
    assert server().serial_number != before


def test_authority_that_has_ended_is_made_anew_and_so_is_what_it_signed(role, folder):
    file = folder / "ca.crt"
    authority = file.read_bytes()
    file.write_bytes(expired(authority, authority, (folder / "pki" / "ca.key").read_bytes(), datetime.now(UTC)))
    assert not verifies(folder)
    role()
    assert verifies(folder)
