"""Migrations as files: plain SQL with an up part and a down part."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("migrations")
_FILE = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")
_UP = re.compile(r"^-- migrate:up( breaking)?[ \t]*$", re.MULTILINE)
_DOWN = re.compile(r"^-- migrate:down[ \t]*$", re.MULTILINE)


class BadMigration(Exception):
    """A migration file that cannot be used; the message names it and says why."""


class MigrationFile(NamedTuple):
    """One file. `checksum` is the SHA-256 of all its bytes."""

    version: str
    name: str
    up: str
    down: str
    breaking: bool
    checksum: str


def read_folder(folder: Path = FOLDER) -> list[MigrationFile]:
    """Read all migrations of a folder in the order of their versions. Raises BadMigration."""
    files = [read_file(path) for path in sorted(folder.glob("*.sql"))]
    for one, other in zip(files, files[1:], strict=False):
        if one.version == other.version:
            raise BadMigration(f"{other.name}: version {other.version} is taken by {one.name}")
    return files


def read_file(path: Path) -> MigrationFile:
    """Read one migration: `-- migrate:up`, optionally with ` breaking`, then `-- migrate:down`. Raises BadMigration."""
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise BadMigration(f"{path.name}: a migration is named like 0007_add_index.sql")
    data = path.read_bytes()
    text = data.decode("utf-8")
    up, down = _UP.search(text), _DOWN.search(text)
    if up is None or down is None or down.start() < up.end():
        raise BadMigration(f"{path.name}: a line '-- migrate:up' and, after it, a line '-- migrate:down' are needed")
    return MigrationFile(
        version=match[1],
        name=path.name,
        up=text[up.end() : down.start()].strip(),
        down=text[down.end() :].strip(),
        breaking=up[1] is not None,
        checksum=hashlib.sha256(data).hexdigest(),
    )


def known_migrations(folder: Path = FOLDER) -> dict[str, str]:
    """Return the checksums of this image's migrations by version. Raises BadMigration."""
    return {each.version: each.checksum for each in read_folder(folder)}


def create(name: str, folder: Path = FOLDER) -> Path:
    """Write an empty migration with the next free number and return its path. Raises BadMigration."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug:
        raise BadMigration("a migration needs a name of letters and digits")
    files = read_folder(folder)
    number = int(files[-1].version) + 1 if files else 1
    path = folder / f"{number:04d}_{slug}.sql"
    path.write_text("-- migrate:up\n\n-- migrate:down\n", encoding="utf-8")
    return path
