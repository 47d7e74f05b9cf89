"""What every verb says in the end: an answer, or one line that says why there is none."""

import json

import pytest

from lab.gitops import GitopsError, state
from lab.kubectl import ClusterError


def failing(error):
    def ask():
        raise error

    return ask


def test_lines_are_printed(capsys):
    assert state.answer(lambda: ["one", "two"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_what_a_play_reads_is_json(capsys):
    assert state.answer(lambda: {"changed": False}) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": False}


@pytest.mark.parametrize("error", [GitopsError("why"), ClusterError("why"), OSError("why")])
def test_reason_is_one_line_after_the_verb(capsys, error):
    assert state.answer(failing(error), "deploy", OSError) == 1
    assert capsys.readouterr() == ("", "deploy: why\n")


def test_reason_for_a_play_stands_alone(capsys):
    state.answer(failing(GitopsError("why")))
    assert capsys.readouterr().err == "why\n"


def test_other_errors_are_not_hidden():
    with pytest.raises(KeyError):
        state.answer(failing(KeyError("x")), "deploy", OSError)


@pytest.mark.parametrize("name", ["", "a b", "lab/../lab", "../lab", "Lab", "-e", "x" * 21])
def test_what_is_no_name_of_a_lab_is_refused_though_its_folder_is_there(tmp_path, name):
    (tmp_path / ".lab" / "lab").mkdir(parents=True)
    (tmp_path / ".lab" / "lab" / "lab.yml").write_text("lab_http_port: 1\nlab_https_port: 3\nlab_registry_port: 2\nlab_source: packages\n")
    with pytest.raises(GitopsError, match="no lab can be called"):
        state.load(name, tmp_path, up=False)
    assert state.load("lab", tmp_path, up=False).http == 1


@pytest.mark.parametrize("text", ["a: [", "foo", "[1]", "lab_name: x"])
def test_record_that_is_none_says_what_to_type(tmp_path, text):
    (tmp_path / ".lab" / "x").mkdir(parents=True)
    (tmp_path / ".lab" / "x" / "lab.yml").write_text(text)
    with pytest.raises(GitopsError, match=r"lab.yml cannot be read \(.+\): remove it, then make down up NAME=x"):
        state.load("x", tmp_path, up=False)


def test_lab_whose_passwords_are_gone_says_what_to_type(tmp_path):
    with pytest.raises(GitopsError, match="credentials.yml is gone, and with it the passwords of the lab x: put it back, or .* make down up NAME=x"):
        state.Lab("x", tmp_path, 1, 2, "packages").password("vars_app")
