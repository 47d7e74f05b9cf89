"""The pool: bounded waits, one connector, recovery."""

import threading
import time

import pytest

from app.pool import Pool, Unavailable


class FakeSession:
    """A connection that knows whether it was closed, and may be stale."""

    def __init__(self, stale=False):
        self.closed = False
        self.stale = stale

    def is_stale(self):
        return self.stale

    def close(self):
        self.closed = True


class Connector:
    """Makes sessions, or fails while `error` is set."""

    def __init__(self, error=None):
        self.error = error
        self.made = []
        self.calls = 0
        self.gate = None

    def __call__(self):
        self.calls += 1
        if self.gate:
            self.gate.wait(5)
        if self.error:
            raise self.error
        self.made.append(FakeSession())
        return self.made[-1]


def soon(seconds=2.0):
    return time.monotonic() + seconds


def eventually(check, seconds=2.0):
    end = soon(seconds)
    while not check():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def make_pool():
    pools = []

    def make(connector, size=2, **options):
        pools.append(Pool(connector, size, pause=0.05, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def test_connections_are_used_again(make_pool):
    connector = Connector()
    pool = make_pool(connector)
    first = pool.take(soon())
    pool.give_back(first)
    assert pool.take(soon()) is first
    assert connector.calls == 1


def test_it_grows_to_its_size_and_then_waits(make_pool):
    pool = make_pool(Connector(), size=2)
    first, second = pool.take(soon()), pool.take(soon())
    assert first is not second
    with pytest.raises(Unavailable, match="busy"):
        pool.take(soon(0.05))
    assert pool.counts() == {"idle": 0, "busy": 2, "waiting": 0, "away": 0}
    waiter = threading.Thread(target=lambda: pool.give_back(pool.take(soon())))
    waiter.start()
    eventually(lambda: pool.counts()["waiting"] == 1)
    pool.give_back(first)
    waiter.join(2)
    assert not waiter.is_alive()


def test_an_absent_database_fails_at_once_and_is_tried_again(make_pool):
    problems = []
    connector = Connector(OSError("refused"))
    pool = make_pool(connector, report=problems.append)
    with pytest.raises(Unavailable, match="away"):
        pool.take(soon())
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="away"):
        pool.take(soon(5))
    assert time.monotonic() - begin < 0.05
    eventually(lambda: connector.calls > 2)
    assert problems == ["refused"]
    connector.error = None
    eventually(lambda: pool.counts()["away"] == 0)
    assert pool.take(soon()) is connector.made[0]


def test_a_broken_connection_takes_the_idle_ones_with_it(make_pool):
    connector = Connector()
    pool = make_pool(connector, size=2)
    first, second = pool.take(soon()), pool.take(soon())
    pool.give_back(second)
    pool.discard(first)
    assert first.closed and second.closed
    assert pool.take(soon()) not in (first, second)


def test_no_answer_turns_the_next_away_until_a_connection_is_made(make_pool):
    connector = Connector()
    pool = make_pool(connector)
    session = pool.take(soon())
    connector.gate = threading.Event()
    pool.discard(session, away=True)
    with pytest.raises(Unavailable, match="away"):
        pool.take(soon())
    connector.gate.set()
    eventually(lambda: pool.counts()["away"] == 0)
    assert pool.take(soon())


def test_one_connection_is_waited_for_where_there_can_be_no_second(make_pool):
    problems = []
    connector = Connector()
    pool = make_pool(connector, size=2, report=problems.append)
    only = pool.take(soon())
    connector.error = OSError("too many clients")
    taken = []
    waiter = threading.Thread(target=lambda: taken.append(pool.take(soon())))
    waiter.start()
    eventually(lambda: connector.calls > 2)
    assert pool.counts() == {"idle": 0, "busy": 1, "waiting": 1, "away": 0}
    assert problems == ["too many clients"]
    pool.give_back(only)
    waiter.join(2)
    assert taken == [only]


def test_a_write_gets_a_connection_that_is_not_stale(make_pool):
    connector = Connector()
    pool = make_pool(connector)
    session = pool.take(soon())
    session.stale = True
    pool.give_back(session)
    fresh = pool.take(soon(), fresh=True)
    assert fresh is not session and session.closed


def test_closing_ends_everything(make_pool):
    connector = Connector()
    pool = make_pool(connector)
    borrowed, idle = pool.take(soon()), pool.take(soon())
    pool.give_back(idle)
    pool.close()
    assert idle.closed and not borrowed.closed
    pool.give_back(borrowed)
    assert borrowed.closed
    with pytest.raises(Unavailable, match="away"):
        pool.take(soon())


@pytest.mark.parametrize("error", [None, OSError("refused")])
def test_closing_while_a_connection_is_being_made(make_pool, error):
    connector = Connector(error)
    connector.gate = threading.Event()
    pool = make_pool(connector)
    eventually(lambda: connector.calls == 1)
    pool.close()
    connector.gate.set()
    pool._thread.join(2)
    assert not pool._thread.is_alive()
    assert all(session.closed for session in connector.made)
