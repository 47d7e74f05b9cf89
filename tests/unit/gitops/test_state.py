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


def test_hint_follows_the_reason(capsys):
    state.answer(failing(GitopsError("why")), "deploy", hint="(what helps)")
    assert capsys.readouterr().err == "deploy: why\n(what helps)\n"


def test_other_errors_are_not_hidden():
    with pytest.raises(KeyError):
        state.answer(failing(KeyError("x")), "deploy", OSError)
