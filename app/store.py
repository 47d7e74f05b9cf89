"""Variables in PostgreSQL: the queries of the service, with their deadline and their retries."""

import time
from collections.abc import Callable
from typing import NamedTuple

from app import sql
from app.connection import ConnectionLost, DeadlineExceeded, StatementFailed
from app.pool import Pool, Unavailable
from app.sql import Query


class DatabaseAway(Exception):
    """The database did not answer in time. `kind` is for the metrics, `unknown` tells that a write may have happened."""

    def __init__(self, kind: str, unknown: bool = False):
        super().__init__(f"the database is not available ({kind})")
        self.kind = kind
        self.unknown = unknown


class Migration(NamedTuple):
    """An applied migration, as the database has it."""

    version: str
    checksum: str
    breaking: bool


# SQLSTATE classes and codes that say "not now" rather than "wrong": connection, resources, operator intervention,
# system error, serialization and deadlock, lock and statement timeouts, read-only standby, object not there yet.
_PASSING = ("08", "53", "57", "58", "40", "55P03", "25006", "42P01", "42703", "3F000")
# The plan of a prepared statement no longer fits a migrated table, or the statement is gone.
_STALE_PLAN = ("0A000", "26000")


class Store:
    """Reads and writes variables within `deadline` seconds each."""

    def __init__(
        self,
        pool: Pool,
        deadline: float,
        count_error: Callable[[str], None] = lambda kind: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._pool = pool
        self._deadline = deadline
        self._count_error = count_error
        self._clock = clock

    def get(self, name: str) -> str | None:
        """Return the value of a variable, or None. Raises DatabaseAway."""
        rows = self._read(sql.READ, (name,))
        return rows[0][0] if rows else None

    def set(self, name: str, value: str) -> bool:
        """Set a variable and tell whether it is new. Raises DatabaseAway."""
        return self._write(sql.WRITE, (name, value))[0][0]

    def delete(self, name: str) -> bool:
        """Delete a variable and tell whether there was one. Raises DatabaseAway."""
        return bool(self._write(sql.DELETE, (name,)))

    def page(self, after: str, limit: int) -> tuple[list[tuple[str, str]], str | None]:
        """Return up to `limit` variables whose names follow `after`, and where to go on, or None at the end.

        Names are in bytewise order. A page is cut short when its values exceed sql.PAGE_BYTES. Raises DatabaseAway.
        """
        rows = self._read(sql.LIST, (after, limit + 1))
        items = [(name, value) for name, value in rows[:limit]]
        full = len(rows) > limit or sum(len(value.encode()) for _, value in items) >= sql.PAGE_BYTES
        return items, items[-1][0] if full else None

    def migrations(self) -> list[Migration]:
        """Return the applied migrations in order. Raises DatabaseAway."""
        return [Migration(*row) for row in self._read(sql.SCHEMA, ())]

    def _read(self, query: Query, parameters: tuple) -> list[list]:
        deadline = self._clock() + self._deadline
        try:
            return self._run(query, parameters, deadline, fresh=False)
        except DeadlineExceeded as error:
            raise self._away("timeout") from error
        except (ConnectionLost, _StalePlan):
            pass
        try:
            return self._run(query, parameters, deadline, fresh=True)
        except (ConnectionLost, _StalePlan) as error:
            raise self._away("connection") from error

    def _write(self, query: Query, parameters: tuple) -> list[list]:
        try:
            return self._run(query, parameters, self._clock() + self._deadline, fresh=True)
        except (ConnectionLost, _StalePlan) as error:
            kind = "timeout" if isinstance(error, DeadlineExceeded) else "connection"
            raise self._away(kind, unknown=isinstance(error, ConnectionLost)) from error

    def _run(self, query: Query, parameters: tuple, deadline: float, fresh: bool) -> list[list]:
        try:
            session = self._pool.take(deadline, fresh)
        except Unavailable as error:
            raise self._away(error.reason) from error
        try:
            rows = session.run(query, parameters, deadline)
        except StatementFailed as error:
            if error.code in _STALE_PLAN:
                self._pool.discard(session)
                raise _StalePlan from error
            self._pool.give_back(session)
            if error.code.startswith(_PASSING):
                raise self._away(f"sqlstate_{error.code}") from error
            self._count_error(f"sqlstate_{error.code}")
            raise
        except BaseException as error:
            self._pool.discard(session, away=isinstance(error, DeadlineExceeded))
            raise
        self._pool.give_back(session)
        return rows

    def _away(self, kind: str, unknown: bool = False) -> DatabaseAway:
        self._count_error(kind)
        return DatabaseAway(kind, unknown)


class _StalePlan(Exception):
    pass
