"""The WSGI application: which resource answers where."""

import falcon

from app import problems
from app.metrics import Metrics
from app.observe import ObserveMiddleware, Observer
from app.probes import Description, Health, Lifecycle, Readiness, Scrape
from app.resources import Assignment, AssignmentOff, Variable, Variables
from app.store import Store


def create_app(
    store: Store,
    metrics: Metrics,
    observer: Observer,
    known: dict[str, str],
    lifecycle: Lifecycle,
    mutating_get: bool = True,
) -> falcon.App:
    """Wire the application.

    `known` maps the versions of this image's migrations to their checksums; `mutating_get` turns on
    `GET /var/{name}/{value}`.
    """
    app = falcon.App(middleware=[ObserveMiddleware(observer)])
    problems.install(app, observer.log)
    app.add_route("/var", Variables(store))
    app.add_route("/var/{name}", Variable(store))
    app.add_route("/var/{name}/{value}", Assignment(store) if mutating_get else AssignmentOff())
    app.add_route("/healthz", Health())
    app.add_route("/readyz", Readiness(store, known, lifecycle))
    app.add_route("/metrics", Scrape(metrics))
    app.add_route("/openapi.json", Description(), compile=True)
    return app
