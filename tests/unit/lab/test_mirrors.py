"""Whom the lab asks in place of upstream, and what is wrong with what a user gave."""

import pytest

from lab import mirrors
from lab.mirrors import Mirrors

GIVEN = Mirrors({"docker.io": "https://hub.example.org/cache/", "charts.example.org/stable": "http://127.0.0.1:8080", "charts.example.org": "https://other"})


@pytest.mark.parametrize(("address", "asked"), [
    ("https://charts.example.org/stable/index.yaml", "http://127.0.0.1:8080/index.yaml"),
    ("https://charts.example.org/stable", "http://127.0.0.1:8080"),
    ("https://charts.example.org/stabler/index.yaml", "https://other/stabler/index.yaml"),
    ("https://elsewhere.example.org/x", "https://elsewhere.example.org/x"),
])  # fmt: skip
def test_longest_beginning_that_is_given_counts(address, asked):
    assert GIVEN.url(address) == asked


def test_image_comes_from_the_mirror_of_its_registry():
    assert GIVEN.image("docker.io/library/x:1") == "hub.example.org/cache/library/x:1"
    assert GIVEN.image("quay.io/a/b:1") == "quay.io/a/b:1"


def test_api_of_a_registry():
    assert GIVEN.registry("docker.io") == "https://hub.example.org/v2/cache"
    assert Mirrors().registry("docker.io") == "https://registry-1.docker.io/v2"
    assert Mirrors().registry("quay.io") == "https://quay.io/v2"


def test_what_is_kept_is_what_is_read(tmp_path):
    assert mirrors.load(tmp_path) == Mirrors()
    (tmp_path / mirrors.FILE).write_text(GIVEN.text())
    assert mirrors.load(tmp_path) == GIVEN


@pytest.mark.parametrize(("hosts", "said"), [
    ({"docker.io": "mirror.example.org"}, "must be a URL, such as https://mirror.example.org/docker.io"),
    ({"docker.io": "ftp://mirror"}, "must be a URL"), ({"docker.io": "http://[::1"}, "must be a URL"),
    ({"docker.io": "http://mirror:port"}, "must be a URL"), ({"docker.io": "https://a b"}, "must be a URL"),
    ({"docker io": "https://mirror"}, "must be a host, or a host and a path"),
    ({"docker.io": "https://u:p@mirror"}, "has a password in the URL for docker.io: put it into a file as docker login does"),
    ({"https://docker.io": "https://mirror"}, "must be a host, or a host and a path, without https://"),
])  # fmt: skip
def test_mirror_that_cannot_be_one_is_refused(hosts, said):
    (line,) = mirrors.wrong(hosts, "")
    assert said in line


def test_password_of_a_mirror_is_not_repeated():
    assert "secret" not in mirrors.wrong({"docker.io": "https://user:secret@mirror"}, "")[0]


def test_authority_that_is_none_is_refused(tmp_path):
    assert "no such file" in mirrors.wrong({}, str(tmp_path / "ca.pem"))[0]
    assert "no such file" in mirrors.wrong({}, "~no-such-user/ca.pem")[0]
    (tmp_path / "ca.pem").write_text("not a certificate")
    assert "holds no certificate" in mirrors.wrong({}, str(tmp_path / "ca.pem"))[0]


@pytest.mark.parametrize(("text", "said"), [
    (None, "must be a file that docker login wrote"), ("~", "must be a file that docker login wrote"), ("{", "must be a file that docker login wrote"),
    ('{"credsStore": "desktop"}', "holds no password"), ('{"credsStore": "desktop", "auths": {"https://x/v1/": {}}}', "holds no password"),
    ('{"auths": "x"}', "must be a file that docker login wrote"), ('{"auths": {"mirror": {"identitytoken": "t"}}}', None),
    ('{"auths": {"mirror": {"auth": "dTpw"}}}', None),
])  # fmt: skip
def test_file_of_passwords_is_one_that_docker_login_wrote(tmp_path, text, said):
    file = tmp_path / "config.json"
    if text not in (None, "~"):
        file.write_text(text)
    lines = mirrors.wrong({}, "", "~no-such-user/config.json" if text == "~" else str(file))
    assert [said in line for line in lines] == ([True] if said else [])
