"""Migrations on a real PostgreSQL: files, ledger, refusals, and many migrators at once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app import migrate
from app.migration_files import BadMigration, create, read_file
from app.migrator import MigrationError, versions_to_undo

ROOT = Path(__file__).resolve().parents[2]


def write(folder, version, up, down="", mark="", name="step"):
    path = folder / f"{version:04d}_{name}.sql"
    path.write_text(f"-- migrate:up{mark}\n{up}\n-- migrate:down\n{down}\n")
    return path


@pytest.fixture
def folder(tmp_path):
    """Three small migrations."""
    for number in (1, 2, 3):
        write(tmp_path, number, f"CREATE TABLE t{number} (x int);", f"DROP TABLE t{number};")
    return tmp_path


def tables(database):
    return database.sql(
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE tablename ~ '^t[0-9]'"
    )


def test_up_and_down(database, folder, capsys):
    assert database.migrate("status", folder=folder) == 1
    assert capsys.readouterr().out.splitlines() == [f"pending  000{n}_step.sql" for n in (1, 2, 3)]
    assert database.migrate("up", "--to", "0002", folder=folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" in ")[0] for line in lines] == ["Applied: 0001_step.sql", "Applied: 0002_step.sql"]
    assert lines[0].endswith(" ms") and tables(database) == "t1 t2"
    assert database.migrate("up", folder=folder) == 0
    assert database.migrate("up", folder=folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to apply"
    assert database.migrate("status", folder=folder) == 0
    assert capsys.readouterr().out.count("applied  ") == 3
    assert database.migrate("down", folder=folder) == 0
    assert tables(database) == "t1 t2"
    assert database.migrate("down", "--steps", "0", folder=folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing to undo"
    assert database.migrate("down", "--to", "0", folder=folder) == 0
    assert tables(database) == ""


def test_an_older_image_undoes_a_newer_file(database, folder, capsys):
    assert database.migrate("up", folder=folder) == 0
    (folder / "0003_step.sql").unlink()
    assert database.migrate("status", folder=folder) == 0
    assert "unknown  0003_step.sql" in capsys.readouterr().out
    assert database.migrate("wait", "--schema", "--timeout", "0", folder=folder) == 0
    assert database.migrate("up", folder=folder) == 0
    assert database.migrate("down", "--unknown", folder=folder) == 0
    assert "Undone: 0003_step.sql in " in capsys.readouterr().out
    assert tables(database) == "t1 t2"
    assert database.migrate("down", "--unknown", folder=folder) == 0


def test_breaking_is_kept(database, folder, capsys):
    write(folder, 4, "SELECT 1;", mark=" breaking")
    assert database.migrate("up", folder=folder) == 0
    (folder / "0004_step.sql").unlink()
    assert database.migrate("status", folder=folder) == 0
    assert "breaking" in capsys.readouterr().out.splitlines()[-1]
    assert database.migrate("wait", "--schema", "--timeout", "0", folder=folder) == 1
    assert "0004 is newer than this version and breaks it" in capsys.readouterr().err


def test_an_edited_file_is_refused(database, folder, capsys):
    assert database.migrate("up", folder=folder) == 0
    write(folder, 2, "CREATE TABLE t2 (x bigint);", "DROP TABLE t2;")
    capsys.readouterr()
    for command in ("up", "status"):
        assert database.migrate(command, folder=folder) == 1
        output = capsys.readouterr()
        assert "0002_step.sql: edited after it was applied" in output.err
    assert "edited   0002_step.sql" in output.out


def test_an_older_file_that_comes_late_is_refused(database, folder, capsys):
    (folder / "0002_step.sql").rename(folder / "0002_step.later")
    assert database.migrate("up", folder=folder) == 0
    (folder / "0002_step.later").rename(folder / "0002_step.sql")
    assert database.migrate("up", folder=folder) == 1
    assert "0002_step.sql: older than 0003" in capsys.readouterr().err


def test_a_failing_migration_leaves_nothing(database, folder, capsys):
    write(folder, 4, "CREATE TABLE t4 (x int); INSERT INTO nowhere VALUES (1);")
    write(folder, 5, "CREATE TABLE t5 (x int);")
    assert database.migrate("up", folder=folder) == 1
    assert "0004_step.sql" in capsys.readouterr().err
    assert tables(database) == "t1 t2 t3"
    assert database.sql("SELECT count(*) FROM schema_migrations") == "3"


@pytest.mark.parametrize("text", ["COMMIT; BEGIN;", "COMMIT;", "ROLLBACK; BEGIN;"])
def test_a_migration_may_not_end_its_transaction(database, folder, capsys, text):
    write(folder, 4, f"SELECT 1; {text} SELECT 2;")
    assert database.migrate("up", folder=folder) == 1
    assert "must not begin or end transactions" in capsys.readouterr().err


def test_an_empty_part_is_fine(database, tmp_path):
    write(tmp_path, 1, "", "")
    assert database.migrate("up", folder=tmp_path) == 0
    assert database.migrate("down", folder=tmp_path) == 0


@pytest.mark.parametrize("wrong", ["abc", "2", "9999"])
def test_up_to_what_is_no_migration(database, folder, capsys, wrong):
    assert database.migrate("up", "--to", wrong, folder=folder) == 1
    assert capsys.readouterr().err == f"migrate: version {wrong} is no migration here\n"
    assert tables(database) == ""


@pytest.mark.parametrize("wrong", ["--to=9999", "--steps=x", "--steps=-1"])
def test_wrong_targets(database, folder, capsys, wrong):
    assert database.migrate("up", folder=folder) == 0
    try:
        code = database.migrate("down", wrong, folder=folder)
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2) and capsys.readouterr().err
    assert tables(database) == "t1 t2 t3"


def test_what_is_undone():
    applied = ["1", "2", "3"]
    assert versions_to_undo(applied, {"1", "2", "3"}, None, None, False) == ["3"]
    assert versions_to_undo(applied, set(), 2, None, False) == ["2", "3"]
    assert versions_to_undo(applied, set(), None, "1", False) == ["2", "3"]
    assert versions_to_undo(applied, {"1", "2", "3"}, None, None, True) == []
    with pytest.raises(MigrationError, match="3 is known here and lies above 2"):
        versions_to_undo(applied, {"1", "3"}, None, None, True)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("1_x.sql", "", "named like"),
        ("0001_x.sql", "SELECT 1;", "are needed"),
        ("0001_x.sql", "-- migrate:down\n-- migrate:up\n", "are needed"),
        ("0001_x.sql", "-- migrate:up\n", "are needed"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadMigration, match=reason) as caught:
        read_file(tmp_path / name)
    assert name in str(caught.value)


def test_two_files_of_one_version(database, folder, capsys):
    write(folder, 3, "SELECT 1;", name="twin")
    assert database.migrate("up", folder=folder) == 1
    assert "version 0003 is taken by 0003_step.sql" in capsys.readouterr().err


def test_new(folder, tmp_path_factory, capsys):
    assert create("Add an index!", folder).name == "0004_add_an_index.sql"
    assert create("first", tmp_path_factory.mktemp("empty")).name == "0001_first.sql"
    assert migrate.main(["new", "more"], {}, folder) == 0
    assert capsys.readouterr().out.strip().endswith("0005_more.sql")
    assert migrate.main(["new", "!"], {}, folder) == 1


def test_settings_are_checked(capsys):
    assert migrate.main(["up"], {"APP_ENV": "production"}) == 2
    assert "DATABASE_URL is not set" in capsys.readouterr().err


def test_wait_for_a_database_that_never_answers(database, capsys):
    environ = {**database.environ(), "DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/vars"}
    begin = time.monotonic()
    assert migrate.main(["wait", "--timeout", "0.7"], environ) == 1
    output = capsys.readouterr()
    assert output.out.count("Waiting: the database does not answer") == 1
    assert "gave up after 0.7 s" in output.err and "secret" not in output.out + output.err
    assert time.monotonic() - begin < 3
    assert migrate.main(["up"], environ) == 1


def test_wait_for_the_schema_as_the_service(database, folder, capsys):
    assert database.migrate("wait") == 0
    environ = database.environ("vars_app")
    assert migrate.main(["wait", "--schema", "--timeout", "0"], environ) == 1
    assert "the schema is not there yet" in capsys.readouterr().err
    timer = threading.Timer(0.7, database.migrate, ("up",))
    timer.start()
    assert migrate.main(["wait", "--schema", "--timeout", "20"], environ) == 0
    timer.join()
    assert "The schema is up to date" in capsys.readouterr().out


def test_the_schema_of_this_checkout_goes_up_and_down(database):
    before = dump(database)
    assert database.migrate("up") == 0
    assert database.migrate("down", "--to", "0") == 0
    assert dump(database) == before


def test_another_encoding_is_refused(postgres, new_database, capsys):
    database = new_database()
    postgres.psql(f"DROP DATABASE {database.name}")
    postgres.psql(
        f"CREATE DATABASE {database.name} OWNER vars_owner TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    )
    assert database.migrate("up") == 1
    assert "must be encoded in UTF8" in capsys.readouterr().err


def test_a_held_lock_is_waited_for_and_not_for_ever(database, folder, capsys):
    holder = subprocess.Popen(migrator(), cwd=ROOT, env=environment(database, write_slow(folder)))
    try:
        while not database.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"):
            time.sleep(0.05)
        assert database.migrate("up", folder=folder, MIGRATE_TIMEOUT="0.5") == 1
    finally:
        holder.kill()
        holder.wait()
    output = capsys.readouterr()
    assert output.out.count("Waiting for another migrator") == 1
    assert "still held the lock after 0.5 s" in output.err


def write_slow(folder):
    write(folder, 4, "SELECT pg_sleep(30);")
    return folder


def migrator():
    return [
        sys.executable,
        "-c",
        "import sys; from app import migrate; sys.exit(migrate.main(['up'], None, "
        "__import__('pathlib').Path(__import__('os').environ['FOLDER'])))",
    ]


def environment(database, folder):
    return {**os.environ, **database.environ(), "FOLDER": str(folder)}


def dump(database):
    """Describe every column, constraint and grant of the database, and what the ledger says."""
    return database.sql(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.relacl, a.attacl"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace"
        " AND a.attnum > 0 AND c.relname <> 'schema_migrations' AND c.relname <> 'schema_migrations_pkey' ORDER BY 1, 2;"
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " AND conrelid <> coalesce(to_regclass('schema_migrations'), 0) ORDER BY 1;"
    )


def fixture_migrations(folder):
    """Six that work, one of them slow, and a seventh that fails until the table `allowed` is there."""
    write(folder, 1, "CREATE TABLE t1 (x int PRIMARY KEY);", "DROP TABLE t1;")
    write(folder, 2, "INSERT INTO t1 SELECT generate_series(1, 1000);", "TRUNCATE t1;")
    write(folder, 3, "ALTER TABLE t1 ADD y text NOT NULL DEFAULT 'y'; SELECT pg_sleep(0.3);", "ALTER TABLE t1 DROP y;")
    write(folder, 4, "CREATE INDEX t1_y ON t1 (y);", "DROP INDEX t1_y;")
    write(
        folder,
        5,
        "CREATE TABLE t2 (x int REFERENCES t1); CREATE VIEW v AS SELECT * FROM t2;",
        "DROP VIEW v; DROP TABLE t2;",
    )
    write(folder, 6, "GRANT SELECT ON t2 TO vars_app;", "REVOKE SELECT ON t2 FROM vars_app;")
    write(
        folder,
        7,
        "SELECT 1 / count(*) FROM pg_class WHERE relname = 'allowed'; CREATE TABLE t3 (x int);",
        "DROP TABLE t3;",
    )


def run_round(database, folder, random_source, kills):
    """Run eight migrators at once, kill some, repair, run again; return what the schema is then."""
    processes = [
        subprocess.Popen(
            migrator(),
            cwd=ROOT,
            env=environment(database, folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(8)
    ]
    victims = random_source.sample(processes, kills)
    for victim in victims:
        time.sleep(random_source.uniform(0, 0.25))
        victim.send_signal(signal.SIGKILL)
    for process in processes:
        output = process.communicate(timeout=60)[0]
        if process not in victims:
            assert process.returncode == 1, output
            assert "0007_step.sql: division by zero" in output
            assert "Traceback" not in output
    assert database.sql("SELECT count(*) FROM schema_migrations") == "6"
    database.sql("CREATE TABLE allowed ()")
    assert database.migrate("up", folder=folder) == 0
    database.sql("DROP TABLE allowed")
    return dump(database) + database.sql(
        "SELECT version, checksum, down FROM schema_migrations ORDER BY 1; SELECT count(*) FROM t1"
    )


def rounds(new_database, tmp_path, count):
    fixture_migrations(tmp_path)
    source = random.Random(20240229)
    seen = {run_round(new_database(), tmp_path, source, number % 4) for number in range(count)}
    assert len(seen) == 1


def test_eight_migrators_at_once(new_database, tmp_path):
    rounds(new_database, tmp_path, 3)


@pytest.mark.long
def test_eight_migrators_at_once_fifty_times(new_database, tmp_path):
    rounds(new_database, tmp_path, 50)
