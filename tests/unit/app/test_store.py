"""The store: what is tried again, what is not, and what becomes of the connection."""

import pytest

from app import sql
from app.connection import ConnectionLost, DeadlineExceeded, StatementFailed
from app.pool import Unavailable
from app.store import DatabaseAway, Migration, Store


class FakePool:
    """Hands out sessions that act out a script, and notes what comes back."""

    def __init__(self, *script):
        self.script = list(script)
        self.log = []

    def take(self, deadline, fresh=False):
        step = self.script.pop(0)
        if isinstance(step, Unavailable):
            raise step
        self.log.append("fresh" if fresh else "take")
        return FakeSession(step)

    def give_back(self, session):
        self.log.append("back")

    def discard(self, session, away=False):
        self.log.append("away" if away else "discard")


class FakeSession:
    def __init__(self, step):
        self.step = step

    def run(self, query, parameters, deadline):
        if isinstance(self.step, BaseException):
            raise self.step
        return self.step


def make(*script):
    pool, errors = FakePool(*script), []
    return Store(pool, 0.8, errors.append, clock=lambda: 0.0), pool, errors


LOST, LATE = ConnectionLost("reset"), DeadlineExceeded("late")


def test_reading():
    store, pool, errors = make([["1"]], [])
    assert store.get("a") == "1"
    assert store.get("b") is None
    assert pool.log == ["take", "back"] * 2 and errors == []


def test_writing_asks_for_a_fresh_connection():
    store, pool, _ = make([[True]], [["a"]], [])
    assert store.set("a", "1") is True
    assert store.delete("a") is True
    assert store.delete("a") is False
    assert pool.log == ["fresh", "back"] * 3


def test_a_read_is_tried_once_more_on_a_dead_connection():
    store, pool, errors = make(LOST, [["1"]])
    assert store.get("a") == "1"
    assert pool.log == ["take", "discard", "fresh", "back"] and errors == []


def test_a_read_is_not_tried_a_third_time():
    store, _, errors = make(LOST, LOST)
    with pytest.raises(DatabaseAway):
        store.get("a")
    assert errors == ["connection"]


def test_a_read_without_time_left_is_not_tried_again():
    store, pool, errors = make(LATE)
    with pytest.raises(DatabaseAway) as caught:
        store.get("a")
    assert pool.log == ["take", "away"] and errors == ["timeout"] and not caught.value.unknown


@pytest.mark.parametrize(("error", "kind"), [(LOST, "connection"), (LATE, "timeout")])
def test_a_write_is_never_tried_again(error, kind):
    store, pool, errors = make(error, [[True]])
    with pytest.raises(DatabaseAway) as caught:
        store.set("a", "1")
    assert caught.value.unknown and errors == [kind] and len(pool.script) == 1


@pytest.mark.parametrize("reason", ["away", "busy"])
def test_without_a_connection_nothing_was_written(reason):
    store, _, errors = make(Unavailable(reason))
    with pytest.raises(DatabaseAway) as caught:
        store.set("a", "1")
    assert not caught.value.unknown and errors == [reason]


@pytest.mark.parametrize("code", ["57014", "53300", "55P03", "40001", "42P01", "25006"])
def test_passing_errors_keep_the_connection(code):
    store, pool, errors = make(StatementFailed(code, "no"))
    with pytest.raises(DatabaseAway):
        store.get("a")
    assert pool.log == ["take", "back"] and errors == [f"sqlstate_{code}"]


def test_other_refusals_are_bugs():
    store, pool, errors = make(StatementFailed("42501", "permission denied"))
    with pytest.raises(StatementFailed):
        store.get("a")
    assert pool.log == ["take", "back"] and errors == ["sqlstate_42501"]


def test_a_stale_plan_is_prepared_anew_for_a_read():
    store, pool, _ = make(StatementFailed("0A000", "cached plan"), [["1"]])
    assert store.get("a") == "1"
    assert pool.log == ["take", "discard", "fresh", "back"]


def test_a_stale_plan_did_not_write():
    store, _, _ = make(StatementFailed("0A000", "cached plan"))
    with pytest.raises(DatabaseAway) as caught:
        store.set("a", "1")
    assert not caught.value.unknown


def test_anything_else_throws_the_connection_away():
    store, pool, _ = make(ValueError("bug"))
    with pytest.raises(ValueError, match="bug"):
        store.get("a")
    assert pool.log == ["take", "discard"]


def test_pages_end():
    store, _, _ = make([["a", "1"], ["b", "2"]], [["a", "1"], ["b", "2"]], [])
    assert store.page("", 2) == ([("a", "1"), ("b", "2")], None)
    assert store.page("", 1) == ([("a", "1")], "a")
    assert store.page("b", 2) == ([], None)


def test_a_page_that_was_cut_short_goes_on():
    big = "x" * (sql.PAGE_BYTES // 2)
    store, _, _ = make([["a", big], ["b", big]])
    assert store.page("", 20)[1] == "b"


def test_migrations():
    store, _, _ = make([["0001", "abc", False]])
    assert store.migrations() == [Migration("0001", "abc", False)]
