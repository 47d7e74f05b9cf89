"""One JSON object a line on standard output."""

import contextlib
import logging
import os
import time
import traceback
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote


def write_line(line: bytes, descriptor: int = 1) -> None:
    """Write one line to standard output. Whoever reads it may be gone, which is no reason to fail a request."""
    with contextlib.suppress(OSError):
        os.write(descriptor, line)


class JsonLog:
    """Writes log lines; `secrets` never appear in them.

    Each line goes out in one `write`, which the kernel keeps whole, so that threads need no lock.
    """

    def __init__(
        self,
        pod: str,
        secrets: tuple[str, ...] = (),
        write: Callable[[bytes], object] = write_line,
        clock: Callable[[], float] = time.time,
    ):
        self._pod = quote(pod)
        self._secrets = tuple(secret for secret in secrets if secret)
        self._write = write
        self._clock = clock
        self._second = (-1, "")

    def request(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """Write the line of one answered request.

        It names the route, not the path: a path carries the names and values that users keep here.
        """
        # A template is several times cheaper than a general encoder, and this is done for every request. All but the
        # method are the service's own text; the request id has been checked by whoever made it.
        self._write(
            f'{{"time":"{self._now()}","level":"info","pod":{self._pod},"method":{quote(method)},"route":"{route}",'
            f'"status":{status},"duration_ms":{seconds * 1000:.3f},"request_id":"{request_id}"}}\n'.encode("ascii")
        )

    def event(self, level: str, message: str, **fields: str) -> None:
        """Write any other line. Secrets are masked in the message and in every field."""
        text = "".join(f',"{key}":{quote(self._mask(value))}' for key, value in fields.items())
        self._write(
            f'{{"time":"{self._now()}","level":"{level}","pod":{self._pod},"message":{quote(self._mask(message))}{text}}}\n'.encode(
                "ascii"
            )
        )

    def failure(self, message: str, error: BaseException, request_id: str = "") -> None:
        """Write an exception with its stack, which answers never show."""
        stack = "".join(traceback.format_exception(error))
        self.event("error", message, error=str(error), stack=stack, request_id=request_id)

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _now(self) -> str:
        now = self._clock()
        second, text = self._second
        if int(now) != second:
            second, text = self._second = int(now), time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        return f"{text}.{int((now - second) * 1000):03d}Z"


class LibraryHandler(logging.Handler):
    """Sends what libraries log through the same JSON lines."""

    def __init__(self, log: JsonLog):
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; an exception in it is written with its stack."""
        if record.exc_info and record.exc_info[1]:
            self._log.failure(record.getMessage(), record.exc_info[1])
        else:
            self._log.event(record.levelname.lower(), record.getMessage(), logger=record.name)
