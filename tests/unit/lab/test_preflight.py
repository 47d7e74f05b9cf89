"""The verb itself: one line for each finding, an exit code, and JSON for the role."""
import io
import json
from pathlib import Path

import pytest

from lab import preflight
from lab.preflight import docker

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """Ask for a lab to be taken down, which needs neither an engine nor free ports."""
    monkeypatch.setattr(preflight.docker, "ask", lambda: docker.Engine())
    return {
        "checkout": str(CHECKOUT), "state": "absent", "lock": True, "to_build": "false", "given": {}, "defined": ["lab_name"],
        "settings": {"lab_name": "test", "lab_source": "packages", "lab_state_dir": str(tmp_path / "state"),
                     "lab_http_port": 1, "lab_https_port": 2, "lab_registry_port": 3},
        "needs": {},
    }


def run(wanted, tmp_path, *options):
    """Run the verb on a file with what is wanted."""
    file = tmp_path / "wanted.json"
    file.write_text(json.dumps(wanted))
    return preflight.main(["--vars-file", str(file), *options])


def test_nothing_found_says_nothing(wanted, tmp_path, capsys):
    assert run(wanted, tmp_path) == 0
    assert capsys.readouterr() == ("", "")


def test_taking_down_makes_no_folder_and_locks_one_that_is_there(wanted, tmp_path):
    run(wanted, tmp_path)
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    run(wanted, tmp_path)
    assert (tmp_path / "state/run.lock").exists()


def test_taking_down_by_name_spares_what_was_made_by_hand(wanted, tmp_path, monkeypatch, capsys):
    node = {"Names": "test-control-plane", "Networks": "kind", "Labels": "io.x-k8s.kind.cluster=test"}
    monkeypatch.setattr(preflight.docker, "ask", lambda: docker.Engine({}, [node], []))
    assert run(wanted, tmp_path) == 1
    assert "kind delete cluster --name test" in capsys.readouterr().err


def test_without_the_lock_nothing_is_written(wanted, tmp_path):
    (tmp_path / "state").mkdir()
    run({**wanted, "lock": False}, tmp_path)
    assert list((tmp_path / "state").iterdir()) == []


def test_a_finding_is_one_line_and_an_exit_code(wanted, tmp_path, capsys):
    assert run({**wanted, "given": {"lab_nam": "x"}}, tmp_path) == 1
    assert capsys.readouterr().err == "unknown variable lab_nam: did you mean lab_name?\n"


def test_the_role_gets_findings_as_json(wanted, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**wanted, "given": {"lab_nam": "x"}})))
    assert preflight.main(["--vars-file", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "findings": ["unknown variable lab_nam: did you mean lab_name?"], "warnings": [],
        "missing": [], "fresh": False, "stands": False, "made_of": {}, "engine": True, "cluster": "", "source": "", "why": ""}


def test_every_role_input_and_group_variable_is_known(wanted):
    names = preflight.variables.group_variables(CHECKOUT) | set(preflight.variables.role_options(CHECKOUT))
    assert preflight.check_variables({**wanted, "defined": sorted(names)}) == []
