"""Who answers how much: against a small server of its own that answers as two replicas behind a proxy would."""

import asyncio
import itertools
import urllib.parse
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from lab import balance
from lab.balance import Reply
from lab.gitops.state import Lab

PODS = ["web-a", "web-b"]


class Service:
    """Variables behind a proxy that takes pods in turn; it counts connections and the most requests under way."""

    def __init__(self, pods=PODS):
        self.variables, self.connections, self.most, self._under_way = {}, set(), 0, 0
        self._turn = itertools.cycle(pods)

    def answer(self, request):
        """Answer as a replica does."""
        name = request.path.removeprefix("/var/")
        headers = {"X-Served-By": next(self._turn), "X-Request-Id": request.headers.get("X-Request-Id", "")}
        return web.Response(text=f"{name} = {self.variables[name]}", headers=headers)

    async def handle(self, request):
        """Take a request of any method."""
        name = request.path.removeprefix("/var/")
        if request.method == "PUT":
            self.variables[name] = await request.text()
            return web.Response(status=201)
        if request.method == "DELETE":
            del self.variables[name]
            return web.Response(status=204)
        # A port of this machine is another connection's soon; the transport is not.
        self.connections.add(request.transport)
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1
        return self.answer(request)


class Cluster:
    """Two ready replicas that share what is set through either."""

    namespace = "vars"

    def __init__(self, pods=PODS, apart=()):
        self._pods, self._apart, self._value = pods, apart, None

    def everything(self, kinds, *words):
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [{"metadata": {"name": pod}, "status": ready} for pod in self._pods]

    def text(self, *words):
        pod, _, path = words[2].partition("/pods/")[2].partition(":8080/proxy")
        name, _, value = urllib.parse.unquote(path.removeprefix("/var/")).partition("/")
        self._value = value or self._value
        return f"{name} = {'old' if pod in self._apart else self._value}"


def run(service, cluster=None, rounds=((20, 20), (1000, 10))):
    """Return what was said, and what was not as it should be."""

    async def both():
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", service.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        try:
            return await balance.balance(Lab("x", Path(), port, 0, ""), cluster or Cluster(), rounds, said.append)
        finally:
            await runner.cleanup()

    said = []
    found = asyncio.run(both())
    return "\n".join(said), found


@pytest.fixture(scope="module")
def even():
    """Return a service that was asked and is well, what was said and what was found."""
    service = Service()
    return service, *run(service)


def test_even_split_is_said_with_a_bar_for_each_pod(even):
    _, said, found = even
    assert found == []
    assert "web-a       500   50.00%  #########################\n" in said
    assert "web-b       500   50.00%  #########################\n" in said


def test_every_request_has_a_connection_of_its_own(even):
    # Two before it: one for each replica to be known.
    assert len(even[0].connections) == 1022


def test_no_more_requests_are_under_way_than_asked_for(even):
    assert 10 < even[0].most <= 20


def test_nothing_is_left_of_the_variables(even):
    assert even[0].variables == {}


def test_value_that_was_set_through_one_replica_is_read_through_each(even):
    assert "set through web-a, the same value was read through each of 2 replicas" in even[1]


def test_replica_that_has_another_value_is_named():
    said, found = run(Service(), Cluster(apart=["web-b"]), rounds=[(20, 20)])
    assert len(found) == 1
    assert found[0].startswith("set through web-a, web-b has 'balance-")
    assert "the same value" not in said


def test_replica_that_gets_more_than_its_share_is_named():
    _, found = run(Service(pods=["web-a", "web-a", "web-b"]), rounds=[(1200, 10)])
    assert [line.partition(" %")[0] for line in found] == ["web-a has 66.67", "web-b has 33.33"]


def test_replica_that_gets_nothing_is_named(monkeypatch):
    monkeypatch.setattr(balance, "KNOWN", 0.1)
    said, found = run(Service(pods=["web-a"]), rounds=[(1000, 10)])
    assert found[-1].startswith("web-b has 0.00 % of the requests")
    assert Counter(line.split()[0] for line in said.splitlines() if "web-" in line)["web-b"] == 1


def test_replica_that_is_known_late_is_waited_for():
    said, found = run(Service(pods=["web-a"] * 30 + ["web-b", "web-a"] * 20), rounds=[(20, 20)])
    assert found == []
    assert "web-b        10" in said


def test_twenty_requests_prove_no_share():
    assert run(Service(pods=["web-a", "web-a", "web-b"]), rounds=[(20, 20)])[1] == []


def test_pod_that_is_no_replica_is_named():
    _, found = run(Service(pods=[*PODS, "web-old"]), rounds=[(30, 3)])
    assert found == ["web-old answered 10 requests and is no replica"]


class Mixed(Service):
    """Answers with the value of another variable each hundredth time."""

    def answer(self, request):
        right = super().answer(request)
        self.count = getattr(self, "count", 0) + 1
        if self.count % 100 == 0:
            right.text = "balance-other = 1"
        return right


def test_wrong_bodies_are_counted_and_shown():
    _, found = run(Mixed(), rounds=[(800, 8)])
    assert found[-1] == "8 of 800 replies were wrong"
    assert found[0].startswith("wrong reply: 200 'balance-other = 1' instead of 200 'balance-")
    assert len(found) == balance.SHOWN + 1


class Broken(Service):
    """Closes the connection instead of answering."""

    def answer(self, request):
        request.transport.close()
        return super().answer(request)


def test_request_without_a_reply_is_a_wrong_one():
    _, found = run(Broken(), rounds=[(20, 20)])
    assert found[-1] == "20 of 20 replies were wrong"
    assert found[0].startswith("wrong reply: no reply: ")


def test_without_a_ready_replica_nothing_is_sent():
    service = Service()
    assert run(service, Cluster(pods=[]))[1] == ["no replica is ready: make status says why"]
    assert not service.connections


@pytest.mark.parametrize(
    ("status", "body", "headers", "wrong"),
    [
        (200, "a = 1", {"X-Served-By": "web-a", "X-Request-Id": "7"}, ""),
        (503, "a = 1", {"X-Served-By": "web-a", "X-Request-Id": "7"}, "503 'a = 1' instead of 200 'a = 1'"),
        (200, "a = 2", {"X-Served-By": "web-a", "X-Request-Id": "7"}, "200 'a = 2' instead of 200 'a = 1'"),
        (200, "a = 1", {"X-Served-By": "web-a", "X-Request-Id": "8"}, "it carries the id '8' instead of '7'"),
        (200, "a = 1", {"X-Request-Id": "7"}, "it does not say which pod it is from"),
    ],
)
def test_reply_is_judged(status, body, headers, wrong):
    assert balance.judge(status, body, headers, "a = 1", "7") == Reply(headers.get("X-Served-By", ""), wrong)


def test_lab_that_is_not_up_is_one_line(capsys):
    assert balance.main(["--name=never"]) == 1
    assert capsys.readouterr().err == "balance: no lab called never is up: make up NAME=never\n"
