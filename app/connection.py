"""One connection to PostgreSQL: pg8000 over a socket that keeps a deadline, with prepared statements."""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import Connection as NativeConnection
from pg8000.native import PreparedStatement

from app.config import Database
from app.sql import Query

# C's struct timeval: seconds and microseconds.
_TIMEVAL = struct.Struct("@ll")
# Seconds after which a read or write looks at its deadline; few take longer, and those two system calls more.
SLICE = 0.02
# What pg8000 raises where the server, the network or the protocol failed. Anything else is a bug and passes through.
_FAILURES = (DatabaseError, InterfaceError, OSError, struct.error)


class ConnectionLost(Exception):
    """The connection can no longer be used, and what its last statement did is not known."""


class DeadlineExceeded(ConnectionLost):
    """The deadline passed before PostgreSQL had answered."""


class StatementFailed(Exception):
    """PostgreSQL refused a statement; the connection is as good as before. `code` is the SQLSTATE."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{message} ({code})")
        self.code = code


class DeadlineSocket(socket.socket):
    """A TCP socket whose every read and write ends at one point in time, at most `SLICE` seconds late.

    A socket's own timeout starts anew with each byte, so that a peer which sends one byte a second could hold a
    thread for ever. The kernel keeps the time (socket(7), SO_RCVTIMEO): Python's own timeout costs two more system calls
    for each read and write, and each of them may hand the interpreter to another thread.
    """

    deadline = 0.0

    def waits(self) -> None:
        """Begin to work as described: the socket is connected now."""
        self.settimeout(None)
        self._allow(SLICE)

    def remaining(self) -> float:
        """Return the seconds left. Raises TimeoutError where there are none."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("deadline exceeded")
        return remaining

    def _allow(self, seconds: float) -> None:
        # Zero would mean no timeout at all.
        timeval = _TIMEVAL.pack(*divmod(max(1, int(seconds * 1_000_000)), 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

    def _until_deadline(self, call: Callable[..., int], *args: Any) -> int:
        """Make a system call, first with the time that most take, then with all that is left."""
        remaining = self.remaining()
        try:
            return call(*args)
        except BlockingIOError:
            self._allow(remaining - SLICE)
        try:
            return call(*args)
        except BlockingIOError as error:
            raise TimeoutError("deadline exceeded") from error
        finally:
            self._allow(SLICE)

    def recv_into(self, *args: Any) -> int:
        """Read as `socket.recv_into`; raises TimeoutError at the deadline."""
        return self._until_deadline(super().recv_into, *args)

    def send(self, *args: Any) -> int:
        """Write as `socket.send`; raises TimeoutError at the deadline."""
        return self._until_deadline(super().send, *args)


class Connection:
    """A session of PostgreSQL for one thread at a time."""

    def __init__(self, database: Database, timeout: float, options: dict[str, str], application: str):
        """Log in within `timeout` seconds, with `options` as the session's settings.

        Raises ConnectionLost, or DeadlineExceeded where time ran out; the message holds no password.
        """
        self._prepared: dict[str, PreparedStatement] = {}
        deadline = time.monotonic() + timeout
        self._socket = _connect(database, deadline)
        try:
            self._native = NativeConnection(
                database.user,
                password=database.password,
                database=database.name,
                sock=self._socket,
                ssl_context=False,
                application_name=application,
                startup_params={"client_encoding": "UTF8", **options},
            )
        except _FAILURES as error:
            self._socket.close()
            lost = _translate(error)
            raise (ConnectionLost(str(lost)) if isinstance(lost, StatementFailed) else lost) from error

    def run(self, query: Query, parameters: tuple, deadline: float) -> list[list]:
        """Run a named query as a prepared statement and return its rows.

        `deadline` is a point of `time.monotonic()`. After StatementFailed the connection is usable, after any other
        exception it must be closed.
        """
        self._socket.deadline = deadline
        try:
            prepared = self._prepared.get(query.sql) or self._prepare(query)
            return prepared.run(**{str(i): value for i, value in enumerate(parameters)})
        except _FAILURES as error:
            raise _translate(error) from error

    def describe(self, query: Query, deadline: float) -> list[dict]:
        """Prepare a query and return its columns as pg8000 has them: name, type_oid, table_oid, column_attrnum."""
        self._socket.deadline = deadline
        try:
            return self._prepare(query).cols or []
        except _FAILURES as error:
            raise _translate(error) from error

    def script(self, sql: str, deadline: float) -> None:
        """Run one or more statements without parameters, as they stand in a migration file. Errors as for `run`."""
        self._socket.deadline = deadline
        try:
            self._native.execute_simple(sql)
        except _FAILURES as error:
            raise _translate(error) from error

    def _prepare(self, query: Query) -> PreparedStatement:
        prepared = self._prepared[query.sql] = self._native.prepare(query.sql)
        return prepared

    def is_stale(self) -> bool:
        """Tell whether PostgreSQL closed this idle connection, or sent something that nobody asked for."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Take leave of PostgreSQL if it can be done at once, and release the socket in any case."""
        self._socket.deadline = time.monotonic() + 0.1
        # The peer may be gone, and there is nobody to tell.
        with contextlib.suppress(Exception):
            self._native.close()
        self._socket.close()


def _connect(database: Database, deadline: float) -> DeadlineSocket:
    error: OSError = OSError("no address")
    try:
        addresses = socket.getaddrinfo(database.host, database.port, type=socket.SOCK_STREAM)
    except OSError as failed:
        raise ConnectionLost(f"the name of the database host cannot be resolved: {failed}") from failed
    for family, kind, protocol, _, address in addresses:
        sock = DeadlineSocket(family, kind, protocol)
        sock.deadline = deadline
        try:
            sock.settimeout(sock.remaining())
            sock.connect(address)
            sock.waits()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return sock
        except OSError as failed:
            sock.close()
            error = failed
    raise _translate(error) from error


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, DatabaseError):
        fields = error.args[0]
        if fields.get("V", "ERROR") == "ERROR" and not fields.get("C", "").startswith(("08", "57P")):
            return StatementFailed(fields.get("C", ""), fields.get("M", ""))
        return ConnectionLost(f"{fields.get('M')} ({fields.get('C')})")
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, TimeoutError):
            return DeadlineExceeded("the database did not answer in time")
        seen = seen.__cause__ or seen.__context__
    return ConnectionLost(str(error) or type(error).__name__)
