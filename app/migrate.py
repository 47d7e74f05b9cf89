"""`python -m app.migrate`: wait for the database, bring its schema up or down, say where it stands."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app import config, sql
from app.connection import Connection, ConnectionLost, StatementFailed
from app.migration_files import FOLDER, BadMigration, MigrationFile, create, read_folder
from app.migrator import MigrationError, Migrator, check_ledger, versions_to_undo
from app.probes import unready
from app.store import Migration

DONE, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    # Not __doc__: the image runs without docstrings.
    what = "Wait for the database, bring its schema up or down, say where it stands."
    top = argparse.ArgumentParser(prog="python -m app.migrate", description=what)
    commands = top.add_subparsers(dest="command", required=True)
    wait = commands.add_parser("wait", help="wait until the database answers")
    wait.add_argument("--schema", action="store_true", help="and until every migration known here is applied")
    wait.add_argument("--timeout", type=float, default=60, help="seconds to wait at most (60)")
    up = commands.add_parser("up", help="apply what is missing")
    up.add_argument("--to", metavar="VERSION", help="stop after this version")
    down = commands.add_parser("down", help="undo the newest migration")
    chosen = down.add_mutually_exclusive_group()
    chosen.add_argument("--steps", type=_count, help="undo this many")
    chosen.add_argument("--to", metavar="VERSION", help="undo everything newer; 0 undoes all")
    chosen.add_argument("--unknown", action="store_true", help="undo what this image does not know")
    commands.add_parser("status", help="list migrations; exit code 1 while some are not applied")
    new = commands.add_parser("new", help="write an empty migration file")
    new.add_argument("name")
    return top


def main(argv: list[str] | None = None, environ: Mapping[str, str] | None = None, folder: Path = FOLDER) -> int:
    """Run one command on the migrations in `folder`. Exit codes: 0 done, 1 failed or not there yet, 2 wrong usage or settings."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.command == "new":
            print(create(arguments.name, folder))
            return DONE
        settings = config.load(environ)
        files = read_folder(folder)
        if arguments.command == "wait":
            return wait(settings, files if arguments.schema else None, arguments.timeout)
        return COMMANDS[arguments.command](settings, files, arguments)
    except config.ConfigError as error:
        return _fail(str(error), USAGE)
    except (MigrationError, BadMigration, ConnectionLost, StatementFailed) as error:
        return _fail(str(error), FAILED)


def wait(settings: config.Settings, files: list[MigrationFile] | None, timeout: float) -> int:
    """Try every half second until the database answers, and until `files` are applied if there are any to wait for."""
    end, told = time.monotonic() + timeout, None
    while True:
        reason = _not_yet(settings, files)
        if reason is None:
            _say("The database answers" if files is None else "The schema is up to date")
            return DONE
        if time.monotonic() >= end:
            return _fail(f"gave up after {timeout:g} s: {reason}", FAILED)
        if reason != told:
            _say(f"Waiting: {reason}")
            told = reason
        time.sleep(0.5)


def up(settings: config.Settings, files: list[MigrationFile], arguments: argparse.Namespace) -> int:
    """Apply what is missing."""
    with _connected(settings) as connection:
        migrator = Migrator(connection, settings.migrate_timeout, _say)
        migrator.lock()
        if not migrator.up(files, arguments.to):
            _say("Nothing to apply")
    return DONE


def down(settings: config.Settings, files: list[MigrationFile], arguments: argparse.Namespace) -> int:
    """Undo migrations."""
    known = {file.version for file in files}
    with _connected(settings) as connection:
        migrator = Migrator(connection, settings.migrate_timeout, _say)
        migrator.lock()
        applied = [row[0] for row in migrator.ledger()]
        chosen = versions_to_undo(applied, known, arguments.steps, arguments.to, arguments.unknown)
        if not migrator.down(chosen):
            _say("Nothing to undo")
    return DONE


def status(settings: config.Settings, files: list[MigrationFile], arguments: argparse.Namespace) -> int:
    """List every migration: applied, pending, edited or unknown to this image."""
    known = {file.version: file for file in files}
    with _connected(settings) as connection:
        rows = {row[0]: row for row in Migrator(connection, settings.migrate_timeout).ledger()}
    pending = known.keys() - rows.keys()
    for version in sorted(known.keys() | rows.keys()):
        row, file = rows.get(version), known.get(version)
        if row is None:
            print(f"pending  {file.name}")
        else:
            state = "unknown" if file is None else "applied" if file.checksum == row[2] else "edited"
            breaking = ", breaking" if row[3] else ""
            print(f"{state:8} {row[1]}  {row[5]} in {row[6]} ms{breaking}")
    check_ledger(files, rows)
    return FAILED if pending else DONE


COMMANDS = {"up": up, "down": down, "status": status}


class _connected:
    """A connection for the migrator, whose session PostgreSQL itself ends when this process is gone."""

    def __init__(self, settings: config.Settings):
        self._settings = settings

    def __enter__(self) -> Connection:
        settings = self._settings
        options = {
            "statement_timeout": str(int(settings.migrate_timeout * 1000)),
            "idle_in_transaction_session_timeout": "60000",
            "client_connection_check_interval": "1000",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        }
        timeout = min(settings.migrate_timeout, 10)
        self._connection = Connection(settings.database, timeout, options, "migrate")
        return self._connection

    def __exit__(self, *exception: object) -> None:
        self._connection.close()


def _not_yet(settings: config.Settings, files: list[MigrationFile] | None) -> str | None:
    try:
        connection = Connection(settings.database, 2, {"statement_timeout": "2000"}, "migrate wait")
        try:
            if files is None:
                connection.script(sql.PING, time.monotonic() + 2)
                return None
            rows = connection.run(sql.SCHEMA, (), time.monotonic() + 2)
        finally:
            connection.close()
    except StatementFailed:
        # No ledger yet, or none that this role may read.
        return "the schema is not there yet"
    except ConnectionLost as error:
        return f"the database does not answer: {error}"
    return unready({file.version: file.checksum for file in files}, (Migration(*row) for row in rows))


def _count(text: str) -> int:
    # A negative one would be a slice from the other end: all but the oldest.
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number of migrations is needed, not {text!r}")
    return int(text)


def _say(text: str) -> None:
    # Flushed, since in a pod's log a line that comes after the kill does not come at all.
    print(text, flush=True)


def _fail(text: str, code: int) -> int:
    print(f"migrate: {text}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
