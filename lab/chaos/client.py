"""Single requests through the lab's proxy, and the look afterwards at every variable that was written."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import aiohttp

from lab.chaos import ChaosError
from lab.chaos.log import Log

HOST = "vars.localhost"
# Seconds that an answer may take.
PATIENCE = 5
# Who only looks afterwards asks for so many variables at once, and for each so often, after so many seconds.
AT_ONCE, TRIES, PAUSE = 8, 10, 1.0


def reason(error: Exception) -> str:
    """Return in a word or two why there was no answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "certificate refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "not connected"
    return "cut off"


class Client:
    """Sends single requests to the lab's proxy, over either of its ports."""

    def __init__(self, http: int, https: int, ca: Path) -> None:
        """Take the ports on 127.0.0.1 and the lab's own authority."""
        self._ports, self._ca = {False: http, True: https}, ca

    async def __aenter__(self) -> Client:
        """Open nothing yet: each request has a connection of its own."""
        # By address: the name leads there, but not every resolver knows.
        self._session = aiohttp.ClientSession(
            headers={"Host": HOST, "Connection": "close"}, connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )  # fmt: skip
        self._context = ssl.create_default_context(cafile=str(self._ca))
        return self

    async def __aexit__(self, *exception: object) -> None:
        """End what is under way."""
        await self._session.close()

    async def send(self, method: str, name: str, value: str | None = None, tls: bool = False) -> tuple[int, str]:
        """Return status and body of one request for a variable. Raises aiohttp.ClientError and OSError, of which a TimeoutError is one."""
        url = f"{'https' if tls else 'http'}://127.0.0.1:{self._ports[tls]}/var/{name}"
        more = {"ssl": self._context, "server_hostname": HOST} if tls else {}
        if value is not None:
            more |= {"data": value.encode(), "headers": {"Content-Type": "text/plain"}}
        async with self._session.request(method, url, **more) as answer:
            return answer.status, await answer.text(errors="replace")


async def _patiently(client: Client, method: str, name: str) -> tuple[int, str]:
    for left in reversed(range(TRIES)):
        with contextlib.suppress(aiohttp.ClientError, OSError):
            status, body = await client.send(method, name)
            if status < 500:
                return status, body
        await asyncio.sleep(PAUSE if left else 0)
    raise ChaosError(f"{method} /var/{name} was not answered in {TRIES} tries")


async def settle(client: Client, log: Log) -> list[str]:
    """Read every name that was written, and delete it; return which acknowledged writes are lost. Raises ChaosError."""
    lost, left = [], iter(list(log.entries))

    async def work() -> None:
        for name in left:
            status, body = await _patiently(client, "GET", name)
            if wrong := log.judge(name, log.least(name), None if status == 404 else body):
                lost.append(wrong)
            await _patiently(client, "DELETE", name)

    async with client:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return lost
