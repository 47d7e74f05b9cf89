"""What the README says to type at a running lab is typed, with this lab's name and ports."""

import subprocess

import pytest

from lab import addresses
from lab.gitops import state
from lab.kubectl import Kubectl
from tests import documents
from tests.infra.conftest import CHECKOUT

COMMANDS = [line for line in documents.code((CHECKOUT / "README.md").read_text()) if line.startswith(("curl ", ".lab/lab/bin/"))]
# What a command needs beside the service, by what is in it.
NEEDS = {"prometheus.": "monitoring", "alertmanager.": "monitoring", "argocd.": "argocd", "git.": "argocd"}


@pytest.fixture(scope="module")
def parts(lab):
    """Return what this lab has beside the service."""
    return addresses.components(Kubectl(state.load(lab.name).kubectl_options()), lab.name)


def here(lab, line, variable):
    """Return a command as it is for this lab, for a variable that is nobody else's; what is no success is a failure."""
    for old, new in ((":8080", f":{lab.http}"), (":8443", f":{lab.https}"), (".lab/lab/", f".lab/{lab.name}/"), ("/var/a", f"/var/{variable}"),
                     ("curl ", "curl --fail --silent --show-error --max-time 10 ")):  # fmt: skip
        line = line.replace(old, new)
    return line


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_readme_works(lab, client, variable, parts, line):
    if lacking := {part for word, part in NEEDS.items() if f"/{word}" in line} - parts:
        pytest.skip(f"this lab was stood up without {', '.join(lacking)}: {line} was not run")
    client.get(f"/var/{variable}/1")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", here(lab, line, variable)], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_addresses_that_are_printed_answer(lab, client, parts, capsys):
    assert addresses.main([f"--name={lab.name}", "--print"]) == 0
    said = capsys.readouterr().out
    assert f"http://vars.localhost:{lab.http}/var/a" in said
    assert {part for part in addresses.COMPONENTS if f"{part:<10}  not in lab_components" not in said} == parts


def test_every_page_that_is_opened_answers(lab, client):
    pages = [page for page in addresses.pages(state.load(lab.name)) if page.startswith("http")]
    assert pages
    for page in pages:
        host, _, path = page.removeprefix("http://").partition("/")
        assert client.get(f"/{path}", host=host.partition(":")[0]).status == 200
