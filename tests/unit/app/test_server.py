"""The server: bounded clients, probes that are never starved, a graceful stop."""

import socket
import threading
import time

import pytest

from app.config import Database, Settings
from app.probes import WITHOUT_DATABASE
from app.server import Server

GET = b"GET /var/a HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """An application whose requests wait until they are let through; probes pass."""

    def __init__(self):
        self.opened = threading.Event()
        self.waiting = 0

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] != "/healthz":
            self.waiting += 1
            self.opened.wait(10)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


def receive_one(client):
    data = b""
    while not data.endswith((b"ok", b"Variable name not found")):
        part = client.recv(65536)
        assert part, data
        data += part
    return data


def eventually(check, seconds=3.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_connections_are_kept(running):
    server = running()
    with server.connect() as client:
        for _ in range(3):
            client.sendall(GET)
            assert b"HTTP/1.1 404" in receive_one(client)


DELETE = b"DELETE /var/a HTTP/1.1\r\nHost: a\r\n%s\r\n"


def test_an_answer_without_a_body_keeps_the_connection(running):
    server = running()
    server.harness.store.variables["a"] = "1"
    with server.connect() as client:
        client.sendall(DELETE % b"" + GET)
        answers = receive_one(client)
    first, _, second = answers.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 204 No Content") and second.startswith(b"HTTP/1.1 404 Not Found")
    # What would delimit a body that is not there (RFC 9110 section 8.6, RFC 9112 section 6.1), and what would end the connection.
    assert not any(name in first.lower() for name in (b"content-length", b"transfer-encoding", b"connection"))


@pytest.mark.parametrize("request_", [DELETE % b"Connection: close\r\n", DELETE.replace(b"1.1", b"1.0") % b""])
def test_an_answer_without_a_body_closes_for_who_asks_for_it(running, request_):
    server = running()
    server.harness.store.variables["a"] = "1"
    with server.connect() as client:
        # Nothing after it: what a closing server leaves unread makes the kernel reset the connection, and the answer may be lost.
        client.sendall(request_)
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert b"204 No Content" in answer and b"Connection: close" in answer


def test_an_answer_without_a_body_closes_while_the_server_stops(running):
    server = running(drain_seconds=1.0)
    server.harness.store.variables["a"] = "1"
    server.harness.lifecycle.stopping = True
    with server.connect() as client:
        client.sendall(DELETE % b"")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert b"204 No Content" in answer and b"Connection: close" in answer


def test_hanging_requests_do_not_hold_up_the_probe(running):
    gate = Gate()
    server = running(gate, threads=2)
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        client.sendall(GET)
    eventually(lambda: gate.waiting == 2)
    with server.connect() as probe:
        probe.sendall(HEALTH)
        assert b"200 OK" in receive_one(probe)
    gate.opened.set()
    for client in clients:
        assert b"200 OK" in receive_one(client)
        client.close()


def test_the_kernel_is_not_asked_about_clients_that_are_being_served(running):
    gate = Gate()
    server = running(gate)
    with server.connect() as served, server.connect() as silent:
        served.sendall(GET)
        eventually(lambda: gate.waiting == 1 and len(server.server.active_channels) == 2)
        asked = server.server._polled()
        assert [number in asked for number in server.server.active_channels] == [False, True]
        assert server.server.socket.fileno() in asked
        gate.opened.set()
        for _ in range(2):
            assert b"200 OK" in receive_one(served)
            served.sendall(GET)
        silent.sendall(GET)
        assert b"200 OK" in receive_one(silent)


def test_hundreds_of_silent_clients_do_not_hold_up_others(running):
    server = running(connection_limit=200)
    silent = [server.connect() for _ in range(150)]
    slow = [server.connect() for _ in range(150)]
    for client in slow:
        client.sendall(b"GET /var/a HTTP/1.1\r\nHost:")
    for request in (GET, HEALTH):
        with server.connect() as client:
            client.sendall(request)
            client.settimeout(3)
            assert b"HTTP/1.1" in receive_one(client)
    eventually(lambda: len(server.server.active_channels) <= 200)
    for client in silent + slow:
        client.close()


def test_a_crowd_is_accepted_at_once(harness):
    settings = Settings(Database("127.0.0.1", 1, "vars", "vars_app", None), "127.0.0.1", 0, grace_seconds=0.0)
    server = Server(harness.app, settings, harness.observer, harness.lifecycle)
    crowd = [socket.create_connection(("127.0.0.1", int(server.effective_port))) for _ in range(40)]
    server.handle_accept()
    assert len(server.active_channels) == 40
    harness.lifecycle.stopping = True
    server.run()
    for client in crowd:
        client.close()


def test_a_request_that_never_ends_is_given_up(running):
    server = running()
    server.server.request_time = 0.2
    with server.connect() as client:
        client.sendall(GET[:10])
        begin = time.monotonic()
        assert client.recv(100) == b""
        assert 0.1 < time.monotonic() - begin < 3


class Big:
    """An application whose answers no kernel buffers; the probe's is small."""

    def __init__(self):
        self.calls = 0
        self.size = 8 * 1024 * 1024

    def __call__(self, environ, start_response):
        body = b"ok"
        if environ["PATH_INFO"] == "/big":
            self.calls += 1
            body = bytes(self.size)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


BIG = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"


def test_clients_that_take_no_answers_hold_no_thread(running):
    big = Big()
    server = running(big, threads=2)
    server.server.untaken = 8 * big.size
    deaf = [server.connect() for _ in range(4)]
    for client in deaf:
        client.sendall(4 * BIG)
    eventually(lambda: sum(channel.held for channel in server.server.active_channels.values()) == 4)
    assert big.calls == 4
    for request in (GET, HEALTH):
        with server.connect() as client:
            client.sendall(request)
            assert b"200 OK" in receive_one(client)
    # Who reads after all gets every answer.
    deaf[0].sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    received = 0
    while part := deaf[0].recv(1 << 20):
        received += len(part)
    assert 4 * big.size < received < 4 * big.size + 2000
    assert big.calls == 7
    for client in deaf:
        client.close()


def test_a_client_that_takes_no_answer_is_given_up(running):
    server = running(Big())
    server.server.adj.channel_timeout = 0.2
    with server.connect() as client:
        client.sendall(2 * BIG)
        eventually(lambda: any(channel.held for channel in server.server.active_channels.values()))
        eventually(lambda: not server.server.active_channels)


def test_answers_that_nobody_takes_are_bounded(running):
    big = Big()
    server = running(big)
    # The kernel's buffers take some of each.
    server.server.untaken = big.size = 24 * 1024 * 1024
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.sendall(BIG)
        time.sleep(0.1)
    eventually(lambda: len(server.server.active_channels) == 1)
    # The last to come is served to its end.
    assert clients[2].recv(100).startswith(b"HTTP/1.1 200 OK")
    for client in clients:
        client.close()


def test_a_stop_finishes_what_is_under_way(running):
    gate = Gate()
    server = running(gate)
    with server.connect() as busy, server.connect() as idle:
        idle.sendall(HEALTH)
        assert b"200 OK" in receive_one(idle)
        busy.sendall(GET)
        eventually(lambda: gate.waiting == 1)
        server.harness.lifecycle.stopping = True
        assert idle.recv(100) == b""
        eventually(lambda: refused(server))
        gate.opened.set()
        answer = receive_one(busy)
        assert b"200 OK" in answer and b"Connection: close" in answer
        assert busy.recv(100) == b""
    server.thread.join(3)
    assert not server.thread.is_alive()


def test_a_stop_waits_a_moment_for_who_has_just_connected(running):
    server = running()
    with server.connect() as silent, server.connect() as client:
        server.harness.lifecycle.stopping = True
        eventually(lambda: refused(server))
        client.sendall(GET)
        assert b"404 Not Found" in receive_one(client)
        assert silent.recv(100) == b""
    server.thread.join(3)
    assert not server.thread.is_alive()


def refused(server):
    try:
        server.connect().close()
    except OSError:
        return True
    return False


def test_a_stop_is_bounded(running):
    gate = Gate()
    server = running(gate, grace_seconds=0.5)
    with server.connect() as client:
        client.sendall(GET)
        eventually(lambda: gate.waiting == 1)
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 3
        gate.opened.set()


def test_draining_serves_new_clients_meanwhile(running):
    server = running(drain_seconds=1.0)
    server.harness.lifecycle.stopping = True
    with server.connect() as client:
        client.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"503 Service Unavailable" in client.recv(1000)
    with server.connect() as client:
        client.sendall(GET)
        answer = receive_one(client)
        assert b"404 Not Found" in answer and b"Connection: close" in answer
    eventually(lambda: not server.thread.is_alive(), 5)


def test_an_application_that_breaks_is_an_answer_too(running):
    def broken(environ, start_response):
        raise RuntimeError("secret detail")

    answer = running(broken).send(GET)
    assert b"500 Internal Server Error" in answer and b"X-Request-Id" in answer
    assert b"secret" not in answer and b"Traceback" not in answer


@pytest.mark.parametrize("path", WITHOUT_DATABASE)
def test_probe_paths_are_answered(running, path):
    answer = running().send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    assert b"200 OK" in answer
