"""Settings: the only module that reads the environment."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from app import __version__


class ConfigError(Exception):
    """A setting is missing or has a value that cannot be used; the message says what to set."""


class Database(NamedTuple):
    """Where PostgreSQL is and as whom to log in."""

    host: str
    port: int
    name: str
    user: str
    password: str | None

    def __repr__(self) -> str:
        """Show everything but the password, since settings end up in error messages."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.name}"

    __str__ = __repr__


class Settings(NamedTuple):
    """All settings of one process. Times are in seconds, sizes in bytes."""

    database: Database
    host: str = "0.0.0.0"
    port: int = 8080
    pod: str = ""
    threads: int = 4
    pool_size: int = 4
    request_deadline: float = 0.8
    connect_timeout: float = 0.8
    connection_limit: int = 900
    drain_seconds: float = 0.0
    grace_seconds: float = 10.0
    mutating_get: bool = True
    migrate_timeout: float = 300.0
    version: str = __version__
    commit: str = "unknown"


def load(environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")) -> Settings:
    """Read the settings from the environment and, in development, from `.env`.

    The environment wins over the file. `APP_ENV=production`, which the image sets, leaves the file unread.
    Raises ConfigError with the name of the variable and what it should hold.
    """
    env = dict(os.environ if environ is None else environ)
    if env.get("APP_ENV") != "production" and dotenv.is_file():
        env = {**parse_dotenv(dotenv.read_text(encoding="utf-8")), **env}
    default = Settings(database=parse_database_url(env.get("DATABASE_URL", "")))
    return default._replace(
        host=env.get("HOST", default.host),
        port=_number(env, "PORT", default.port, 0, 65535, int),
        pod=env.get("POD_NAME") or socket.gethostname(),
        threads=_number(env, "THREADS", default.threads, 1, 64, int),
        pool_size=_number(env, "POOL_SIZE", default.pool_size, 1, 64, int),
        request_deadline=_number(env, "REQUEST_DEADLINE", default.request_deadline, 0.05, 60),
        connect_timeout=_number(env, "CONNECT_TIMEOUT", default.connect_timeout, 0.05, 60),
        connection_limit=_number(env, "CONNECTION_LIMIT", default.connection_limit, 10, 100000, int),
        drain_seconds=_number(env, "DRAIN_SECONDS", default.drain_seconds, 0, 300),
        grace_seconds=_number(env, "GRACE_SECONDS", default.grace_seconds, 0, 300),
        mutating_get=_switch(env, "MUTATING_GET", default.mutating_get),
        migrate_timeout=_number(env, "MIGRATE_TIMEOUT", default.migrate_timeout, 0.1, 86400),
        version=env.get("APP_VERSION", default.version),
        commit=env.get("APP_COMMIT", default.commit),
    )


def parse_database_url(url: str) -> Database:
    """Split a `postgresql://user:password@host:port/name` URL (libpq's URI form, without its fallback hosts).

    Raises ConfigError; its message never repeats the URL, which holds a password.
    """
    if not url:
        raise ConfigError("DATABASE_URL is not set: postgresql://USER:PASSWORD@HOST:5432/NAME")
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError("DATABASE_URL is not a URL: postgresql://USER:PASSWORD@HOST:5432/NAME") from error
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError("DATABASE_URL must start with postgresql://")
    if not parts.hostname or not parts.username or len(parts.path) < 2:
        raise ConfigError("DATABASE_URL needs a user, a host and a database name")
    if options.pop("sslmode", ["disable"])[-1] not in ("disable", "allow", "prefer"):
        raise ConfigError(
            "DATABASE_URL asks for TLS, which this service does not speak to its database: sslmode=disable"
        )
    if options:
        raise ConfigError(f"DATABASE_URL has an option that is not known: {sorted(options)[0]}")
    password = None if parts.password is None else unquote(parts.password)
    return Database(parts.hostname, port, unquote(parts.path[1:]), unquote(parts.username), password)


def parse_dotenv(text: str) -> dict[str, str]:
    """Read `NAME=value` lines; `#` starts a comment line, quotes around a value are dropped."""
    values = {}
    for line in text.splitlines():
        name, found, value = line.strip().partition("=")
        if found and not name.startswith("#"):
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name.removeprefix("export ").strip()] = value
    return values


def _number(env, name, default, low, high, kind=float):
    text = env.get(name)
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise ConfigError(f"{name} must be a number from {low} to {high}, not {text!r}")
    return value


def _switch(env, name, default):
    text = env.get(name, "").lower()
    if text in ("on", "true", "yes", "1"):
        return True
    if text in ("off", "false", "no", "0"):
        return False
    if text:
        raise ConfigError(f"{name} must be on or off, not {text!r}")
    return default
