"""waitress, made fit for production: strict parsing, our error answers, bounded clients, a graceful stop."""

import time
from collections.abc import Callable
from functools import lru_cache

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import build_http_date

from app.config import Settings
from app.names import MAX_BODY
from app.observe import Observer, request_id
from app.probes import WITHOUT_DATABASE, Lifecycle
from app.problems import JSON, PROBLEM, TEXT, problem
from app.strict import StrictParser

# Seconds that a client may be silent, and that it may take to send one request.
IDLE = 60
REQUEST_TIME = 10
# Bytes of a refused body that are still read, so that the client gets to read the answer.
READ_BODY = 16 * 1024 * 1024
# Bytes of answers that clients have not taken yet, of all clients together.
UNTAKEN = 16 * 1024 * 1024
# Seconds between two looks at the clients and at the signal handler's word.
TICK = 0.25


# Every answer of one second has the same.
_date = lru_cache(maxsize=1)(build_http_date)


class _Answer:
    """What answers of the application and refusals have in common."""

    def build_response_header(self) -> bytes:
        """Tell clients to take a new connection once the server is stopping, and when the answer began."""
        self.response_headers.append(("Date", _date(int(self.start_time))))
        if self.channel.server.lifecycle.stopping:
            self.set_close_on_finish()
        return super().build_response_header()

    def write(self, data: bytes) -> None:
        """Send an answer that is whole in one piece; waitress would send its header block first, and then its body."""
        if self.complete and not self.wrote_header and self.has_body and len(data) == self.content_length:
            whole = self.build_response_header() + data
            self.wrote_header = True
            self.content_bytes_written = len(data)
            self.channel.write_soon(whole)
        else:
            super().write(data)


class Task(_Answer, WSGITask):
    """A request for the application."""

    def set_close_on_finish(self) -> None:
        """Close after the answer, but not for want of a Content-Length where no body follows.

        waitress takes every answer without that header for one that only the close ends; a 204 ends with its header
        block (RFC 9112 section 6.3).
        """
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or asked or self.channel.server.lifecycle.stopping:
            super().set_close_on_finish()


class Refusal(_Answer, ErrorTask):
    """A request that the application never sees. It is answered, logged and counted like any other."""

    def execute(self) -> None:
        """Answer the parser's error as a problem document or one text line."""
        error, headers = self.request.error, self.request.headers
        observer = self.channel.server.observer
        env = {"HTTP_X_REQUEST_ID": headers.get("X_REQUEST_ID", "")}
        identity = request_id(env)
        self.status = f"{error.code} {error.reason}"
        if JSON in headers.get("ACCEPT", "") or PROBLEM in headers.get("ACCEPT", ""):
            body, kind = problem(error.reason, self.status, error.body, identity), PROBLEM
        else:
            body, kind = str(error.body).encode("utf-8"), TEXT
        self.response_headers += [
            ("Content-Type", kind),
            ("X-Served-By", observer.pod),
            ("X-Request-Id", identity),
            ("Cache-Control", "no-store"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        method = getattr(self.request, "command", "other")
        observer.answered(method, "none", error.code, time.time() - self.start_time, identity)
        # Source: RFC 9110, 9.3.2: what answers HEAD has no content; the client would take it for the next answer.
        self.write(b"" if method == "HEAD" else body)


class Channel(HTTPChannel):
    """One client's connection."""

    task_class = Task
    error_task_class = Refusal
    parser_class = StrictParser

    request_started: float | None = None
    # The next request waits until the client has taken the answer before it.
    held = False

    def received(self, data: bytes) -> bool:
        """Note when a request begins, so that one which never ends can be given up."""
        result = super().received(data)
        if self.request is None:
            self.request_started = None
        elif self.request_started is None:
            self.request_started = time.time()
        return result

    def writable(self) -> bool:
        """Tell whether there is something to do for the loop once the client takes data."""
        return self.held or super().writable()

    def handle_write(self) -> None:
        """Send what waits to be sent, and when all of it has gone let a request that was held go on."""
        super().handle_write()
        if self.held and self.connected and not self.total_outbufs_len:
            self.held = False
            self.server.queue(self)

    def is_working(self) -> bool:
        """Tell whether a request is being read, served or answered."""
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def is_new(self, now: float) -> bool:
        """Tell whether the client has only just connected, and so is about to send its first request."""
        return self.last_activity == self.creation_time > now - 2 * TICK


class Server(TcpWSGIServer):
    """The listening socket and its clients."""

    channel_class = Channel
    request_time = REQUEST_TIME
    untaken = UNTAKEN

    def __init__(self, application: Callable, settings: Settings, observer: Observer, lifecycle: Lifecycle):
        self.observer = observer
        self.lifecycle = lifecycle
        self._woken = False
        self._grace = settings.grace_seconds
        self._drain = settings.drain_seconds
        self._probes = ThreadedTaskDispatcher()
        self._probes.set_thread_count(1)
        super().__init__(
            application,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            connection_limit=settings.connection_limit,
            channel_timeout=IDLE,
            # A client can send as many requests at once as this holds, and each takes fifty times its own size when parsed.
            recv_bytes=2048,
            cleanup_interval=1,
            max_request_body_size=READ_BODY,
            # Buffers beyond these sizes become temporary files, and the root file system is read-only.
            inbuf_overflow=2 * MAX_BODY,
            outbuf_overflow=64 * MAX_BODY,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            ident=None,
        )
        # The listening socket, and the pipe that wakes the loop.
        self._others = dict(self._map)

    def add_task(self, channel: Channel) -> None:
        """Queue a request, unless the client still has an answer to take.

        waitress would hold up to 16 MiB of answers for a client that sends requests and reads nothing, and then let the
        thread wait that has the next one: as many such clients as threads, and nobody else is served.
        """
        if channel.total_outbufs_len:
            channel.held = True
        else:
            self.queue(channel)

    def queue(self, channel: Channel) -> None:
        """Give a request to a thread; probes have one of their own, which the database cannot hold up."""
        request = channel.requests[0]
        if request.error is None and request.path in WITHOUT_DATABASE:
            self._probes.add_task(channel)
        else:
            self.task_dispatcher.add_task(channel)

    def handle_accept(self) -> None:
        """Accept who is waiting. waitress takes one a turn, and behind hundreds of others the probe would be late."""
        for _ in range(max(1, self.adj.connection_limit // 20)):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break

    def readable(self) -> bool:
        """Make room before waitress would stop accepting, which would shut out the probe too."""
        if len(self.active_channels) > self.adj.connection_limit * 9 // 10:
            self._shed()
        return super().readable()

    def pull_trigger(self) -> None:
        """Wake the loop, once a turn: many threads finish in one, and each byte in the pipe costs two system calls."""
        if not self._woken:
            self._woken = True
            super().pull_trigger()

    def maintenance(self, now: float) -> None:
        """Give up clients that are silent, that take too long to send a request, or that take no answer."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            slow = channel.request_started is not None and channel.request_started < now - self.request_time
            if slow or (channel.held and channel.last_activity < now - self.adj.channel_timeout):
                channel.will_close = True
        self._bound_answers()

    def _bound_answers(self) -> None:
        """Give up those who have not taken any of their answer for the longest time, before the memory is all theirs."""
        waiting = sorted(
            (each for each in self.active_channels.values() if each.total_outbufs_len),
            key=lambda channel: channel.last_activity,
        )
        excess = sum(channel.total_outbufs_len for channel in waiting) - self.untaken
        for channel in waiting:
            if excess <= 0:
                break
            excess -= channel.total_outbufs_len
            channel.will_close = True

    def _shed(self) -> None:
        # Those that wait for their client: to send a request, or to take an answer.
        waiting = [each for each in self.active_channels.values() if each.held or not each.requests]
        # Neither a byte now and then nor a request a minute makes a client more important than one with a request.
        waiting.sort(key=lambda channel: channel.request_started or channel.last_activity)
        for channel in waiting[: self.adj.connection_limit // 4]:
            channel.will_close = True

    def run(self) -> None:
        """Serve until the lifecycle says stop; then finish what is under way, at most `grace_seconds` long.

        For `drain_seconds` before that, new connections are still served while the readiness probe already fails:
        the cluster needs that long to send requests elsewhere.
        """
        while not self.lifecycle.stopping:
            self._turn()
        self._turn_until(lambda: False, self._drain)
        self._accept_pending()
        listening = self.socket.fileno()
        wasyncore.dispatcher.close(self)
        del self._others[listening]
        # Whatever has arrived on idle connections by now is a request to be answered.
        self._turn(0)
        self._turn_until(self._close_idle, self._grace)
        self.task_dispatcher.shutdown(timeout=1)
        self._probes.shutdown(timeout=1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _turn(self, timeout: float = TICK) -> None:
        # The loop is about to look at every client: what happens from here on must wake it again.
        self._woken = False
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._polled(), count=1)

    def _polled(self) -> dict:
        """Close who is given up, and return what the loop has to ask the kernel about: all but clients whose request a thread has.

        waitress asks each of these whether it is readable or writable once a turn, and it is neither.
        """
        polled, closing = self._others.copy(), []
        for number, each in self.active_channels.items():
            if each.will_close:
                closing.append(each)
            elif not each.requests or each.total_outbufs_len or each.held or each.close_when_flushed:
                polled[number] = each
        # waitress closes a socket when it takes data, and that of a client that reads nothing never does.
        for each in closing:
            each.handle_close()
        return polled

    def _turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            self._turn()

    def _accept_pending(self) -> None:
        # Clients whose connection the kernel has accepted already would be reset.
        before = -1
        while before < len(self.active_channels):
            before = len(self.active_channels)
            self.handle_accept()

    def _close_idle(self) -> bool:
        now = time.time()
        for channel in list(self.active_channels.values()):
            if not channel.is_working() and not channel.is_new(now):
                channel.handle_close()
        return not self.active_channels
