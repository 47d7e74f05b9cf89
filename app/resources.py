"""Variables over HTTP. Resources only translate: names and values are checked in `names`, kept in `store`."""

import json
from urllib.parse import parse_qs, quote

import falcon

from app.names import (
    MAX_BODY,
    VALUE_BYTES,
    Invalid,
    TooLarge,
    check_name,
    check_text,
    check_value,
    decode_segment,
    decode_text,
)
from app.problems import JSON, TEXT, wants_json
from app.store import Store

PAGE_LIMIT = 100


class Variable:
    """`/var/{name}`: read, set and delete one variable."""

    def __init__(self, store: Store):
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Answer `name = value`."""
        name = _name(name)
        value = self._store.get(name)
        if value is None:
            raise falcon.HTTPNotFound(description="Variable name not found")
        _answer(req, resp, name, value)
        resp.set_header("Cache-Control", "no-cache")

    on_head = on_get

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Set the variable to the body: text as it is, or JSON `{"value": ...}`. 201 if it is new."""
        _refuse_conditions(req)
        name = _name(name)
        value = check_value(_body(req))
        created = self._store.set(name, value)
        _answer(req, resp, name, value)
        resp.set_header("Cache-Control", "no-store")
        if created:
            resp.status = falcon.HTTP_201
            resp.set_header("Location", f"/var/{quote(name, safe='')}")

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Delete the variable."""
        _refuse_conditions(req)
        if not self._store.delete(_name(name)):
            raise falcon.HTTPNotFound(description="Variable name not found")
        resp.status = falcon.HTTP_204
        resp.set_header("Cache-Control", "no-store")


class Variables:
    """`/var`: all variables in the order of their names, a page at a time."""

    def __init__(self, store: Store):
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer up to `limit` variables after the name `after`; the `Link` header leads to the next page."""
        limit = req.get_param_as_int("limit", min_value=1, max_value=PAGE_LIMIT, default=20)
        items, following = self._store.page(_after(req), limit)
        link = None
        if following is not None:
            link = f"/var?limit={limit}&after={quote(following, safe='')}"
            resp.append_link(link, "next")
        if wants_json(req):
            page = {"items": [{"name": name, "value": value} for name, value in items], "next": link}
            resp.data = json.dumps(page, ensure_ascii=False).encode("utf-8")
            resp.content_type = JSON
        else:
            resp.data = "".join(f"{name} = {value}\n" for name, value in items).encode("utf-8")
            resp.content_type = TEXT
        resp.set_header("Vary", "Accept")
        resp.set_header("Cache-Control", "no-cache")

    on_head = on_get


class Assignment:
    """`/var/{name}/{value}`: set a variable by GET, as the lab's users know it.

    GET is meant to be safe (RFC 9110 section 9.2.1), so whatever a browser does by itself is refused: prefetches, and
    requests that another site caused (Fetch Metadata; a client that is no browser sends none of these headers).
    """

    def __init__(self, store: Store):
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, value: str) -> None:
        """Set the variable and answer `name = value`."""
        _refuse_unasked(req)
        if not value:
            raise falcon.HTTPNotFound(description="A value is needed after the name")
        name, value = _name(name), check_value(decode_segment(value))
        self._store.set(name, value)
        _answer(req, resp, name, value)
        resp.set_header("Cache-Control", "no-store")


class AssignmentOff:
    """`/var/{name}/{value}` where writing by GET is turned off: no method is left (RFC 9110 section 10.2.1)."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str, value: str) -> None:
        """Refuse with 405."""
        raise falcon.HTTPMethodNotAllowed(["OPTIONS"], description="Writing by GET is turned off: PUT /var/{name}")


def _refuse_unasked(req: falcon.Request) -> None:
    purposes = (req.env.get(f"HTTP_{key}", "").lower() for key in ("SEC_PURPOSE", "PURPOSE", "X_PURPOSE", "X_MOZ"))
    if any("prefetch" in purpose or "prerender" in purpose or "preview" in purpose for purpose in purposes):
        raise falcon.HTTPForbidden(description="A prefetch may not change a variable")
    if req.env.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        raise falcon.HTTPForbidden(description="Another site may not change a variable")
    origin = req.env.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2] != req.env.get("HTTP_HOST"):
        raise falcon.HTTPForbidden(description="Another site may not change a variable")


def _refuse_conditions(req: falcon.Request) -> None:
    # Who sends one relies on it, and a change made in spite of it is somebody's loss (RFC 9110 sections 13.1 and 14.5).
    for name in ("If-Match", "If-None-Match", "Content-Range"):
        if req.get_header(name) is not None:
            raise Invalid(f"a change cannot depend on {name} here: leave it out")


def _name(raw: str) -> str:
    if not raw:
        raise falcon.HTTPNotFound(description="A name is needed after /var/")
    return check_name(decode_segment(raw))


def _after(req: falcon.Request) -> str:
    # Falcon puts a replacement character where a query is not UTF-8, which would be another name.
    try:
        query = req.query_string.encode("ascii").decode("ascii")
        return check_text(parse_qs(query, errors="strict").get("after", [""])[-1])
    except ValueError as error:
        raise Invalid("the query must be percent-encoded UTF-8") from error


def _body(req: falcon.Request) -> str:
    kind, options = falcon.parse_header(req.content_type or "text/plain")
    kind = kind.lower()
    if kind not in ("text/plain", JSON):
        raise falcon.HTTPUnsupportedMediaType(description="Send the value as text/plain, or as application/json")
    charset, coding = options.get("charset", "utf-8"), req.get_header("Content-Encoding", default="identity")
    if charset.lower() not in ("utf-8", "us-ascii") or coding.lower() != "identity":
        raise falcon.HTTPUnsupportedMediaType(description="Send the value in UTF-8, as it is")
    data = req.bounded_stream.read(MAX_BODY + 1)
    if kind == "text/plain":
        if len(data) > VALUE_BYTES:
            raise TooLarge(f"a value has at most {VALUE_BYTES} bytes of UTF-8")
        return decode_text(data)
    try:
        value = json.loads(data.decode("utf-8"))["value"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Invalid('the body must be JSON of the form {"value": "..."}') from error
    if not isinstance(value, str):
        raise Invalid("the value must be a string")
    return check_text(value)


def _answer(req: falcon.Request, resp: falcon.Response, name: str, value: str) -> None:
    if wants_json(req):
        resp.data = json.dumps({"name": name, "value": value}, ensure_ascii=False).encode("utf-8")
        resp.content_type = JSON
    else:
        resp.data = f"{name} = {value}".encode()
        resp.content_type = TEXT
    resp.set_header("Vary", "Accept")
