"""A closed-loop HTTP load generator that costs little itself: fixed requests over raw sockets, one epoll loop."""

import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple


class Load(NamedTuple):
    """What a run measured. `seconds` are per-request times, sorted."""

    requests: int
    elapsed: float
    errors: int
    seconds: list[float]

    def rate(self) -> float:
        """Return requests per second."""
        return self.requests / self.elapsed

    def percentile(self, share: float) -> float:
        """Return the time within which `share` of the requests were answered, in milliseconds."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))] * 1000


def run(port: int, connections: int, duration: float, path: Callable[[int], str], limit: int | None = None) -> Load:
    """Keep `connections` requests under way for `duration` seconds, or until `limit` are done."""
    poll = select.epoll()
    clients = {}
    sent = errors = 0
    seconds: list[float] = []
    start = time.perf_counter()
    end = start + duration

    def send(client: socket.socket) -> None:
        nonlocal sent
        request = f"GET {path(sent)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        sent += 1
        clients[client.fileno()] = (client, time.perf_counter(), b"")
        client.send(request)

    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(client, select.EPOLLIN)
        send(client)
    while (now := time.perf_counter()) < end and (limit is None or len(seconds) < limit):
        for number, _ in poll.poll(0.1):
            client, began, answer = clients[number]
            part = client.recv(65536)
            answer += part
            if part and not _complete(answer):
                clients[number] = (client, began, answer)
                continue
            errors += not answer.startswith(b"HTTP/1.1 200")
            seconds.append(time.perf_counter() - began)
            if not part:
                poll.unregister(number)
                client.close()
                client = socket.create_connection(("127.0.0.1", port))
                poll.register(client, select.EPOLLIN)
            send(client)
    elapsed = now - start
    for client, _, _ in clients.values():
        client.close()
    seconds.sort()
    return Load(len(seconds), elapsed, errors, seconds)


def _complete(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    lower = head.lower()
    at = lower.find(b"content-length:")
    return len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0])
