"""A small pool of database connections with bounded waits.

One thread makes all connections, so that no request ever waits for a connect: requests wait for a connection, and never
longer than their deadline. While the database is known to be away they fail at once.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from app.sql import Query


class Session(Protocol):
    """What the pool needs of a connection; `app.connection.Connection` is one."""

    def run(self, query: Query, parameters: tuple, deadline: float) -> list[list]:
        """Run one query."""

    def is_stale(self) -> bool:
        """Tell whether the peer has closed it."""

    def close(self) -> None:
        """Release it; never raises."""


class Unavailable(Exception):
    """No connection can be had before the deadline. `reason` is `away` or `busy`."""

    def __init__(self, reason: str):
        super().__init__(f"no database connection: {reason}")
        self.reason = reason


class Pool:
    """Connections for `size` threads at a time, made by `connect` and tried again `pause` seconds after a failure."""

    def __init__(
        self,
        connect: Callable[[], Session],
        size: int,
        report: Callable[[str], None] = lambda problem: None,
        pause: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._connect = connect
        self._size = size
        self._report = report
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._wanted = threading.Condition(self._lock)
        self._idle: list[Session] = []
        self._busy = 0
        self._waiting = 0
        self._away = False
        self._closed = False
        self._thread = threading.Thread(target=self._keep_connecting, name="connector", daemon=True)
        self._thread.start()

    def take(self, deadline: float, fresh: bool = False) -> Session:
        """Borrow a connection; give it back with `give_back` or `discard`.

        `fresh` asks for one that the peer has not closed meanwhile: for writes, which cannot be tried again.
        Raises Unavailable at the deadline, or at once while the database is away.
        """
        with self._lock:
            while True:
                while self._idle:
                    session = self._idle.pop()
                    if fresh and session.is_stale():
                        session.close()
                        continue
                    self._busy += 1
                    return session
                if self._away or self._closed:
                    raise Unavailable("away")
                remaining = deadline - self._clock()
                if remaining <= 0:
                    raise Unavailable("busy")
                self._waiting += 1
                self._wanted.notify()
                self._freed.wait(remaining)
                self._waiting -= 1

    def give_back(self, session: Session) -> None:
        """Return a connection that is in good order."""
        with self._lock:
            self._busy -= 1
            if not self._closed:
                self._idle.append(session)
                self._freed.notify()
                return
        session.close()

    def discard(self, session: Session, away: bool = False) -> None:
        """Throw away a broken connection and all idle ones, which likely broke with it.

        `away` says that the database does not answer: requests fail at once until a new connection has been made.
        """
        with self._lock:
            self._busy -= 1
            broken, self._idle = [session, *self._idle], []
            if away:
                self._set_away(True)
            self._wanted.notify()
        for each in broken:
            each.close()

    def counts(self) -> dict[str, int]:
        """Count the connections and the requests that wait for one, for the metrics."""
        with self._lock:
            return {"idle": len(self._idle), "busy": self._busy, "waiting": self._waiting, "away": int(self._away)}

    def close(self) -> None:
        """Close the idle connections now and borrowed ones when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._wanted.notify()
            self._freed.notify_all()
        for session in idle:
            session.close()

    def _set_away(self, away: bool) -> None:
        self._away = away
        self._freed.notify_all()

    def _is_wanted(self) -> bool:
        total = len(self._idle) + self._busy
        return self._away or total == 0 or (self._waiting > len(self._idle) and total < self._size)

    def _keep_connecting(self) -> None:
        failing = False
        while True:
            with self._lock:
                while not self._closed and not self._is_wanted():
                    self._wanted.wait()
                if self._closed:
                    return
            session = problem = None
            try:
                session = self._connect()
            except Exception as error:
                # Whatever went wrong, this thread must live on: without it the service would never recover.
                problem = str(error)
            with self._lock:
                if problem is None:
                    self._set_away(False)
                elif not self._idle and not self._busy:
                    # Else it is at its limit of connections, or the others are about to find out.
                    self._set_away(True)
                if problem is not None and not failing:
                    self._report(problem)
                failing = problem is not None
                if session is not None and not self._closed:
                    self._idle.append(session)
                    session = None
                if problem is not None and not self._closed:
                    self._wanted.wait(self._pause)
            if session is not None:
                session.close()
