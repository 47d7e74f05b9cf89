"""The lab's passwords, printed for who may see them."""

import io
from pathlib import Path

import pytest
import yaml

from lab import credentials

ROLE = Path(__file__).parents[3] / "roles" / "credentials" / "defaults" / "main.yml"
PASSWORDS = {"git_push": "pushed", "argocd_admin": "entered", "mine": "own"}


class Terminal(io.StringIO):
    """An output that somebody looks at."""

    def isatty(self):
        return True


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with a lab that has passwords."""
    state = tmp_path / ".lab" / "lab"
    state.mkdir(parents=True)
    (state / "lab.yml").write_text(yaml.safe_dump({"lab_http_port": 8080, "lab_https_port": 8443, "lab_registry_port": 5001, "lab_source": "packages"}))
    (state / "credentials.yml").write_text(yaml.safe_dump(PASSWORDS))
    return tmp_path


def test_every_password_that_the_lab_makes_has_a_purpose():
    assert set(yaml.safe_load(ROLE.read_text())["credentials_names"]) == set(credentials.PURPOSES)


def test_terminal_gets_each_password_below_its_purpose(checkout):
    out = Terminal()
    assert credentials.main([], checkout, out) == 0
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["argocd_admin: Argo CD's API, user admin", "    entered"]
    assert lines[3:6] == ["git_push: the lab's git server, user lab", "    pushed", "    git push lab knows it; a clone of your own asks for it"]
    assert lines[6:8] == ["mine: your own", "    own"]


def test_what_is_no_terminal_gets_none(checkout, capsys):
    out = io.StringIO()
    assert credentials.main([], checkout, out) == 1
    assert out.getvalue() == ""
    assert "make credentials SHOW=yes" in capsys.readouterr().err


def test_what_is_no_terminal_gets_them_where_they_are_asked_for(checkout):
    out = io.StringIO()
    assert credentials.main(["--show"], checkout, out) == 0
    assert all(word in out.getvalue() for word in PASSWORDS.values())


def test_no_line_is_left_with_a_place_to_fill(checkout):
    (checkout / ".lab" / "lab" / "credentials.yml").write_text(yaml.safe_dump(dict.fromkeys(credentials.PURPOSES, "x")))
    out = Terminal()
    credentials.main([], checkout, out)
    assert "{" not in out.getvalue()
    assert ".lab/lab/bin/kubectl --kubeconfig .lab/lab/kubeconfig exec" in out.getvalue()


def test_lab_without_passwords_is_one_line(checkout, capsys):
    (checkout / ".lab" / "lab" / "credentials.yml").unlink()
    assert credentials.main(["--show"], checkout) == 1
    assert capsys.readouterr().err == "credentials: the lab lab has no passwords yet: make up makes them\n"
