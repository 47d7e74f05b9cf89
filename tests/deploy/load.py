"""Load at a fixed rate, half of it on connections of its own: what a deployment must not be noticed by.

A client that gives up after `patience` seconds and asks again, `tries` times in all, is what the loss of a node may cost no request.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

# Seconds one answer may take before it counts as failed.
PATIENCE = 10


@dataclass
class Load:
    """Requests at `rate` a second for as long as the `with` block lasts; every second one opens a connection.

    `again` has what went wrong where the request was sent once more, `failures` what went wrong at the last try.
    """

    port: int
    path: str = "/var/load"
    host: str = "vars.localhost"
    rate: float = 50
    patience: float = PATIENCE
    tries: int = 1
    sent: int = 0
    again: list[str] = field(default_factory=list)
    slowest: float = 0
    failures: list[str] = field(default_factory=list)
    pods: set[str] = field(default_factory=set)

    def __enter__(self) -> Load:
        # In turn, so that no connection idles until the proxy closes it.
        self._kept: queue.Queue = queue.Queue()
        self._stop, self._pool = threading.Event(), ThreadPoolExecutor(64)
        self._thread = threading.Thread(target=self._schedule)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown()
        while not self._kept.empty():
            self._kept.get().close()

    @property
    def counts(self) -> str:
        """What was sent, and what came of it, in a few words."""
        again = f"{len(self.again)} asked again, " if self.tries > 1 else ""
        return f"{self.sent} requests, {again}{len(self.failures)} failed, slowest {self.slowest:.2f} s, {len(self.pods)} pods"

    def _schedule(self) -> None:
        start = time.monotonic()
        while not self._stop.is_set():
            self._pool.submit(self._one, self.sent % 2 == 0)
            self.sent += 1
            # By the clock, so that a slow moment is made up for, as users would not wait for each other either.
            self._stop.wait(max(0.0, start + self.sent / self.rate - time.monotonic()))

    def _one(self, fresh: bool) -> None:
        start = time.monotonic()
        for left in reversed(range(self.tries)):
            began = time.strftime("%H:%M:%S")
            wrong = self._ask(fresh)
            if not wrong:
                self.slowest = max(self.slowest, time.monotonic() - start)
                return
            (self.again if left else self.failures).append(f"{began} {wrong}")
            fresh = True

    def _ask(self, fresh: bool) -> str:
        """Send one request; return what went wrong with it, nothing where it was answered as it should be."""
        connection = None if fresh else self._take()
        connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        try:
            connection.request("GET", self.path, headers={"Host": self.host, **({"Connection": "close"} if fresh else {})})
            answer = connection.getresponse()
            answer.read()
            self.pods.add(answer.headers.get("X-Served-By", ""))
            if not fresh:
                self._kept.put(connection)
            else:
                connection.close()
            return "" if answer.status == 200 else str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"{'fresh' if fresh else 'kept'}: {error!r}"

    def _take(self) -> http.client.HTTPConnection | None:
        try:
            return self._kept.get_nowait()
        except queue.Empty:
            return None
