"""The program that makes certificates anew: which ones, what the new ones are, and what it leaves alone. kubectl is a stand-in."""

import base64
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.certificates import NOW, SIGNS, issue, pem

PROGRAM = Path(__file__).parents[3] / "roles/renewal/files/renew-certificates"
DAY = 86400
NAMES = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("*.localhost")])
# It lists what the folder `secrets` holds, and writes what it is told into `patches`.
KUBECTL = """#!/bin/sh
case $1 in
  get) cat {folder}/secrets ;;
  patch) echo "$*" >> {folder}/patches ;;
esac
{exit}
"""


def encoded(text):
    return base64.b64encode(text).decode()


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def authority(tmp_path):
    """Return an authority's key; the program finds it in the folder."""
    signer = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.crt").write_bytes(issue("ca", 1000, signer, signer, "ca", *SIGNS))
    (tmp_path / "ca.key").write_bytes(pem(signer))
    return signer


@pytest.fixture
def look(tmp_path, authority):
    """Return a function that has the program look at Secrets, name to certificate and key; it returns the new certificates by name."""

    def once(secrets, code=0):
        lines = [f"vars {name} {encoded(certificate)} {encoded(private)}" for name, (certificate, private) in secrets.items()]
        (tmp_path / "secrets").write_text("\n".join([*lines, ""]))
        (tmp_path / "kubectl").write_text(KUBECTL.format(folder=tmp_path, exit=f"exit {code}" if code else ""))
        (tmp_path / "kubectl").chmod(0o755)
        command = [PROGRAM, tmp_path, str(30 * DAY), "397"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert done.returncode == code, done.stderr
        patches = (tmp_path / "patches").read_text().splitlines() if (tmp_path / "patches").exists() else []
        new = {line.split()[2]: base64.b64decode(line.split('"')[-2]) for line in patches}
        assert done.stdout.count("made anew for 397 days") == len(new)
        return {name: x509.load_pem_x509_certificate(text) for name, text in new.items()}

    return once


@pytest.mark.parametrize("days", [-1, 29])
def test_certificate_that_ended_or_ends_soon_is_made_anew_for_the_same_key_and_names(look, authority, key, days):
    old = issue("localhost", days, key, authority, "ca", NAMES)
    (new,) = look({"vars-tls": (old, pem(key))}).values()
    before = x509.load_pem_x509_certificate(old)
    new.verify_directly_issued_by(x509.load_pem_x509_certificate(issue("ca", 1, authority, authority, "ca")))
    assert (new.subject, new.public_key(), new.serial_number == before.serial_number) == (before.subject, key.public_key(), False)
    assert new.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == NAMES
    assert abs(new.not_valid_after_utc - NOW - timedelta(days=397)) < timedelta(hours=1)


def test_certificate_that_lasts_is_left_alone_and_the_look_is_noted(look, authority, key, tmp_path):
    assert look({"vars-tls": (issue("localhost", 31, key, authority, "ca", NAMES), pem(key))}) == {}
    assert (tmp_path / "looked").exists()


def test_what_another_authority_signed_is_left_alone(look, key):
    other = ec.generate_private_key(ec.SECP256R1())
    assert look({"theirs": (issue("localhost", -1, key, other, "ca", NAMES), pem(key)), "none": (b"no certificate", b"no key")}) == {}


def test_secrets_with_the_same_certificate_get_the_same_new_one(look, authority, key):
    old = issue("localhost", -1, key, authority, "ca", NAMES)
    new = look({"vars-tls": (old, pem(key)), "argocd-tls": (old, pem(key)), "lasts": (issue("x", 300, key, authority, "ca", NAMES), pem(key))})
    assert set(new) == {"vars-tls", "argocd-tls"}
    assert new["vars-tls"] == new["argocd-tls"]


@pytest.mark.parametrize("wrong", [b"", b"no key", pem(ec.generate_private_key(ec.SECP256R1()))], ids=["none", "no key", "another's"])
def test_secret_without_its_key_keeps_no_other_from_being_made_anew(look, authority, key, wrong):
    old = issue("localhost", -1, key, authority, "ca", NAMES)
    assert set(look({"half": (old, wrong), "vars-tls": (old, pem(key))})) == {"vars-tls"}


def test_look_that_fails_is_not_noted(look, tmp_path):
    look({}, code=1)
    assert not (tmp_path / "looked").exists()
