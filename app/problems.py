"""Errors as the client sees them: RFC 9457 problem JSON, or one line of text."""

import json

import falcon

from app.logs import JsonLog
from app.names import Invalid, TooLarge
from app.observe import request_id
from app.store import DatabaseAway

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PROBLEM = "application/problem+json"


def wants_json(req: falcon.Request) -> bool:
    """Tell whether the client prefers JSON to text (RFC 9110 section 12.5.1); text is for those who do not say."""
    accept = req.env.get("HTTP_ACCEPT", "*/*")
    if accept == "*/*":
        return False
    return req.client_prefers(("text/plain", JSON, PROBLEM)) in (JSON, PROBLEM)


def problem(title: str, status: str, detail: str, identity: str) -> bytes:
    """Return a problem document (RFC 9457 section 3.1); the type is about:blank, which says that the status is all."""
    document = {
        "type": "about:blank",
        "title": title,
        "status": int(status.split(None, 1)[0]),
        "detail": detail,
        "instance": f"urn:request:{identity}",
    }
    return json.dumps(document, ensure_ascii=False).encode("utf-8")


def serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error into the response, in the form that the client prefers."""
    status = falcon.code_to_http_status(error.status)
    title = status.split(None, 1)[1]
    detail = error.description or title
    if wants_json(req):
        resp.data = problem(title, status, detail, request_id(req.env))
        resp.content_type = PROBLEM
    else:
        resp.data = detail.encode("utf-8")
        resp.content_type = TEXT
    resp.set_header("Vary", "Accept")
    resp.set_header("Cache-Control", "no-store")


def install(app: falcon.App, log: JsonLog) -> None:
    """Make `app` answer every exception as a problem."""

    def invalid(req, resp, error, params):
        raise falcon.HTTPBadRequest(description=_sentence(str(error)))

    def too_large(req, resp, error, params):
        raise falcon.HTTPContentTooLarge(description=_sentence(str(error)))

    def away(req, resp, error, params):
        detail = "The database is not available."
        if error.unknown:
            detail += " Whether the change was made is not known."
        raise falcon.HTTPServiceUnavailable(description=detail, retry_after=1)

    def bug(req, resp, error, params):
        identity = request_id(req.env)
        log.failure("unexpected error", error, identity)
        raise falcon.HTTPInternalServerError(
            description=f"Something went wrong here; the log has it under the request id {identity}."
        )

    app.set_error_serializer(serialize)
    app.add_error_handler(Exception, bug)
    app.add_error_handler(Invalid, invalid)
    app.add_error_handler(TooLarge, too_large)
    app.add_error_handler(DatabaseAway, away)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
