"""The client of the faults: against a small server of its own that keeps variables, forgets them, or does not answer."""

import asyncio
import threading
import time

import pytest
from aiohttp import web

from lab.chaos import ChaosError, client, load
from lab.chaos.client import Client
from lab.chaos.load import Answer, Load
from lab.chaos.log import Log


class Server:
    """Variables over HTTP, in a thread of its own; `answer` stands between a request and its answer."""

    def __init__(self, answer=None):
        self.variables, self._answer, self._ready = {}, answer, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    async def _serve(self):
        application = web.Application()
        application.router.add_route("*", "/var/{name}", self._handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._end.wait()
        await runner.cleanup()

    async def _handle(self, request):
        name = request.match_info["name"]
        if self._answer and (other := await self._answer(request, self)):
            return other
        if request.method == "PUT":
            self.variables[name] = await request.text()
            return web.Response(status=201, text=f"{name} = {self.variables[name]}")
        if request.method == "DELETE":
            self.variables.pop(name, None)
            return web.Response(status=204)
        if name not in self.variables:
            return web.Response(status=404, text="Variable name not found")
        return web.Response(text=f"{name} = {self.variables[name]}")

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(5)


@pytest.fixture
def serve(monkeypatch):
    """Return a function that starts a server; requests go to it over either port, without TLS."""
    servers = []
    over = Client.send
    monkeypatch.setattr(Client, "send", lambda self, method, name, value=None, tls=False: over(self, method, name, value))
    monkeypatch.setattr("ssl.create_default_context", lambda cafile: None)
    monkeypatch.setattr(client, "PAUSE", 0)

    def start(answer=None):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def send(server, wanted=150):
    """Put load on a server until so many requests were sent; return it, and its log."""
    log = Log("run")
    end = time.monotonic() + 20
    with Load(Client(server.port, server.port, "ca"), log, rate=200) as under:
        while len(under.answers) < wanted:
            assert time.monotonic() < end
            time.sleep(0.01)
    return under, log


def settle(server, log):
    return asyncio.run(client.settle(Client(server.port, server.port, "ca"), log))


def test_every_second_request_is_a_write_and_every_one_is_noted(serve):
    under, log = send(serve())
    assert {answer.what for answer in under.answers} <= {"200", "201"}
    # Until something is there that could be read, every one is.
    assert abs(len(under.answers) / 2 - log.acknowledged) <= len(under.answers) / 5
    assert under.wrong == []


def test_nothing_is_lost_and_nothing_is_left(serve):
    server = serve()
    _, log = send(server)
    assert len(log.entries) > 2
    assert settle(server, log) == []
    assert server.variables == {}


def test_write_that_was_acknowledged_and_is_gone_is_lost(serve):
    server = serve()
    _, log = send(server)
    name = next(iter(server.variables))
    del server.variables[name]
    (lost,) = settle(server, log)
    assert lost.startswith(f"{name}: ")
    assert lost.endswith("nothing was read")


async def half(request, server):
    """Answer 503 to some writes, and do what one of two of these asked for."""
    value = await request.text()
    if request.method == "PUT" and int(value) == 2:
        if hash(request.match_info["name"]) % 2:
            server.variables[request.match_info["name"]] = value
        return web.Response(status=503)
    return None


def test_write_whose_outcome_is_not_known_is_not_lost(serve):
    server = serve(half)
    under, log = send(server)
    assert load.seen(under.answers, 0)["503"] > 1
    assert under.wrong == []
    assert settle(server, log) == []


async def stale(request, server):
    """Read what was there first, for ever."""
    name = request.match_info["name"]
    return web.Response(text=f"{name} = 1") if request.method == "GET" and name in server.variables else None


def test_read_of_what_was_replaced_is_wrong_while_it_happens(serve):
    under, _ = send(serve(stale))
    assert any("was acknowledged or read, and then 1 was read" in text for text in under.wrong)


async def silent(request, server):
    """Close the connection instead of answering."""
    request.transport.close()
    return web.Response()


def test_request_without_an_answer_says_why(serve):
    under, log = send(serve(silent), 20)
    assert set(load.seen(under.answers, 0)) == {"cut off"}
    assert log.acknowledged == 0


def test_nobody_who_listens_is_said(serve):
    server = serve()
    server.close()
    under, log = send(server, 20)
    assert set(load.seen(under.answers, 0)) == {"not connected"}
    with pytest.raises(ChaosError, match="was not answered in 10 tries"):
        settle(server, log)


def test_load_that_fails_itself_is_said(serve, monkeypatch):
    server = serve()

    async def fails(self, method, *arguments, tls=False):
        if method == "GET":
            raise KeyError("name")
        return 201, f"{arguments[0]} = {arguments[1]}"

    monkeypatch.setattr(Client, "send", fails)
    under, _ = send(server, 20)
    assert "the load itself failed: KeyError('name')" in under.wrong


@pytest.mark.parametrize(("text", "lost"), [("404 page not found", False), ("Variable name not found\n", True)])
def test_only_the_service_can_say_that_a_variable_is_not_there(serve, text, lost):
    async def absent(request, server):
        return web.Response(status=404, text=text) if request.method == "GET" else None

    under, _ = send(serve(absent))
    assert not any(answer.good for answer in under.answers if answer.what == "404")
    assert any("and then nothing was read" in line for line in under.wrong) is lost


def answers(text, start=100.0):
    """Return an answer a second, in this order: `+` is a good one."""
    return [Answer(start + at, start + at + 0.5, "200" if sign == "+" else "503", sign == "+") for at, sign in enumerate(text)]


@pytest.mark.parametrize(("text", "found"), [("+-+++", 102.5), ("+-++", None), ("+++-", None), ("", None), ("+++", 100.5)])
def test_it_is_steady_from_the_first_of_the_last_good_answers_on(text, found):
    assert load.steady(answers(text), 3) == found


def test_late_failure_of_an_early_request_does_not_end_a_run_of_good_answers():
    late = Answer(100.0, 120.0, "no answer in time", False)
    assert load.steady([*answers("+++", 101.0), late], 3) == 101.5


@pytest.mark.parametrize(("text", "gap"), [("++++", 1.0), ("+--+", 3.0), ("----", 4.0), ("---+", 3.5)])
def test_longest_gap_is_between_good_answers_and_both_ends(text, gap):
    assert load.longest_gap(answers(text), 100.0, 104.0) == gap


def test_only_what_ended_after_the_fault_is_counted():
    assert load.seen(answers("+-+-"), 101.5) == {"503": 2, "200": 1}
