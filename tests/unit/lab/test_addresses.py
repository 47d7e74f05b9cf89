"""What answers where, without a cluster."""

import webbrowser

import pytest
import yaml

from lab import addresses
from lab.gitops.state import Lab

# Argo CD is there, and deploys from the lab's own server.
KUBECTL = """#!/bin/sh
case "$*" in
  *namespaces*) echo argocd argocd vars traefik ;;
  *application*) echo '{"spec": {"sources": [{"repoURL": "http://git.git.svc/vars.git"}]}}' ;;
esac
"""
RECORD = {"lab_http_port": 8080, "lab_https_port": 8443, "lab_registry_port": 5001, "lab_source": "packages"}


@pytest.fixture
def lab(tmp_path):
    """Return the lab of a checkout in a folder of its own; its kubectl says which namespaces have Deployments."""
    state = tmp_path / ".lab" / "lab"
    (state / "bin").mkdir(parents=True)
    (state / "lab.yml").write_text(yaml.safe_dump(RECORD))
    (state / "kubeconfig").touch()
    (state / "bin" / "kubectl").write_text(KUBECTL)
    (state / "bin" / "kubectl").chmod(0o755)
    return Lab("lab", state, 8080, 5001, "packages", tmp_path)


class Window:
    """A browser that opens nothing."""

    def __init__(self):
        self.opened = []

    def open(self, page):
        self.opened.append(page)


def text(lab, *parts):
    """Return the lines as one text."""
    return "\n".join(addresses.lines(lab, parts))


def test_lab_of_the_usual_name_has_short_commands(lab):
    assert "NAME=" not in text(lab, *addresses.COMPONENTS)
    assert "over TLS    curl --cacert .lab/lab/ca.crt https://vars.localhost:8443/var/a" in text(lab)


def test_lab_of_another_name_has_commands_that_name_it(lab, tmp_path):
    other = Lab("two", tmp_path / ".lab" / "lab", 8081, 5002, "packages", tmp_path)
    assert "make status NAME=two)" in text(other, "argocd")
    assert "git push two" in text(other, "argocd")


def test_part_that_was_left_out_is_said_to_be(lab):
    assert "monitoring  not in lab_components" in text(lab, "argocd")
    assert "argocd      not in lab_components" in text(lab, "monitoring")
    assert "git push" not in text(lab, "monitoring")


def test_repository_elsewhere_is_where_a_push_goes(lab):
    app = {"spec": {"sources": [{"repoURL": "https://host/mine.git"}]}}
    assert "the chart: git push to https://host/mine.git" in "\n".join(addresses.lines(lab, ["argocd"], addresses.push(lab, app)))


def test_parts_are_those_that_the_cluster_has(lab, capsys):
    assert addresses.main([], lambda: None, lab.checkout) == 0
    said = capsys.readouterr().out
    assert "git push lab" in said
    assert "monitoring  not in lab_components" in said


def test_pages_are_opened_where_a_browser_is(lab):
    window = Window()
    addresses.main([], lambda: window, lab.checkout)
    assert window.opened == ["http://localhost:8080/var"]


def test_report_is_opened_once_there_is_one(lab):
    (lab.state / "reports").mkdir()
    (lab.state / "reports" / "report.html").touch()
    assert addresses.pages(lab)[1:] == [f"file://{lab.state}/reports/report.html"]


def test_nothing_is_opened_where_only_lines_were_asked_for(lab):
    window = Window()
    addresses.main(["--print"], lambda: window, lab.checkout)
    assert window.opened == []


def no_browser():
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.skipif("sys.platform == 'darwin'")
@pytest.mark.parametrize(
    ("environ", "find", "found"),
    [({}, lambda: "lynx", None), ({"DISPLAY": ":0"}, lambda: "firefox", "firefox"), ({"WAYLAND_DISPLAY": "w"}, lambda: "firefox", "firefox"),
     ({"DISPLAY": ":0"}, no_browser, None)],
)  # fmt: skip
def test_only_a_browser_with_a_window_is_one(environ, find, found):
    assert addresses.browser(environ, find) == found


def test_lab_that_is_not_up_is_one_line(tmp_path, capsys):
    assert addresses.main(["--name=two"], lambda: None, tmp_path) == 1
    assert capsys.readouterr().err == "open: no lab called two is up: make up NAME=two\n"
