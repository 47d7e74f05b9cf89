"""`python -m lab backup`: the variables in one file, proven by restoring it beside the database."""

from __future__ import annotations

import os
import time
from pathlib import Path

from lab.backup import BackupError
from lab.backup.database import TABLE, Content, Server
from lab.cache import file_digest
from lab.gitops import state


def free_name(folder: Path, stamp: str) -> Path:
    """Return the path of a backup made at `stamp` that does not exist yet."""
    number, path = 1, folder / f"{stamp}.dump"
    while path.exists():
        number += 1
        path = folder / f"{stamp}-{number}.dump"
    return path


def sum_of(path: Path) -> Path:
    """Return where the checksum of a backup is, in the form that `sha256sum --check` reads."""
    return path.with_name(f"{path.name}.sha256")


def restored(server: Server, path: Path) -> Content:
    """Return what the table holds after the file was restored into an empty database. Raises BackupError."""
    with server.scratch() as database, path.open("rb") as dump:
        server.run(server.command("pg_restore", database, "--exit-on-error", "--no-owner", "--no-privileges"), dump)
        return server.measure(database)


def backup(server: Server, folder: Path, clock=time.strftime) -> tuple[Path, Content]:
    """Write a dump that only its owner can read, and prove it; return its path and what it holds.

    What is written while the dump is made is not in it. A dump that cannot be restored to the same rows is removed again.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = folder / f".{os.getpid()}.partial"
    try:
        with server.frozen() as (snapshot, content), os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            words = ("--format=custom", f"--table=public.{TABLE}", f"--snapshot={snapshot}", "--lock-wait-timeout=10s")
            server.run(server.command("pg_dump", server.database, *words), into=file)
        found = restored(server, partial)
        if found != content:
            raise BackupError(f"the dump does not hold what the database does: {found.rows} rows of {content.rows}, or other values")
        path = free_name(folder, clock("%Y%m%d-%H%M%S"))
        sum_of(path).write_text(f"{file_digest(partial)}  {path.name}\n")
        return partial.rename(path), content
    finally:
        partial.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    """Print where the backup is; return 0, or 1 after one line that says why there is none."""
    args = state.parser(__doc__.splitlines()[0]).parse_args(argv)

    def make() -> list[str]:
        lab = state.load(args.name)
        path, content = backup(Server.of(lab), lab.state / "backups")
        return [f"{path.relative_to(lab.checkout)}: {content.rows:,} variables, restored into a database beside and compared"]

    return state.answer(make, "backup", BackupError)
