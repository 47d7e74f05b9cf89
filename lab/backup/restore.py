"""`python -m lab restore FILE`: the variables are those of a backup, all at once.

The file has to have the checksum that is beside it, if one is. Then it is restored into a database beside, with the
schema that the lab has now; a file that is damaged, or no backup of the variables, or of another schema, is refused
there. The rows are then replaced in one transaction, which is only committed if the table holds what the backup holds.
Readers see the old rows until then; writers wait.

Nothing that Argo CD manages is changed, so it can go on.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.backup import BackupError
from lab.backup.database import LONGEST, MEASURE, TABLE, Content, Server, said
from lab.backup.dump import backup, sum_of
from lab.cache import file_digest
from lab.gitops import state

COLUMNS = (
    "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns"
    f" WHERE table_schema = 'public' AND table_name = '{TABLE}' AND is_generated = 'NEVER'"
)


def data_of(listing: str) -> list[str]:
    """Return the tables whose rows are in a dump, from what `pg_restore --list` says of it."""
    return re.findall(r"^\d+; \d+ \d+ TABLE DATA (\S+ \S+) ", listing, re.MULTILINE)


def refuse_foreign(server: Server, path: Path) -> None:
    """Raise BackupError unless the file is a dump with the rows of the variables, and of nothing else."""
    try:
        with path.open("rb") as file:
            start = file.read(5)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None
    if start != b"PGDMP":
        raise BackupError(f"{path} is no backup of the variables: it is no dump of PostgreSQL's custom format")
    # PostgreSQL's programs read no further than the last row; this sees all of the file.
    if sum_of(path).is_file() and file_digest(path) != sum_of(path).read_text().split()[0]:
        raise BackupError(f"{path} is damaged: it is not what {sum_of(path).name} says")
    try:
        with path.open("rb") as dump:
            listing = server.read(server.program("pg_restore", "--list"), dump)
    except BackupError as error:
        raise BackupError(f"{path} is damaged: {error}") from None
    if (tables := data_of(listing)) != [f"public {TABLE}"]:
        raise BackupError(f"{path} is no backup of the variables: it has the rows of {', '.join(tables) or 'no table'}")


@contextmanager
def beside(server: Server, path: Path) -> Iterator[tuple[str, Content]]:
    """Restore the rows into an empty table of today's schema; yield the database's name and what it holds."""
    schema = ["--schema-only", f"--table=public.{TABLE}", "--no-owner", "--no-privileges"]
    with server.scratch() as database, path.open("rb") as dump:
        pipe(server.command("pg_dump", server.database, *schema), server.psql(database))
        try:
            # As the owner of the table and of nothing else: whatever else the file says cannot do much.
            server.run(server.command("pg_restore", database, "--data-only", f"--table={TABLE}", "--exit-on-error", "--single-transaction"), dump)
        except BackupError as error:
            raise BackupError(f"{path} is damaged, or of another schema than the lab's: {error}") from None
        yield database, server.measure(database)


def pipe(first: list[str], second: list[str]) -> None:
    """Run two programs, the first's output the second's input. Raises BackupError with what either complains about."""
    with subprocess.Popen(first, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        try:
            done = subprocess.run(second, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired as error:
            source.kill()
            raise BackupError(str(error)) from None
        # Who has nobody left to write to, ends.
        source.stdout.close()
        complaint, code = source.stderr.read(), source.wait()
    if done.returncode:
        raise BackupError(said(done.stderr, done.returncode))
    if code:
        raise BackupError(said(complaint, code))


def replace(server: Server, database: str, content: Content) -> None:
    """Replace the rows by those of a database beside; nothing is changed unless the table then holds `content`."""
    columns = server.ask(server.database, COLUMNS)
    check = (f"DO $$ BEGIN IF ({MEASURE}) <> '{content.rows} {content.checksum}' THEN"
             " RAISE EXCEPTION 'the rows did not arrive as they are in the backup'; END IF; END $$")  # fmt: skip
    pipe(server.psql(database, f"--command=COPY {TABLE} ({columns}) TO STDOUT"),
         server.psql(server.database, "--single-transaction", f"--command=LOCK TABLE {TABLE} IN EXCLUSIVE MODE", f"--command=DELETE FROM {TABLE}",
                     f"--command=COPY {TABLE} ({columns}) FROM STDIN", f"--command={check}"))  # fmt: skip


def restore(server: Server, path: Path, folder: Path) -> tuple[Content, Path]:
    """Have the variables of a backup; return what they are, and the backup of what was there before, kept in `folder`."""
    refuse_foreign(server, path)
    with beside(server, path) as (database, content):
        before, _ = backup(server, folder)
        replace(server, database, content)
    return content, before


def main(argv: list[str]) -> int:
    """Restore; return 0, or 1 after one line that says why nothing was changed."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("file", help="the backup: make restore FILE=.lab/lab/backups/<time>.dump")
    args = options.parse_args(argv)

    def have() -> list[str]:
        lab = state.load(args.name)
        if not args.file:
            there = sorted((lab.state / "backups").glob("*.dump"))
            newest = there[-1].relative_to(lab.checkout) if there else "... (there is no backup yet: make backup)"
            raise BackupError(f"which backup? make restore FILE={newest}")
        content, before = restore(Server.of(lab), Path(args.file), lab.state / "backups")
        unchecked = [] if sum_of(Path(args.file)).is_file() else [
            f"not checked, as there is no {sum_of(Path(args.file)).name} beside it: whether the file is as it was written"]  # fmt: skip
        return [*unchecked, f"{content.rows:,} variables are as in {args.file}; what was there before: {before.relative_to(lab.checkout)}"]

    return state.answer(have, "restore", BackupError)
