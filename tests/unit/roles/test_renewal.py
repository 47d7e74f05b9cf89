"""What makes certificates anew in a node: which ones, what the new ones are, what it leaves alone; and how it gets there.

kubectl and systemctl are stand-ins.
"""

import base64
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import NOW, SIGNS, issue, pem

FILES = Path(__file__).parents[3] / "roles/renewal/files"
DAY = 86400
NAMES = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("*.localhost")])
# It lists what the folder `secrets` holds, and writes down what it is told to change; a Secret called `frozen` it does not change.
KUBECTL = r"""#!/bin/sh
case "$*" in
  "get secrets --all-namespaces --field-selector=type=kubernetes.io/tls "*"{{.metadata.namespace}} {{.metadata.name}} {{.data.tls\.crt}} {{.data.tls\.key}}"*)
    [ {code} = 0 ] && cat {folder}/secrets || exit {code} ;;
  "patch secret frozen "*) echo "it is immutable" >&2; exit 1 ;;
  "patch secret "*) echo "$*" >> {folder}/patches ;;
  *) echo "not expected: $*" >&2; exit 9 ;;
esac
"""


def encoded(text):
    return base64.b64encode(text).decode()


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)


def run(folder, *words, **more):
    """Run a program that finds the stand-ins first; return what came of it."""
    given = {"env": {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder), **more.pop("env", {})}, **more}
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, **given)


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

    def once(secrets, code=0, namespace="vars", **more):
        lines = [f"{namespace} {name} {encoded(certificate)} {encoded(private)}" for name, (certificate, private) in secrets.items()]
        (tmp_path / "secrets").write_text("\n".join([*lines, ""]))
        program(tmp_path / "kubectl", KUBECTL.format(folder=tmp_path, code=code))
        done = run(tmp_path, FILES / "renew-certificates", tmp_path, str(30 * DAY), "397", **more)
        assert done.returncode == code, done.stderr
        patches = (tmp_path / "patches").read_text().splitlines() if (tmp_path / "patches").exists() else []
        assert all(f" --namespace={namespace} " in line for line in patches)
        new = {line.split()[2]: base64.b64decode(line.split('"')[-2]) for line in patches}
        assert done.stdout.count("made anew for 397 days") == len(new)
        assert not list(tmp_path.glob("tmp.*"))
        return {name: x509.load_pem_x509_certificate(text) for name, text in new.items()}

    return once


@pytest.mark.parametrize(("days", "namespace"), [(-1, "vars"), (29, "argocd")])
def test_certificate_that_ended_or_ends_soon_is_made_anew_for_the_same_key_and_names(look, authority, key, days, namespace):
    old = issue("localhost", days, key, authority, "ca", NAMES)
    (new,) = look({"vars-tls": (old, pem(key))}, namespace=namespace).values()
    before = x509.load_pem_x509_certificate(old)
    new.verify_directly_issued_by(x509.load_pem_x509_certificate(issue("ca", 1, authority, authority, "ca")))
    assert (new.subject, new.public_key(), new.serial_number == before.serial_number) == (before.subject, key.public_key(), False)
    assert new.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == NAMES
    assert abs(new.not_valid_after_utc - NOW - timedelta(days=397)) < timedelta(hours=1)


def test_certificate_that_lasts_is_left_alone_and_the_look_is_noted(look, authority, key, tmp_path):
    assert look({"vars-tls": (issue("localhost", 31, key, authority, "ca", NAMES), pem(key))}) == {}
    assert (tmp_path / "looked").exists()


@pytest.mark.parametrize("trusted", [False, True], ids=["unknown", "trusted by the system"])
def test_what_another_authority_signed_is_left_alone(look, key, tmp_path, trusted):
    other = ec.generate_private_key(ec.SECP256R1())
    system = tmp_path / "system"
    system.mkdir()
    if trusted:
        (system / "other.pem").write_bytes(issue("other", 1000, other, other, "other", *SIGNS))
        subprocess.run(["openssl", "rehash", system], check=True, timeout=30)
    theirs = issue("localhost", -1, key, other, "other", NAMES)
    assert look({"theirs": (theirs, pem(key)), "none": (b"no certificate", b"no key")}, env={"SSL_CERT_DIR": str(system)}) == {}


def test_secrets_with_the_same_certificate_get_the_same_new_one(look, authority, key):
    old = issue("localhost", -1, key, authority, "ca", NAMES)
    new = look({"vars-tls": (old, pem(key)), "argocd-tls": (old, pem(key)), "lasts": (issue("x", 300, key, authority, "ca", NAMES), pem(key))})
    assert set(new) == {"vars-tls", "argocd-tls"}
    assert new["vars-tls"] == new["argocd-tls"]


def locked(key):
    """Return a private key that nobody can read without a password."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))


@pytest.mark.parametrize("wrong", [b"", b"no key", pem(ec.generate_private_key(ec.SECP256R1())), locked(ec.generate_private_key(ec.SECP256R1()))],
                         ids=["none", "no key", "another's", "locked"])  # fmt: skip
def test_secret_without_its_key_keeps_no_other_from_being_made_anew(look, authority, key, wrong):
    old = issue("localhost", -1, key, authority, "ca", NAMES)
    assert set(look({"half": (old, wrong), "vars-tls": (old, pem(key)), "zz": (old, pem(key))})) == {"vars-tls", "zz"}


def test_secret_that_cannot_be_changed_keeps_no_other_from_being_made_anew(look, authority, key, tmp_path):
    old = issue("localhost", -1, key, authority, "ca", NAMES)
    assert set(look({"frozen": (old, pem(key)), "vars-tls": (old, pem(key))})) == {"vars-tls"}
    assert (tmp_path / "looked").exists()


def test_look_that_fails_is_not_noted(look, tmp_path):
    look({}, code=1)
    assert not (tmp_path / "looked").exists()


@pytest.fixture
def install(tmp_path):
    """Return a function that installs files, name to mode and text, in a node whose service is at work or not; it returns what was said."""
    node = tmp_path / "node"

    def run_it(files, what="install", active=True):
        program(tmp_path / "systemctl", f'#!/bin/sh\necho "$*" >> {tmp_path}/told\ncase $* in *is-active*) exit {0 if active else 3} ;; esac\n')
        lines = "".join(f"{mode} {node}/{name} {encoded(text.encode())}\n" for name, (mode, text) in files.items())
        done = run(tmp_path, "sh", "-euc", (FILES / "install").read_text(), "install", "x.service", str(node), what, input=lines)
        assert (done.returncode, done.stderr) == (0, "")
        told = (tmp_path / "told").read_text() if (tmp_path / "told").exists() else ""
        (tmp_path / "told").unlink(missing_ok=True)
        return done.stdout.strip(), "restart x.service" in told

    return run_it


WANTED = {"ca.crt": ("0644", "certificate\n"), "ca.key": ("0600", "key\n")}


def test_what_is_there_is_left_alone_and_what_is_not_is_installed(install, tmp_path):
    assert install(WANTED) == ("changed", True)
    assert {path.name: (f"{path.stat().st_mode & 0o7777:04o}", path.read_text()) for path in (tmp_path / "node").iterdir()} == WANTED
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o700
    assert install(WANTED) == ("", False)


@pytest.mark.parametrize("change", [{"ca.key": ("0600", "another\n")}, {"ca.key": ("0644", "key\n")}])
def test_another_authority_or_mode_is_installed_and_the_service_begins_with_it(install, tmp_path, change):
    install(WANTED)
    assert install({**WANTED, **change}) == ("changed", True)
    assert (tmp_path / "node" / "ca.key").read_text() == change["ca.key"][1]


def test_service_that_is_not_at_work_is_started(install):
    install(WANTED)
    assert install(WANTED, active=False) == ("changed", True)


def test_look_changes_nothing(install, tmp_path):
    assert install(WANTED, what="look") == ("changed", False)
    assert not (tmp_path / "node").exists()
