"""Malformed and smuggling requests over raw sockets: none may cause a handler call that its sender did not spell out.

Each case is sent as it stands and followed by a complete request to `/marker`, once in the same segment and once after
it. The refused ones must not reach the application, and nothing after them may either.
"""

import re

import pytest

from app.strict import Refused, check_header

HOST = b"Host: vars.localhost\r\n"
MARKER = b"GET /marker HTTP/1.1\r\n" + HOST + b"\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


def get(*headers, target=b"/a", version=b"HTTP/1.1", host=HOST, method=b"GET", body=b""):
    lines = b"".join(header + b"\r\n" for header in headers)
    return method + b" " + target + b" " + version + b"\r\n" + host + lines + b"\r\n" + body


def put(*headers, body=b""):
    return get(*headers, method=b"PUT", body=body)


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(INNER)
ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)

REFUSED = {
    # Content-Length against Transfer-Encoding (RFC 9112 sections 6.1 and 6.3)
    "cl-te": put(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + INNER),
    "te-cl": put(CHUNKED, LENGTH, body=b"0\r\n\r\n" + INNER),
    "te-cl-zero": put(CHUNKED, b"Content-Length: 0", body=ONE_CHUNK),
    "te-alone": put(CHUNKED, body=ONE_CHUNK),
    "te-on-get": get(CHUNKED, body=ONE_CHUNK),
    "te-double": put(CHUNKED, CHUNKED, body=ONE_CHUNK),
    "te-list-double": put(b"Transfer-Encoding: chunked, chunked", body=ONE_CHUNK),
    "te-list-identity": put(b"Transfer-Encoding: identity, chunked", body=ONE_CHUNK),
    "te-identity": put(b"Transfer-Encoding: identity", LENGTH, body=INNER),
    "te-gzip-chunked": put(b"Transfer-Encoding: gzip, chunked", body=ONE_CHUNK),
    "te-chunked-gzip": put(b"Transfer-Encoding: chunked, gzip", body=ONE_CHUNK),
    "te-unknown": put(b"Transfer-Encoding: xchunked", body=ONE_CHUNK),
    "te-empty": put(b"Transfer-Encoding:", LENGTH, body=INNER),
    "te-case": put(b"tRANSFER-eNCODING: CHUNKED", LENGTH, body=INNER),
    "te-tab": put(b"Transfer-Encoding:\tchunked", LENGTH, body=INNER),
    "te-vt": put(b"Transfer-Encoding: \x0bchunked", LENGTH, body=INNER),
    "te-quoted": put(b'Transfer-Encoding: "chunked"', LENGTH, body=INNER),
    "te-comma": put(b"Transfer-Encoding: ,chunked", LENGTH, body=INNER),
    "te-parameter": put(b"Transfer-Encoding: chunked;a=b", LENGTH, body=INNER),
    "te-nbsp": put(b"Transfer-Encoding: chunked\xa0", LENGTH, body=INNER),
    "te-http10": get(CHUNKED, LENGTH, version=b"HTTP/1.0", body=INNER),
    "te-space-before-colon": put(b"Transfer-Encoding : chunked", LENGTH, body=INNER),
    "te-tab-before-colon": put(b"Transfer-Encoding\t: chunked", LENGTH, body=INNER),
    "te-underscore": put(b"Transfer_Encoding: chunked", LENGTH, body=INNER),
    "te-folded": put(b"Transfer-Encoding:\r\n chunked", LENGTH, body=INNER),
    "te-folded-into-other": put(b"X: y\r\n Transfer-Encoding: chunked", LENGTH, body=INNER),
    "te-leading-space": get(LENGTH, b" Transfer-Encoding: chunked", body=INNER),
    "te-nul": put(b"Transfer-Encoding: chunked\0", LENGTH, body=INNER),
    "te-nul-in-name": put(b"Transfer-\0Encoding: chunked", LENGTH, body=INNER),
    "te-bare-lf-before": put(b"X: y\nTransfer-Encoding: chunked", LENGTH, body=INNER),
    "te-bare-cr-before": put(b"X: y\rTransfer-Encoding: chunked", LENGTH, body=INNER),
    "te-chunk-size-sign": put(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "te-chunk-size-prefix": put(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "te-chunk-bare-lf": put(CHUNKED, body=b"5\nhello\n0\n\n"),
    "te-chunk-extension": put(CHUNKED, body=b"5;a=\nb\r\nhello\r\n0\r\n\r\n"),
    "te-chunk-size-huge": put(CHUNKED, body=b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    "te-chunk-empty-lines": put(CHUNKED, body=b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    "te-trailer": put(CHUNKED, body=b"0\r\nHost: x\r\n\r\n"),
    # Content-Length (RFC 9110 section 8.6)
    "cl-twice-same": put(LENGTH, LENGTH, body=INNER),
    "cl-twice-different": put(b"Content-Length: 0", LENGTH, body=INNER),
    "cl-list": put(b"Content-Length: 5, 5", body=b"hello"),
    "cl-list-different": put(b"Content-Length: 0, %d" % len(INNER), body=INNER),
    "cl-sign": put(b"Content-Length: +5", body=b"hello"),
    "cl-negative": put(b"Content-Length: -5", body=b"hello"),
    "cl-hex": put(b"Content-Length: 0x5", body=b"hello"),
    "cl-underscore-digit": put(b"Content-Length: 1_0", body=b"hello"),
    "cl-float": put(b"Content-Length: 5.0", body=b"hello"),
    "cl-empty": put(b"Content-Length:", body=b"hello"),
    "cl-words": put(b"Content-Length: five", body=b"hello"),
    "cl-space-inside": put(b"Content-Length: 5 5", body=b"hello"),
    "cl-vt": put(b"Content-Length: \x0b5", body=b"hello"),
    "cl-unicode-digit": put("Content-Length: ٥".encode(), body=b"hello"),
    "cl-superscript": put(b"Content-Length: \xb2", body=b"he"),
    "cl-huge": put(b"Content-Length: " + b"9" * 5000, body=b"hello"),
    "cl-overflow": put(b"Content-Length: 18446744073709551621", body=b"hello"),
    "cl-over-limit": put(b"Content-Length: 100000000", body=b"hello"),
    "cl-too-large": put(b"Content-Length: 600000", body=b"x" * 600000),
    "cl-too-large-expected": put(b"Content-Length: 600000", b"Expect: 100-continue"),
    "cl-over-limit-expected": put(b"Content-Length: 100000000", b"Expect: 100-continue"),
    "cl-space-before-colon": put(b"Content-Length : %d" % len(INNER), body=INNER),
    "cl-underscore": put(b"Content_Length: %d" % len(INNER), body=INNER),
    "cl-folded": put(b"Content-Length:\r\n %d" % len(INNER), body=INNER),
    "cl-leading-space": put(b"X: y", b" Content-Length: %d" % len(INNER), body=INNER),
    # Host (RFC 9112 section 3.2)
    "host-missing": get(host=b""),
    "host-twice": get(HOST[:-2]),
    "host-twice-different": get(b"Host: other"),
    "host-list": get(host=b"Host: a, b\r\n"),
    "host-empty": get(host=b"Host:\r\n"),
    "host-space": get(host=b"Host: a b\r\n"),
    "host-slash": get(host=b"Host: a/b\r\n"),
    "host-userinfo": get(host=b"Host: a@b\r\n"),
    "host-bad-port": get(host=b"Host: a:b\r\n"),
    "host-control": get(host=b"Host: a\x01\r\n"),
    "host-folded": get(host=b"Host: a\r\n b\r\n"),
    "host-bracket": get(host=b"Host: [::1\r\n"),
    # The request line (RFC 9112 section 3)
    "http09": b"GET /a\r\n\r\n",
    "http09-headers": b"GET /a\r\n" + HOST + b"\r\n",
    "http20": get(version=b"HTTP/2.0"),
    "http12": get(version=b"HTTP/1.2"),
    "http00": get(version=b"HTTP/0.0"),
    "http-lower": get(version=b"http/1.1"),
    "http-long": get(version=b"HTTP/1.10"),
    "http-short": get(version=b"HTTP/1"),
    "http-space": get(version=b"HTTP/ 1.1"),
    "http-comma": get(version=b"HTTP/1,1"),
    "http-trailing": get(version=b"HTTP/1.1 x"),
    "http-trailing-space": get(version=b"HTTP/1.1 "),
    "http-other": get(version=b"RTSP/1.0"),
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "method-lower": get(method=b"get"),
    "method-empty": get(method=b""),
    "method-bracket": get(method=b"G(ET"),
    "method-nul": get(method=b"GE\0T"),
    "method-tab": b"GET\t/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-missing": b"GET  HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-two-spaces": b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-space": get(target=b"/a b"),
    "target-tab": get(target=b"/a\tb"),
    "target-nul": get(target=b"/a\0"),
    "target-vt": get(target=b"/a\x0b"),
    "target-del": get(target=b"/a\x7f"),
    "target-fragment": get(target=b"/a#b"),
    "target-bare-cr": get(target=b"/a\rHost: x"),
    "target-bare-lf": get(target=b"/a\nHost: x"),
    "target-bad-port": get(target=b"http://[::1/a"),
    "target-no-slash": get(target=b"a"),
    "target-query-only": get(target=b"?/a"),
    "target-authority": get(target=b"vars.localhost:80", method=b"CONNECT"),
    "target-other-scheme": get(target=b"ftp://vars.localhost/a"),
    "target-scheme-no-authority": get(target=b"http:/a"),
    "target-asterisk-and-path": get(target=b"*/a"),
    "leading-space": b" " + get(),
    "leading-tab": b"\t" + get(),
    "leading-vt": b"\x0b" + get(),
    "leading-lf": b"\n" + get(),
    "leading-nul": b"\0" + get(),
    # Header lines (RFC 9112 section 5)
    "header-no-colon": get(b"nonsense"),
    "header-empty-name": get(b": x"),
    "header-space-in-name": get(b"X Y: z"),
    "header-space-before-colon": get(b"X : y"),
    "header-nul": get(b"X: a\0b"),
    "header-control": get(b"X: a\x01b"),
    "header-del": get(b"X: a\x7fb"),
    "header-bare-cr": get(b"X: a\rb"),
    "header-bare-lf": get(b"X: a\nb"),
    "header-fold-space": get(b"X: a", b" b"),
    "header-fold-tab": get(b"X: a", b"\tb"),
    "header-fold-first": b"GET /a HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "host-underscore": get(host=b"Host_: a\r\n"),
    "header-name-unicode": get("X-é: 1".encode()),
    "header-name-quote": get(b'"X": 1'),
    "header-too-many-bytes": get(*[b"X-%d: %s" % (i, b"y" * 1000) for i in range(300)]),
    "content-type-twice": put(b"Content-Type: text/plain", b"Content-Type: application/json", LENGTH, body=INNER),
    "expect-twice": put(b"Expect: 100-continue", b"Expect: x", LENGTH, body=INNER),
    "lf-only": MARKER.replace(b"\r\n", b"\n").replace(b"/marker", b"/a") + b"\r\n\r\n",
    "cr-only": MARKER.replace(b"\r\n", b"\r").replace(b"/marker", b"/a") + b"\r\n\r\n",
    "lf-then-crlf": b"GET /a HTTP/1.1\n" + HOST + b"\r\n",
}

# What must be served, and with which paths: a check that refuses everything would pass the corpus above.
SERVED = {
    "plain": (get(), ["/a"]),
    "http10": (get(version=b"HTTP/1.0", host=b""), ["/a"]),
    "leading-crlf": (b"\r\n" + get(), ["/a"]),
    "asterisk": (get(target=b"*", method=b"OPTIONS"), ["*"]),
    "absolute-case": (get(target=b"HTTP://vars.localhost/a"), ["HTTP://vars.localhost/a"]),
    "absolute": (get(target=b"http://vars.localhost/a"), ["http://vars.localhost/a"]),
    "pipelined": (get() + get(target=b"/b"), ["/a", "/b"]),
    "body": (put(LENGTH, body=INNER), ["/a"]),
    "body-on-get": (get(LENGTH, body=INNER), ["/a"]),
    "length-zero": (put(b"Content-Length: 0"), ["/a"]),
    "length-leading-zero": (put(b"Content-Length: 005", body=b"hello"), ["/a"]),
    "body-then-request": (put(b"Content-Length: 5", body=b"hello") + get(target=b"/b"), ["/a", "/b"]),
    "ipv6-host": (get(host=b"Host: [::1]:8080\r\n"), ["/a"]),
    "raw-utf8": (get(target="/é".encode()), ["/%C3%A9"]),
    "expect": (put(b"Expect: 100-continue", LENGTH, body=INNER), ["/a"]),
    "repeated-accept": (get(b"Accept: a/b", b"Accept: c/d"), ["/a"]),
    "underscore": (get(b"X_Forwarded_For: 1"), ["/a"]),
    "dots": (get(target=b"/a/../b"), ["/a/../b"]),
    "close": (get(b"Connection: close") + get(target=b"/b"), ["/a"]),
}


class Recorder:
    """An application that only notes which paths it was called for."""

    def __init__(self):
        self.paths = []

    def __call__(self, environ, start_response):
        self.paths.append(environ["REQUEST_URI"])
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.fixture(scope="module")
def server(module_server):
    """A server whose application only takes notes."""
    return module_server(Recorder())


@pytest.fixture
def recorder(server):
    """The application behind the corpus, with no notes yet."""
    server.server.application.paths.clear()
    server.harness.lines.clear()
    return server.server.application


def test_the_corpus_is_large_enough():
    assert len(REFUSED) >= 100


@pytest.mark.parametrize("name", REFUSED)
def test_refused(server, recorder, name):
    for sent in ((REFUSED[name] + MARKER, b""), (REFUSED[name], MARKER)):
        answer = server.send(*sent)
        assert recorder.paths == []
        assert re.match(rb"HTTP/1\.[01] (400|411|413|431|505) ", answer), answer[:200]
        assert answer.count(b"HTTP/1.") == 1
        assert b"\r\nConnection: close\r\n" in answer
    assert all(line["route"] == "none" for line in server.harness.logged())


@pytest.mark.parametrize("name", SERVED)
def test_served(server, recorder, name):
    sent, paths = SERVED[name]
    answer = server.send(sent)
    assert recorder.paths == paths
    assert answer.count(b" 200 OK\r\n") == len(paths)


def test_refusals_are_answers_like_others(running):
    server = running()
    text = server.send(get(b"X-Request-Id: r1", CHUNKED))
    assert b"411 Length Required" in text and b"\r\nX-Served-By: pod-1\r\n" in text and b"X-Request-Id: r1" in text
    assert text.endswith(b"\r\n\r\nSend the body with a Content-Length")
    problem = server.send(get(b"Accept: application/json", b"Content-Length: x"))
    assert b"application/problem+json" in problem and b'"status": 400' in problem


@pytest.mark.parametrize("header", [CHUNKED, b"Content-Length: x"])
def test_a_refused_head_has_the_headers_alone(running, header):
    answer = running().send(get(header, method=b"HEAD"))
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer) and re.search(rb"\r\nContent-Length: [1-9]", answer)
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_requests_in_pieces(server, recorder, cut):
    assert b" 200 OK" in server.send(MARKER[:cut], MARKER[cut:])
    assert b" 411 " in server.send(REFUSED["te-alone"][:cut], REFUSED["te-alone"][cut:])
    assert recorder.paths == ["/marker"]


def test_the_check_alone():
    check_header(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(Refused, match="Host header is missing"):
        check_header(b"GET / HTTP/1.1\r\n\r\n")
