"""The log of acknowledged writes: what a later read may give, and what it may not."""

import pytest

from lab.chaos.log import WRITES, Log


@pytest.fixture
def log():
    return Log("run")


def written(log, *ends):
    """Write one name so often; return it."""
    for acknowledged in ends:
        name, value = log.begin()
        log.end(name, value, acknowledged)
    return name


def test_acknowledged_write_that_is_there_is_none_lost(log):
    name = written(log, True, True)
    assert log.judge(name, log.least(name), f"{name} = 2") == ""
    assert log.acknowledged == 2


@pytest.mark.parametrize("body", ["run-0 = 1", None])
def test_acknowledged_write_that_is_not_there_is_lost(log, body):
    name = written(log, True, True)
    assert log.judge(name, log.least(name), body) == f"run-0: 2 was acknowledged or read, and then {'1' if body else 'nothing'} was read"


@pytest.mark.parametrize("value", [1, 2])
def test_write_whose_outcome_is_not_known_may_have_happened_or_not(log, value):
    name = written(log, True, False)
    assert log.judge(name, log.least(name), f"{name} = {value}") == ""


def test_first_write_whose_outcome_is_not_known_may_have_left_nothing(log):
    name = written(log, False)
    assert log.judge(name, log.least(name), None) == ""


def test_what_was_read_once_is_there_for_good(log):
    name = written(log, True, False)
    assert log.judge(name, log.least(name), f"{name} = 2") == ""
    assert log.judge(name, log.least(name), f"{name} = 1").startswith("run-0: 2 was acknowledged or read")


def test_read_that_began_before_a_write_may_still_give_the_old_value(log):
    name = written(log, True)
    least = log.least(name)
    written(log, True)
    assert log.judge(name, least, f"{name} = 1") == ""


def test_value_that_nobody_wrote_is_wrong(log):
    name = written(log, True)
    assert log.judge(name, log.least(name), f"{name} = 2") == "run-0: 2 was read, and never written"


@pytest.mark.parametrize("body", ["run-1 = 1", "run-0 = x", "run-0 = 1\n", ""])
def test_body_of_another_request_is_wrong(log, body):
    name = written(log, True)
    assert log.judge(name, log.least(name), body).startswith("run-0 was answered by")


def test_nobody_writes_a_name_that_is_being_written(log):
    assert log.begin() != log.begin()


def test_name_is_left_alone_after_a_write_whose_outcome_is_not_known(log):
    name = written(log, True, False)
    assert log.begin() == ("run-1", 1)
    assert name == "run-0"


def test_name_is_written_so_often_and_then_another(log):
    written(log, *[True] * WRITES)
    assert log.begin() == ("run-1", 1)


def test_only_names_that_are_there_are_read(log):
    written(log, False)
    written(log, True, True)
    assert log.there == ["run-1"]
