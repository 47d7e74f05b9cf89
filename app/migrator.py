"""Applies and undoes migrations, one transaction each, under a lock that the whole database shares."""

import time
from collections.abc import Callable

from app import sql
from app.connection import Connection, StatementFailed
from app.migration_files import MigrationFile
from app.sql import Query


class MigrationError(Exception):
    """The migrator cannot go on; the message is one line that names the migration and the reason."""


class Migrator:
    """Runs migrations over one connection, as the owner of the schema.

    `timeout` bounds the wait for the lock and each statement, in seconds. Nothing is changed before `lock` returned.
    """

    def __init__(
        self,
        connection: Connection,
        timeout: float,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._connection = connection
        self._timeout = timeout
        self._say = say
        self._clock = clock
        self._sleep = sleep

    def lock(self) -> None:
        """Wait until no other migrator is at work. The lock ends with the connection. Raises MigrationError."""
        end, told = self._clock() + self._timeout, False
        while not self._run(sql.TRY_LOCK)[0][0]:
            # Trying again, rather than waiting inside PostgreSQL, holds no snapshot that would block an index build.
            if self._clock() > end:
                raise MigrationError(f"another migrator still held the lock after {self._timeout:g} s")
            if not told:
                self._say("Waiting for another migrator")
                told = True
            self._sleep(0.1)
        self._script(sql.CREATE_LEDGER)

    def ledger(self) -> list[list]:
        """Return the applied migrations in order, or none where there is no ledger yet."""
        if not self._run(sql.LEDGER_EXISTS)[0][0]:
            return []
        return self._run(sql.LEDGER)

    def up(self, files: list[MigrationFile], target: str | None = None) -> int:
        """Apply what is missing, up to the version `target`, and return how many that were. Raises MigrationError."""
        if target is not None and target not in {file.version for file in files}:
            raise MigrationError(f"version {target} is no migration here")
        applied = {row[0]: row for row in self.ledger()}
        check_ledger(files, applied)
        pending = [file for file in files if file.version not in applied and (target is None or file.version <= target)]
        for file in pending:
            self._in_transaction(file.name, file.up, lambda ms, file=file: self._record(file, ms), "Applied")
        return len(pending)

    def down(self, versions: list[str]) -> int:
        """Undo migrations, the newest first, with the down parts that the database keeps. Raises MigrationError."""
        rows = {row[0]: row for row in self.ledger()}
        for version in sorted(versions, reverse=True):
            name, down = rows[version][1], rows[version][4]
            self._in_transaction(name, down, lambda ms, version=version: self._run(sql.FORGET, (version,)), "Undone")
        return len(versions)

    def _record(self, file: MigrationFile, milliseconds: int) -> None:
        row = (file.version, file.name, file.checksum, file.breaking, file.down, milliseconds)
        self._run(sql.RECORD, row)

    def _in_transaction(self, name: str, script: str, book: Callable[[int], object], verb: str) -> None:
        start = self._clock()
        self._script(sql.BEGIN)
        try:
            transaction = self._run(sql.TRANSACTION)
            if script:
                self._script(script)
            if self._run(sql.TRANSACTION) != transaction:
                raise MigrationError(f"{name}: a migration must not begin or end transactions itself")
            book(int((self._clock() - start) * 1000))
            self._script(sql.COMMIT)
        except StatementFailed as error:
            self._script(sql.ROLLBACK)
            raise MigrationError(f"{name}: {error}") from error
        except MigrationError:
            self._script(sql.ROLLBACK)
            raise
        self._say(f"{verb}: {name} in {(self._clock() - start) * 1000:.0f} ms")

    def _run(self, query: Query, parameters: tuple = ()) -> list[list]:
        return self._connection.run(query, parameters, time.monotonic() + self._timeout + 1)

    def _script(self, text: str) -> None:
        self._connection.script(text, time.monotonic() + self._timeout + 1)


def check_ledger(files: list[MigrationFile], applied: dict[str, list]) -> None:
    """Refuse to build on a database that these files do not describe. Raises MigrationError."""
    for file in files:
        row = applied.get(file.version)
        if row is not None and row[2] != file.checksum:
            raise MigrationError(f"{file.name}: edited after it was applied as {row[1]}; undo that or add a new file")
        if row is None and applied and file.version < max(applied):
            raise MigrationError(f"{file.name}: older than {max(applied)}, which is applied; give it a newer number")


def versions_to_undo(
    applied: list[str], known: set[str], steps: int | None, target: str | None, unknown: bool
) -> list[str]:
    """Choose what `down` undoes: the last `steps`, what is newer than `target`, or what this image does not know.

    Raises MigrationError where the target is not applied, or where a known migration lies above an unknown one.
    """
    if target is not None:
        if target != "0" and target not in applied:
            raise MigrationError(f"version {target} is not applied")
        return [version for version in applied if version > target]
    if unknown:
        chosen = [version for version in applied if version not in known]
        above = [version for version in applied if chosen and version > min(chosen) and version in known]
        if above:
            raise MigrationError(f"{above[0]} is known here and lies above {min(chosen)}; undo by --to")
        return chosen
    return applied[-(1 if steps is None else steps) :] if steps != 0 else []
