"""Puts one service together from its settings."""

import errno
import os

from app.application import create_app
from app.config import Settings
from app.connection import Connection
from app.logs import JsonLog
from app.metrics import Metrics
from app.migration_files import known_migrations
from app.observe import Observer
from app.pool import Pool
from app.probes import Lifecycle
from app.server import Server
from app.store import Store


def make_service(settings: Settings, log: JsonLog, lifecycle: Lifecycle) -> tuple[Server, Pool]:
    """Return a listening server and the pool under it. Raises OSError where the address cannot be listened on."""
    pool = make_pool(settings, log)
    metrics = Metrics(settings.version, settings.commit, pool.counts)
    store = Store(pool, settings.request_deadline, metrics.database_error)
    observer = Observer(settings.pod, log, metrics)
    app = create_app(store, metrics, observer, known_migrations(), lifecycle, settings.mutating_get)
    try:
        return Server(app, settings, observer, lifecycle), pool
    except OSError:
        pool.close()
        raise
    except ValueError as error:
        # waitress' word for a host that has no address.
        pool.close()
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)) from error


def make_pool(settings: Settings, log: JsonLog) -> Pool:
    """Return the pool for `settings`. Statements end a little before the request that waits for them does."""
    milliseconds = str(max(1, int(settings.request_deadline * 900)))
    options = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": "10000",
    }
    return Pool(
        lambda: Connection(settings.database, settings.connect_timeout, options, settings.pod[:63]),
        settings.pool_size,
        lambda detail: log.event("error", "the database is not available", detail=detail),
    )
