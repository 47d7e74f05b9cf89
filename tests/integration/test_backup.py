"""Backups of the variables, on a real PostgreSQL with its own programs: made, refused, restored."""

import os
import random
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from lab.backup import BackupError, restore
from lab.backup.database import Content, Server
from lab.backup.dump import backup, free_name
from lab.backup.restore import beside, data_of
from lab.embedded import PASSWORDS, binaries

ROWS = "SELECT name, value, updated_at FROM variables ORDER BY name"


@pytest.fixture
def server(migrated, tmp_path):
    """The server's programs, logged in to a migrated database by a file of passwords: that is how a test may."""
    passwords = tmp_path / "pgpass"
    passwords.write_text("".join(f"127.0.0.1:*:*:{role}:{word}\n" for role, word in PASSWORDS.items()))
    passwords.chmod(0o600)
    prefix = ["env", f"PATH={binaries()}:{os.environ['PATH']}", f"PGPASSFILE={passwords}"]
    return Server(prefix, migrated.server.port, migrated.name)


@pytest.fixture
def filled(migrated):
    """A database with values that an escape forgotten anywhere would spoil."""
    migrated.sql(r"""
        INSERT INTO variables (name, value, updated_at) VALUES
            ('a', '1', '2026-01-02 03:04:05.678901+02'), ('empty', '', now()), ('backslash', '\.', now()), ('null', '\N', now()),
            ('über/ %', E'tab\tline\nend', now()), ('quote', $$it's "so"$$, now()), ('long', repeat('x', 65536), now());
        INSERT INTO variables (name, value) SELECT 'n' || n, repeat(md5(n::text), 10) FROM generate_series(1, 500) AS n""")
    return migrated


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def made(server, filled, folder):
    """A backup of the filled database."""
    return backup(server, folder)[0]


def databases(database):
    """Return what a check may have left on the server."""
    return database.sql("SELECT datname FROM pg_database WHERE datname LIKE 'vars_check%'")


def change(database):
    """Change every kind of thing that a restore has to take back."""
    database.sql("DELETE FROM variables WHERE name < 'n2'; UPDATE variables SET value = 'new' WHERE name = 'n3'; INSERT INTO variables VALUES ('z', '1')")
    return database.sql(ROWS)


def test_backup_says_what_it_holds(server, filled, folder):
    path, content = backup(server, folder, lambda layout: "20260102-030405")
    assert (path, content.rows) == (folder / "20260102-030405.dump", 507)
    assert content == server.measure(filled.name)


def test_only_its_owner_can_read_a_backup(made):
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o600, 0o700]


def test_checksum_beside_a_backup_is_one_that_others_read(made):
    done = subprocess.run(["sha256sum", "--check", f"{made.name}.sha256"], cwd=made.parent, capture_output=True, text=True)
    assert done.stdout == f"{made.name}: OK\n"


def test_nothing_is_left_beside_a_backup(made, filled):
    assert sorted(path.name for path in made.parent.iterdir()) == [made.name, f"{made.name}.sha256"]
    assert databases(filled) == ""


def test_second_backup_in_a_second_has_a_name_of_its_own(tmp_path):
    for expected in ("t.dump", "t-2.dump", "t-3.dump"):
        path = free_name(tmp_path, "t")
        assert path.name == expected
        path.touch()


def test_backup_of_an_empty_table_is_one(server, migrated, folder):
    path, content = backup(server, folder)
    migrated.sql("INSERT INTO variables VALUES ('a', '1')")
    assert restore.restore(server, path, folder)[0] == content
    assert migrated.sql(ROWS) == ""


def test_what_is_written_meanwhile_is_not_in_it(server, filled):
    with server.frozen() as (_, content):
        change(filled)
    assert content != server.measure(filled.name)


def test_backup_is_whole_while_others_write(server, filled, folder):
    done = threading.Event()

    def write():
        while not done.is_set():
            filled.sql("UPDATE variables SET value = value || '.', updated_at = now() WHERE name LIKE 'n1%'")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert backup(server, folder)[1].rows == 507
    finally:
        done.set()
        writer.join()


def test_dump_that_does_not_hold_the_rows_is_no_backup(server, filled, folder, monkeypatch):
    monkeypatch.setattr("lab.backup.dump.restored", lambda server, path: Content(506, "0"))
    with pytest.raises(BackupError, match="506 rows of 507"):
        backup(server, folder)
    assert list(folder.iterdir()) == []


def test_backup_without_a_database_is_one_line(server, migrated, folder):
    migrated.sql("DROP TABLE variables")
    with pytest.raises(BackupError, match='relation "variables" does not exist'):
        backup(server, folder)
    assert list(folder.iterdir()) == []


def test_restore_takes_every_change_back(server, filled, folder, made):
    before = filled.sql(ROWS)
    assert change(filled) != before
    content, _ = restore.restore(server, made, folder)
    assert filled.sql(ROWS) == before
    assert (content.rows, databases(filled)) == (507, "")


def test_restore_can_be_taken_back(server, filled, folder, made):
    changed = change(filled)
    _, undo = restore.restore(server, made, folder)
    restore.restore(server, undo, folder)
    assert filled.sql(ROWS) == changed


def test_service_may_still_write_after_a_restore(server, filled, folder, made):
    restore.restore(server, made, folder)
    filled.server.psql("INSERT INTO variables VALUES ('after', '1')", "vars_app", filled.name)
    assert filled.sql("SELECT value FROM variables WHERE name = 'after'") == "1"


def test_readers_are_not_kept_waiting_and_writers_are(server, filled, made, monkeypatch):
    class Stop(Exception):
        pass

    def locked(first, second):
        statement = next(word for word in second if "LOCK TABLE" in word).partition("=")[2]
        found = filled.sql(f"BEGIN; {statement}; SELECT string_agg(mode, ' ') FROM pg_locks WHERE relation = 'variables'::regclass AND pid = pg_backend_pid()")
        raise Stop(found)

    with beside(server, made) as (database, content):
        monkeypatch.setattr(restore, "pipe", locked)
        with pytest.raises(Stop, match="^ExclusiveLock$"):
            restore.replace(server, database, content)


def test_rows_that_do_not_arrive_change_nothing(server, filled, made):
    before = change(filled)
    with beside(server, made) as (database, content), pytest.raises(BackupError, match="did not arrive"):
        restore.replace(server, database, Content(content.rows, "0" * 64))
    assert filled.sql(ROWS) == before


def test_source_that_dies_changes_nothing(server, filled):
    before = filled.sql(ROWS)
    with pytest.raises(BackupError):
        restore.replace(server, "vars_check_gone", Content(507, "0" * 64))
    assert filled.sql(ROWS) == before


def test_file_that_is_not_as_it_was_made_is_refused(server, filled, folder, made):
    made.write_bytes(made.read_bytes()[:-1])
    with pytest.raises(BackupError, match=f"{made.name} is damaged: it is not what {made.name}.sha256 says"):
        restore.restore(server, made, folder)


@pytest.mark.parametrize("left", [5, 60, 0.5], ids=["magic", "header", "half"])
def test_truncated_file_is_refused_before_anything_changes(server, filled, folder, made, left):
    (made.parent / f"{made.name}.sha256").unlink()
    before = filled.sql(ROWS)
    data = made.read_bytes()
    made.write_bytes(data[: int(len(data) * left) if isinstance(left, float) else left])
    with pytest.raises(BackupError, match="is damaged"):
        restore.restore(server, made, folder)
    assert (filled.sql(ROWS), list(folder.iterdir()), databases(filled)) == (before, [made], "")


def test_no_flipped_byte_brings_other_rows(server, filled, made):
    (made.parent / f"{made.name}.sha256").unlink()
    data, right = made.read_bytes(), server.measure(filled.name)
    seed = random.randrange(10**6)
    refused = 0
    for position in random.Random(seed).sample(range(len(data)), 12):
        made.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            restore.refuse_foreign(server, made)
            with beside(server, made) as (_, content):
                assert content == right, f"seed {seed}, byte {position}"
        except BackupError:
            refused += 1
    # Nearly all of the file is rows, and those have a checksum.
    assert refused > 6, f"seed {seed}"


def foreign(server, database, path, *words):
    """Write a dump of something else."""
    database.sql("CREATE TABLE other (a text); INSERT INTO other VALUES ('1')")
    with path.open("wb") as file:
        server.run(server.command("pg_dump", database.name, "--format=custom", *words, role="postgres"), into=file)


@pytest.mark.parametrize(
    ("words", "rows"), [(["--table=other"], "public other"), ([], "public other, public schema_migrations, public variables"), (["--schema-only"], "no table")]
)
def test_dump_of_something_else_is_refused(server, migrated, folder, tmp_path, words, rows):
    foreign(server, migrated, tmp_path / "x.dump", *words)
    with pytest.raises(BackupError, match=f"no backup of the variables: it has the rows of {rows}$"):
        restore.restore(server, tmp_path / "x.dump", folder)


@pytest.mark.parametrize(
    ("name", "reason"), [("text", "it is no dump"), ("empty", "it is no dump"), ("gone", "No such file"), (".", "Is a directory")]
)
def test_file_that_is_no_dump_is_refused(server, tmp_path, name, reason):
    (tmp_path / "text").write_text("-- PostgreSQL database dump\n")
    (tmp_path / "empty").touch()
    with pytest.raises(BackupError, match=reason):
        restore.restore(server, Path(tmp_path / name), tmp_path)


def test_backup_of_another_schema_is_refused(server, filled, folder, made):
    filled.sql("ALTER TABLE variables RENAME COLUMN value TO worth")
    with pytest.raises(BackupError, match="is damaged, or of another schema than the lab's: .*value"):
        restore.restore(server, made, folder)
    assert filled.sql("SELECT count(*) FROM variables") == "507"


def test_backup_from_before_a_column_was_added_has_its_default(server, filled, folder, made):
    filled.sql("ALTER TABLE variables ADD COLUMN note text NOT NULL DEFAULT 'none'; UPDATE variables SET note = 'some'")
    restore.restore(server, made, folder)
    assert filled.sql("SELECT note, count(*) FROM variables GROUP BY note") == "none|507"


def test_list_of_a_dump_is_read():
    assert data_of("; Archive\n215; 1259 16386 TABLE public variables vars_owner\n3346; 0 16386 TABLE DATA public variables vars_owner\n") == ["public variables"]
