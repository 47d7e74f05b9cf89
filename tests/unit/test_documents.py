"""What README, WALKTHROUGH and CONTRIBUTING name is there: targets, verbs, files, ports."""

import re
from pathlib import Path

import pytest

from lab.__main__ import VERBS
from lab.preflight.variables import PARTS
from tests import documents

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "WALKTHROUGH.md", "CONTRIBUTING.md"]
# What .lab/<name>/ holds that the play does not make: each is written by the verb of that module.
BY_A_VERB = {"reports": "lab/report", "backups": "lab/backup", "diagnostics": "lab/diagnostics", "logs": "lab/build"}
every = pytest.mark.parametrize("name", DOCUMENTS)


def code(name):
    """Return the code of a document: lines of its blocks, and the spans between backticks."""
    return documents.code((CHECKOUT / name).read_text())


def makefile():
    """Return the targets of the Makefile, by name, with what each says of itself."""
    found = re.findall(r"^([a-z][a-z-]*):[^=\n]*?(?:## (.*))?$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    return dict(found)


def made(line):
    """Return the targets that a line of code has make make."""
    for words in re.findall(r"(?:^|[;&(\s])make((?:\s+[a-z][a-z-]*(?=[\s;&|)]|$))+)", line.partition(" #")[0]):
        yield from words.split()


def test_lines_are_taken_apart():
    assert list(made('make down up VARS="-e lab_name=two"  # all of it')) == ["down", "up"]
    assert list(made("make")) == []
    assert list(made('make restore FILE="$(ls x/*.dump)"; make report SINCE=5m | grep x')) == ["restore", "report"]
    assert list(made("cmake x; make status && make logs")) == ["status", "logs"]


@every
def test_every_target_that_is_named_is_there(name):
    named = {target for line in code(name) for target in made(line)}
    assert named
    assert named - makefile().keys() == set()


def test_every_target_says_what_it_is_for():
    assert [target for target, purpose in makefile().items() if not purpose] == []


def test_every_target_that_calls_a_verb_calls_one_that_is_there():
    called = set(re.findall(r"-m lab ([a-z-]+)", (CHECKOUT / "Makefile").read_text()))
    assert called
    assert called - VERBS.keys() == set()


@every
def test_every_file_that_is_linked_is_there(name):
    links = re.findall(r"\]\(([^)#:]+)\)", (CHECKOUT / name).read_text())
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


@every
def test_every_file_of_the_checkout_that_is_named_is_there(name):
    paths = {word for line in code(name) for word in re.findall(r"(?<![\w./:<-])(?:app|lab|roles|tests|playbooks|inventory)/[\w./-]+", line)}
    made_here = set(re.findall(r"cat > (\S+)", "\n".join(code(name))))
    assert [path for path in sorted(paths - made_here) if not (CHECKOUT / path).exists()] == []


@every
def test_every_file_of_a_labs_folder_is_one_that_is_made(name):
    named = {word for line in code(name) for word in re.findall(r"\.lab/(?:lab|<name>)/([\w.-]+)", line)}
    sources = "\n".join(path.read_text() for folder in ("roles", "inventory") for path in (CHECKOUT / folder).rglob("*.*ml"))
    unknown = [word for word in sorted(named - BY_A_VERB.keys()) if not re.search(rf"(lab_state_dir|lab_root)[^\n]*/{re.escape(word)}\b", sources)]
    assert unknown == []
    assert all((CHECKOUT / BY_A_VERB[word]).is_dir() for word in named & BY_A_VERB.keys())


def test_ports_are_those_of_the_lab():
    text = (CHECKOUT / "inventory" / "group_vars" / "all" / "lab.yml").read_text()
    ports = {int(port) for port in re.findall(r"(\d+) if lab_name == 'lab'", text)}
    named = {int(port) for name in DOCUMENTS for line in code(name) for port in re.findall(r"localhost:(\d+)", line)}
    assert len(ports) == 3
    assert named <= ports


def test_verbs_of_the_readme_have_a_row_of_their_own_in_daily_use():
    daily = (CHECKOUT / "README.md").read_text().partition("## Daily use")[2].partition("\n## ")[0]
    wanted = {"up", "upgrade", "deploy", "rollback", "schema-down", "status", "logs", "verify", "report", "balance", "chaos", "backup", "restore", "open",
              "credentials", "diagnostics", "down", "clean", "dev"}  # fmt: skip
    assert wanted - {target for line in documents.code(daily) for target in made(line)} == set()


def test_parts_that_can_be_had_or_left_out_are_those_of_the_lab():
    named = {part for line in code("README.md") for parts in re.findall(r"lab_components=([a-z,]+)", line) for part in parts.split(",")}
    assert named == set(PARTS)


# Where each target that the README names is run by a test, and words of that test; those that are tests themselves run in `make test`,
# `make test-long` or the workflow.
RUN = {
    "up": ("tests/lifecycle/conftest.py", '"site.yml"'), "down": ("tests/lifecycle/conftest.py", '"playbooks/down.yml"'),
    "upgrade": ("tests/lifecycle/conftest.py", '"upgrade"'), "verify": (".config/molecule/config.yml", "tests/infra"),
    "deploy": ("tests/deploy/test_deploy.py", '"deploy"'), "rollback": ("tests/deploy/test_deploy.py", '"rollback"'),
    "schema-down": ("tests/deploy/test_deploy.py", '"schema-down"'), "status": ("tests/infra/test_argocd.py", "lab status"),
    "report": ("tests/infra/test_report.py", '"report"'), "open": ("tests/infra/test_readme.py", "addresses.main"),
    "credentials": ("tests/unit/lab/test_credentials.py", "credentials.main"), "diagnostics": ("tests/infra/test_diagnostics.py", "archive.main"),
    "chaos": ("tests/lifecycle/test_chaos.py", '"chaos"'),
    "balance": ("tests/infra/test_balance.py", "balance.main"), "backup": ("tests/infra/test_backup.py", "dump.main"),
    "restore": ("tests/infra/test_backup.py", "restore.main"), "dev": ("tests/integration/test_dev.py", '"dev"'),
    "bundle": ("tests/unit/lab/bundle/test_bundle_make.py", "make.make"),
    "bench-app": ("tests/unit/app/test_bench.py", "lab.bench"), "bench-up": ("tests/unit/lab/test_bench_up.py", "up.measure"),
    "bench-nodes": ("tests/unit/lab/test_bench_nodes.py", "nodes.measure"),
}  # fmt: skip
TESTS = {"test", "lint", "unit", "integration", "coverage", "molecule", "lifecycle", "images", "mutants", "deployments", "walkthrough",
         "pipeline", "test-long"}  # fmt: skip
BY_HAND = {"clean": "it would remove what every lab of this machine was built from", "logs": "it follows until it is interrupted"}


def test_every_target_of_the_readme_is_run_by_a_test():
    named = {target for line in code("README.md") for target in made(line)}
    assert named - RUN.keys() - TESTS - BY_HAND.keys() == set()
    assert [target for target, (file, words) in RUN.items() if words not in (CHECKOUT / file).read_text()] == []
