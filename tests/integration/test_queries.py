"""The code's queries, their committed description and the database are held together."""

import json
import shutil

import pytest

from app import queries
from app.sql import QUERIES, SERVICE, Column, Query


def run(database, *arguments, changed=None, metadata=queries.METADATA):
    return queries.main(list(arguments), database.environ(), {**QUERIES, **(changed or {})}, metadata)


def test_the_committed_description_is_true(migrated, capsys):
    assert run(migrated, "check") == 0
    assert run(migrated, "check", "--offline") == 0
    assert "queries agree" in capsys.readouterr().out


def test_prepare_writes_what_is_committed(migrated, tmp_path):
    path = tmp_path / "queries.json"
    assert run(migrated, "prepare", metadata=path) == 0
    assert path.read_text() == queries.METADATA.read_text()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE variables RENAME COLUMN value TO content",
        "ALTER TABLE variables ALTER COLUMN value TYPE varchar(70000)",
        "ALTER TABLE variables ALTER COLUMN value DROP NOT NULL",
        "ALTER TABLE variables ALTER COLUMN name TYPE bytea USING name::bytea",
        "DROP TABLE variables CASCADE",
    ],
)
def test_a_changed_database_turns_it_red(migrated, capsys, change):
    if "TYPE bytea" in change:
        migrated.sql("ALTER TABLE variables DROP CONSTRAINT variables_name_check")
    migrated.sql(change)
    assert run(migrated, "check") == 1
    assert "queries: " in capsys.readouterr().err
    assert run(migrated, "check", "--offline") == 0


READ = QUERIES["read"]


@pytest.mark.parametrize(
    "changed",
    [
        {"read": READ._replace(sql=READ.sql.replace("value", "content"))},
        {"read": READ._replace(parameters=("integer",))},
        {"read": READ._replace(columns=(Column("value", "bytea"),))},
        {"read": READ._replace(columns=(Column("value", "text", True),))},
        {"another": Query("SELECT 1")},
    ],
)
def test_changed_code_turns_it_red_without_a_database(capsys, changed):
    assert queries.main(["check", "--offline"], {}, {**QUERIES, **changed}) == 1
    assert capsys.readouterr().err.startswith(f"queries: {next(iter(changed))}: ")


def test_a_query_that_is_gone_turns_it_red(capsys, tmp_path):
    path = tmp_path / "queries.json"
    path.write_text(json.dumps({**json.loads(queries.METADATA.read_text()), "old": {}}))
    assert queries.main(["check", "--offline"], {}, QUERIES, path) == 1
    assert "old: in queries.json, not in the code" in capsys.readouterr().err


def test_sql_elsewhere_is_found(tmp_path):
    shutil.copy(queries.METADATA.with_name("sql.py"), tmp_path)
    (tmp_path / "other.py").write_text('def f():\n    return "select x from y"\n\n')
    assert queries.stray_sql(tmp_path) == ["other.py:2: SQL outside sql.py"]


def test_no_database(capsys):
    assert queries.main(["check"], {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "APP_ENV": "production"}) == 1
    assert queries.main(["check"], {"APP_ENV": "production"}) == 2


def test_the_services_queries_use_an_index(migrated):
    migrated.sql("INSERT INTO variables SELECT 'n' || n, 'v' FROM generate_series(1, 5000) n; ANALYZE variables")
    plans = {}
    for name in ("read", "delete", "list"):
        statement = SERVICE[name].sql.replace("$1", "'n1'").replace("$2", "21")
        plans[name] = migrated.sql(f"EXPLAIN {statement}")
    assert all("Index" in plan for plan in plans.values()), plans
