"""Bad input: one line that says what to do, before anything was changed."""

import json
import shutil
import socket

import pytest

from tests.lifecycle.conftest import Lab


@pytest.fixture
def other():
    """A lab that is not there, and must not be after a refusal."""
    lab = Lab("refused")
    yield lab
    assert [thing for thing in lab.left() if not thing.endswith("/refused")] == []
    lab.down()


@pytest.mark.parametrize(("extra", "said"), [
    (["-e", "lab_colour=blue"], "lab_colour"),
    (["-e", "lab_source=moon"], "moon"),
    (["-e", "lab_http_port=99999"], "99999"),
    (["-e", "postgres_timeout=soon"], "postgres_timeout"),
])  # fmt: skip
def test_unknown_variable_or_value_is_refused_by_name(other, extra, said):
    run = other.up(*extra)
    assert run.code != 0
    assert said in run.reason


def test_port_that_is_taken_is_refused_with_who_has_it(other):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = other.up("-e", f"lab_http_port={port}")
    assert run.code != 0
    assert str(port) in run.output
    assert "python" in run.output


def test_living_lab_never_changes_a_setting_silently(lab):
    changed = {"lab_workers": 1, "kind_ports": [{"node": 30080, "host": 12345}], "traefik_http_node_port": 30081, "vars_namespace": "other",
               "monitoring_claim": "2Gi", "git_size": "2Gi", "registry_name": "other", "credentials_length": 40}  # fmt: skip
    run = lab.up("-e", json.dumps(changed))
    assert run.code != 0
    said = " ".join(run.output.split())
    assert [setting for setting in changed if f"this lab was made with {setting}=" not in said] == []
    assert run.changed == 0
    assert lab.get("/healthz")


def test_living_lab_without_its_passwords_is_refused(lab):
    kept = lab.state / "credentials.yml"
    kept.rename(lab.state / "elsewhere")
    try:
        run = lab.up()
    finally:
        (lab.state / "elsewhere").rename(kept)
    assert run.code != 0
    assert "is gone, and with it the passwords" in " ".join(run.output.split())


def test_lab_of_another_checkout_is_not_taken_down(lab, tmp_path):
    run = lab.down("-e", f"lab_state_dir={tmp_path}/.lab/{lab.name}")
    assert run.code != 0
    assert f"take it down there (make down NAME={lab.name})" in " ".join(run.reason.split())
    assert lab.get("/healthz")


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    """Where nothing answers, and no engine of the lab's was killed."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
    return ["-e", f"docker_config={tmp_path / 'daemon.json'}"]


def test_down_without_an_engine_has_nothing_to_do(no_engine):
    run = Lab("refused").down(*no_engine)
    assert run.code == 0, run.output[-3000:]


def test_down_without_an_engine_does_not_forget_a_lab_that_may_still_be_in_it(no_engine):
    lab = Lab("refused")
    lab.state.mkdir(parents=True)
    (lab.state / "lab.yml").write_text("lab_name: refused\n")
    run = lab.down(*no_engine)
    assert run.code != 0
    assert "No Docker engine answers" in run.reason
    assert lab.state.exists()
    shutil.rmtree(lab.state)
