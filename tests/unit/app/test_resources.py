"""Variables over HTTP, with a fake store."""

import json

import pytest

JSON = {"Accept": "application/json"}


def test_unknown_name(harness):
    answer = harness("GET", "/var/a")
    assert (answer.status, answer.text) == (404, "Variable name not found")


def test_set_by_get_and_read(harness):
    answer = harness("GET", "/var/a/1")
    assert (answer.status, answer.text) == (200, "a = 1")
    assert answer.headers["cache-control"] == "no-store"
    answer = harness("GET", "/var/a")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "a = 1", "text/plain; charset=utf-8")


def test_json_where_it_is_asked_for(harness):
    harness("GET", "/var/a/%22")
    answer = harness("GET", "/var/a", JSON)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    assert answer.json == {"name": "a", "value": '"'}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "text/plain"),
        ("text/html,*/*;q=0.8", "text/plain"),
        ("text/plain;q=0.5, application/json", "application/json"),
        ("application/*", "application/json"),
        ("image/png", "text/plain"),
        ("nonsense", "text/plain"),
    ],
)
def test_negotiation(harness, accept, kind):
    harness.store.variables["a"] = "1"
    assert harness("GET", "/var/a", {"Accept": accept}).headers["content-type"].startswith(kind)


def test_put_and_delete(harness):
    answer = harness("PUT", "/var/a%2Fb%20%C3%A9", body="ü = x".encode())
    assert (answer.status, answer.text) == (201, "a/b é = ü = x")
    assert answer.headers["location"] == "/var/a%2Fb%20%C3%A9"
    assert harness.store.variables == {"a/b é": "ü = x"}
    answer = harness("PUT", "/var/a%2Fb%20%C3%A9", {"Content-Type": "application/json"}, b'{"value": "y"}')
    assert (answer.status, answer.text) == (200, "a/b é = y")
    assert harness("DELETE", "/var/a%2Fb%20%C3%A9").status == 204
    assert harness("DELETE", "/var/a%2Fb%20%C3%A9").status == 404


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"", 201),
        ("Text/Plain; charset=utf-8", b"x", 201),
        ("text/plain", b"a" * 65536, 201),
        ("text/plain", b"a" * 65537, 413),
        ("text/plain", b"\xff", 400),
        ("text/plain", b"a\nb", 400),
        ("text/plain", b"\0", 400),
        ("application/x-www-form-urlencoded", b"a=b", 415),
        ("application/json", b'{"value": ""}', 201),
        ("application/json", json.dumps({"value": "\U0001f600" * 16384}).encode(), 201),
        ("application/json", json.dumps({"value": "a" * 65537}).encode(), 413),
        ("application/json", b'{"value": 1}', 400),
        ("application/json", b'{"other": "x"}', 400),
        ("application/json", b'["value"]', 400),
        ("application/json", b'"value"', 400),
        ("application/json", b"{", 400),
        ("application/json", b"\xff", 400),
        ("application/json", b'{"value": "\\ud800"}', 400),
        ("application/json", b'{"value": "\\u0000"}', 400),
        ("application/json", b"[" * 100000, 400),
        ("application/json", '{"value": "x"}'.encode("utf-16"), 400),
        ("application/json; charset=utf-8", b'{"value": "x"}', 201),
        ("text/plain; charset=US-ASCII", b"x", 201),
        # Also UTF-8, of something else.
        ("text/plain; charset=iso-8859-1", "é".encode(), 415),
    ],
)
def test_bodies(harness, kind, body, status):
    answer = harness("PUT", "/var/a", {"Content-Type": kind}, body)
    assert answer.status == status
    assert bool(harness.store.calls) == (status == 201)


def test_a_coded_body_is_not_the_value(harness):
    assert harness("PUT", "/var/a", {"Content-Encoding": "br"}, b"x").status == 415
    assert harness.store.calls == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("condition", [{"If-None-Match": "*"}, {"If-Match": '"x"'}, {"Content-Range": "bytes 0-0/5"}])
def test_a_change_under_a_condition_is_refused(harness, method, condition):
    answer = harness(method, "/var/a", condition, b"x")
    assert (answer.status, answer.text) == (400, f"A change cannot depend on {[*condition][0]} here: leave it out.")
    assert harness.store.calls == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/var/a/", 404),
        ("/var//b", 404),
        ("//var/a/b", 404),
        ("/var//", 404),
        ("/var/", 404),
        ("/var/a/b/c", 404),
        ("/var/a/b/", 404),
        ("/Var/a/b", 404),
        ("/var%2Fa%2Fb", 404),
        ("/%76ar/a/b", 404),
        ("/", 404),
        ("http://other/", 404),
        ("http://other", 404),
        ("*", 404),
        ("/var/%ff/b", 400),
        ("/var/a/%00", 400),
        ("/var/a/%0d%0a", 400),
        ("/var/%/b", 400),
        ("/var/" + "a" * 256 + "/b", 400),
        ("/var/a/" + "b" * 65537, 413),
    ],
)
def test_what_writes_nothing(harness, target, status):
    assert harness("GET", target).status == status
    assert harness.store.calls == []


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("/var/a%2Fb/c", "a/b", "c"),
        ("/var/a/b%2Fc", "a", "b/c"),
        ("/var/./..", ".", ".."),
        ("/var/a/b?c=d", "a", "b"),
        ("/var/%F0%9F%98%80/%D7%A9", "😀", "ש"),
        ("http://other:1/var/a/b", "a", "b"),
        ("/var/a/" + "%C3%A9" * 32768, "a", "é" * 32768),
    ],
)
def test_names_are_exact(harness, target, name, value):
    assert harness("GET", target).text == f"{name} = {value}"
    assert harness.store.calls == [("set", name, value)]


def test_encoded_slash_reads_and_never_writes(harness):
    assert harness("GET", "/var/a%2Fb").status == 404
    assert harness.store.calls == [("get", "a/b")]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "Prefetch"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ],
)
def test_browsers_own_requests_do_not_write(harness, header, value):
    assert harness("GET", "/var/a/b", {"Host": "vars.localhost", header: value}).status == 403
    assert harness.store.calls == []
    assert harness("GET", "/var/a", {"Host": "vars.localhost", header: value}).status == 404


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://vars.localhost:8080"}],
)
def test_a_user_may_write_by_get(harness, headers):
    assert harness("GET", "/var/a/b", {"Host": "vars.localhost:8080", **headers}).status == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_do_not_write(harness, method):
    answer = harness(method, "/var/a/b")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS")
    assert harness.store.calls == []


def test_unknown_methods(harness):
    assert harness("BREW", "/var/a").status == 400
    assert harness.logged()[-1]["method"] == "other"


def test_head_reads_without_a_body(harness):
    harness.store.variables["a"] = "1"
    answer = harness("HEAD", "/var/a")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "5")


def test_writing_by_get_can_be_turned_off(make_harness):
    harness = make_harness(mutating_get=False)
    answer = harness("GET", "/var/a/b")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS")
    assert "turned off" in answer.text
    assert harness.store.calls == []


def test_pages(harness):
    for number in range(5):
        harness("GET", f"/var/n{number}/{number}")
    answer = harness("GET", "/var?limit=2")
    assert answer.text == "n0 = 0\nn1 = 1\n"
    assert answer.headers["link"] == "</var?limit=2&after=n1>; rel=next"
    seen, target = [], "/var?limit=2"
    while target:
        page = harness("GET", target, JSON).json
        seen += [item["name"] for item in page["items"]]
        target = page["next"]
    assert seen == ["n0", "n1", "n2", "n3", "n4"]


def test_names_in_links_are_quoted(harness):
    harness.store.variables.update({"a&b/é": "1", "z": "2"})
    assert harness("GET", "/var?limit=1", JSON).json["next"] == "/var?limit=1&after=a%26b%2F%C3%A9"
    assert harness("GET", "/var?limit=1&after=a%26b%2F%C3%A9").text == "z = 2\n"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "after=%00", "after=%0A", "after=%ff", "after=\xe9"]
)
def test_bad_queries(harness, query):
    assert harness("GET", f"/var?{query}").status == 400
    assert harness.store.calls == []
