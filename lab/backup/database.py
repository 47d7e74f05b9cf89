"""The service's database, by way of the programs beside the server.

In the lab they run in the database's own pod: loopback there asks for no password, so none is on a command line, and
they are always those of the server's version.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from lab.backup import BackupError
from lab.gitops.state import SERVICE, Lab

TABLE = "variables"
# Scratch databases are made by the superuser; everything else is done by the role that owns the table.
SUPERUSER, OWNER = "postgres", "vars_owner"
# Seconds that one program may take.
LONGEST = 600
# What is read is asked for so many times at most, and ends with this line; the script runs a program and says that it was run to its end.
TRIES, END, TO_ITS_END = 3, "-- that was all", '"$@" && echo "$0"'

# Row by row, so that it needs little memory; in the order of the key, so that it is the same wherever the rows are.
MEASURE = (
    "SELECT count(*) || ' ' || encode(sha256(coalesce(string_agg(sha256(convert_to(v::text, 'UTF8')), '' ORDER BY name), '')), 'hex')"
    f" FROM {TABLE} AS v"
)


@dataclass(frozen=True)
class Content:
    """What the table holds: how many rows, and a checksum of all their columns."""

    rows: int
    checksum: str

    @classmethod
    def read(cls, line: str) -> Content:
        """Take what MEASURE answers."""
        rows, _, checksum = line.strip().partition(" ")
        return cls(int(rows), checksum)


class Server:
    """A PostgreSQL whose programs are started by `prefix`."""

    def __init__(self, prefix: Sequence[str], port: int = 5432, database: str = "vars") -> None:
        """Take what a command line begins with, and the port on the loopback address and the database that are then meant."""
        self._prefix, self._port, self.database = list(prefix), port, database

    @classmethod
    def of(cls, lab: Lab) -> Server:
        """Return the server of a lab."""
        where = lab.kubectl_options()
        return cls([where.kubectl, "--kubeconfig", where.kubeconfig, "--context", where.context, "--cache-dir", where.cache,
                    "exec", "--stdin", "--quiet", "--namespace", SERVICE, "deployment/db", "--container=postgres", "--"])  # fmt: skip

    def program(self, name: str, *words: str) -> list[str]:
        """Return the command line of one of PostgreSQL's programs."""
        return [*self._prefix, name, *words]

    def command(self, program: str, database: str, *words: str, role: str = OWNER) -> list[str]:
        """Return the command line of a program that is logged in to a database."""
        return self.program(program, "--host=127.0.0.1", f"--port={self._port}", f"--username={role}", "--no-password",
                            f"--dbname={database}", *words)  # fmt: skip

    def psql(self, database: str, *words: str, role: str = OWNER) -> list[str]:
        """Return the command line of psql: no settings of the user's own, the first error ends it, times in UTC."""
        return self.command("psql", f"dbname={database} options='-c timezone=UTC -c search_path=public -c lock_timeout=10s'", "--no-psqlrc",
                            "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", *words, role=role)  # fmt: skip

    def run(self, command: Sequence[str], given: IO | None = None, into: IO | int = subprocess.PIPE) -> bytes:
        """Run a program to its end; return what it printed. Raises BackupError with its own last line."""
        try:
            done = subprocess.run(command, stdin=given or subprocess.DEVNULL, stdout=into, stderr=subprocess.PIPE, timeout=LONGEST, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackupError(f"{error}") from error
        if done.returncode:
            raise BackupError(said(done.stderr, done.returncode))
        return done.stdout or b""

    def read(self, command: Sequence[str], given: IO | None = None) -> str:
        """Run a program that changes nothing, and return all that it printed. Raises BackupError with its own last line.

        `kubectl exec` may lose some of it, or all, and end as if it had not (kubernetes/kubernetes#124571; seen here once, on a busy
        machine: a dump's list was empty). So what is printed ends with a line of ours, and where that is missing the program runs again.
        """
        words = self.program("sh", "-c", TO_ITS_END, END, *command[len(self._prefix) :])
        for _ in range(TRIES):
            if given:
                given.seek(0)
            printed = self.run(words, given).decode(errors="replace")
            if printed.endswith(f"{END}\n"):
                return printed.removesuffix(f"{END}\n")
        raise BackupError(f"what {command[len(self._prefix)]} printed was lost on the way, {TRIES} times: make status says whether the cluster is well")

    def do(self, database: str, statement: str, role: str = OWNER) -> None:
        """Run a statement that changes something, in a transaction of its own. Raises BackupError."""
        self.run(self.psql(database, f"--command={statement}", role=role))

    def ask(self, database: str, statement: str) -> str:
        """Return what a statement answers that changes nothing. Raises BackupError."""
        return self.read(self.psql(database, f"--command={statement}")).strip()

    def measure(self, database: str) -> Content:
        """Return what the table holds."""
        return Content.read(self.ask(database, MEASURE))

    @contextlib.contextmanager
    def frozen(self) -> Iterator[tuple[str, Content]]:
        """Hold the database as it is now, while it is written to; yields the snapshot's name and what the table holds in it."""
        steps = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT pg_export_snapshot()", MEASURE)
        # After the steps it reads its input: the end of that ends psql, and with it the transaction.
        command = self.psql(self.database, *(f"--command={step}" for step in steps), "--file=-")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as psql:
            end = threading.Timer(LONGEST, psql.kill)
            end.start()
            try:
                name, line = (psql.stdout.readline().decode().strip() for _ in range(2))
                if not line:
                    raise BackupError(said(psql.stderr.read(), psql.wait()))
                yield name, Content.read(line)
            finally:
                psql.stdin.close()
                psql.wait()
                end.cancel()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """Yield the name of an empty database in the same server; it goes, whatever happens."""
        name = f"vars_check_{uuid.uuid4().hex[:12]}"
        self.do("postgres", f"CREATE DATABASE {name} TEMPLATE template0 OWNER {OWNER}", role=SUPERUSER)
        try:
            self.do(name, f"ALTER SCHEMA public OWNER TO {OWNER}", role=SUPERUSER)
            yield name
        finally:
            self.do("postgres", f"DROP DATABASE {name} WITH (FORCE)", role=SUPERUSER)


def said(stderr: bytes, code: int | None) -> str:
    """Return what a program complained about: its first error, or else its last line."""
    lines = [line for line in stderr.decode(errors="replace").strip().splitlines() if not line.startswith("command terminated")]
    errors = [line for line in lines if "error:" in line.lower()]
    return (errors or lines[-1:] or [f"exit code {code}"])[0]
