"""The load under which things are broken: reads and writes at a fixed rate, half of them over TLS, and what came of each."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from lab.chaos.client import Client, reason
from lab.chaos.log import Log

# Requests a second, each over a connection of its own.
RATE = 20


@dataclass(frozen=True)
class Answer:
    """What came of one request, and when (`time.monotonic()`): `what` is a status, or why there was none."""

    begun: float
    ended: float
    what: str
    good: bool


class Load:
    """Requests for as long as the `with` block lasts, every second one a write; all of it is noted."""

    def __init__(self, client: Client, log: Log, rate: float = RATE) -> None:
        """Take who sends, and the log that the writes go to."""
        self._client, self._log, self._rate = client, log, rate
        self.answers: list[Answer] = []
        self.wrong: list[str] = []
        self._stop, self._choice = threading.Event(), random.Random(0)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> Load:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End once what is under way was answered, or was not."""
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        start, sent, under_way = time.monotonic(), 0, set()
        async with self._client:
            while not self._stop.is_set():
                act = self._write if sent % 2 == 0 or not self._log.there else self._read
                task = asyncio.create_task(act(tls=sent % 4 > 1))
                under_way.add(task)
                task.add_done_callback(self._done)
                task.add_done_callback(under_way.discard)
                sent += 1
                # By the clock, so that a slow moment is made up for: users would not wait for each other either.
                await asyncio.sleep(max(0.0, start + sent / self._rate - time.monotonic()))
            await asyncio.gather(*under_way, return_exceptions=True)

    def _done(self, task: asyncio.Task) -> None:
        if error := task.exception():
            self.wrong.append(f"the load itself failed: {error!r}")

    async def _write(self, tls: bool) -> None:
        name, value = self._log.begin()
        begun = time.monotonic()
        try:
            status, body = await self._client.send("PUT", name, str(value), tls)
            good = status in (200, 201)
            if good and body != f"{name} = {value}":
                self.wrong.append(f"a write of {value} to {name} was answered by '{body[:60]}'")
            self._note(begun, str(status), good)
        except (aiohttp.ClientError, OSError) as error:
            good = False
            self._note(begun, reason(error), good)
        self._log.end(name, value, good)

    async def _read(self, tls: bool) -> None:
        name = self._choice.choice(self._log.there)
        least, begun = self._log.least(name), time.monotonic()
        try:
            status, body = await self._client.send("GET", name, tls=tls)
        except (aiohttp.ClientError, OSError) as error:
            self._note(begun, reason(error), False)
            return
        # The service itself says so, and not a proxy that has lost its rule.
        absent = status == 404 and "Variable name not found" in body
        if (status == 200 or absent) and (wrong := self._log.judge(name, least, None if absent else body)):
            self.wrong.append(wrong)
        self._note(begun, str(status), status == 200)

    def _note(self, begun: float, what: str, good: bool) -> None:
        self.answers.append(Answer(begun, time.monotonic(), what, good))


def steady(answers: Sequence[Answer], wanted: int) -> float | None:
    """Return when the first of the last answers came that are all good, or None where these are fewer than `wanted`.

    In the order in which the requests were sent: one that is answered late is no sign of what is so by then.
    """
    last = None
    count = 0
    for answer in sorted(answers, key=lambda answer: answer.begun, reverse=True):
        if not answer.good:
            break
        last, count = answer, count + 1
    return last.ended if last and count >= wanted else None


def longest_gap(answers: Sequence[Answer], since: float, until: float) -> float:
    """Return the longest time without a good answer, in seconds, between two moments."""
    moments = [since, *sorted(answer.ended for answer in answers if answer.good and since < answer.ended < until), until]
    return max(after - before for before, after in zip(moments, moments[1:], strict=False))


def seen(answers: Sequence[Answer], since: float) -> dict[str, int]:
    """Return what a client saw of requests that ended after `since`: how often each status, or why there was none."""
    return dict(Counter(answer.what for answer in answers if answer.ended >= since).most_common())
