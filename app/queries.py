"""`python -m app.queries`: hold the code's queries, their committed description and a migrated database together.

`prepare` asks a database and writes `queries.json`; `check` compares code, file and database; `check --offline`
compares code and file, and finds SQL that is written anywhere but in `app/sql.py`.
"""

import argparse
import ast
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import config
from app.connection import Connection, ConnectionLost, StatementFailed
from app.sql import QUERIES, Column, Query

METADATA = Path(__file__).with_name("queries.json")
_SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|GRANT|REVOKE)\s", re.IGNORECASE)

# PostgreSQL lists the statements that this session prepared, with the parameter types that it inferred.
_PARAMETERS = Query(
    "SELECT coalesce(array_to_string(parameter_types, ','), '') AS types FROM pg_prepared_statements"
    " WHERE statement = $1 ORDER BY prepare_time DESC LIMIT 1"
)
_TYPE = Query("SELECT format_type($1::oid, NULL) AS name")
_NOT_NULL = Query("SELECT attnotnull FROM pg_attribute WHERE attrelid = $1::oid AND attnum = $2::int")


def main(
    argv: list[str] | None = None,
    environ: Mapping[str, str] | None = None,
    queries: dict[str, Query] = QUERIES,
    metadata: Path = METADATA,
) -> int:
    """Run one command. Exit codes: 0 all agree, 1 something differs or the database is away, 2 wrong settings."""
    # Not __doc__: the image runs without docstrings.
    what = "Hold the code's queries, their committed description and a migrated database together."
    parser = argparse.ArgumentParser(prog="python -m app.queries", description=what)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="describe every query and write the file")
    check = commands.add_parser("check", help="compare code, file and database")
    check.add_argument("--offline", action="store_true", help="without the database")
    arguments = parser.parse_args(argv)
    try:
        found = (
            None if arguments.command == "check" and arguments.offline else describe_all(queries, config.load(environ))
        )
    except config.ConfigError as error:
        print(f"queries: {error}", file=sys.stderr)
        return 2
    except (ConnectionLost, StatementFailed) as error:
        print(f"queries: {error}", file=sys.stderr)
        return 1
    if arguments.command == "prepare":
        metadata.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    problems = compare(queries, json.loads(metadata.read_text(encoding="utf-8")), found)
    problems += stray_sql(Path(__file__).parent)
    for problem in problems:
        print(f"queries: {problem}", file=sys.stderr)
    if not problems:
        print(f"{len(queries)} queries agree with {metadata.name}" + ("" if found is None else " and the database"))
    return 1 if problems else 0


def describe_all(queries: dict[str, Query], settings: config.Settings) -> dict[str, Any]:
    """Ask the configured database to describe each query. Raises StatementFailed with the query's name."""
    connection = Connection(settings.database, settings.connect_timeout, {}, "queries")
    try:
        return {name: _describe(connection, name, query) for name, query in queries.items()}
    finally:
        connection.close()


def compare(queries: dict[str, Query], metadata: dict[str, Any], database: dict[str, Any] | None) -> list[str]:
    """Return one line for each difference between the code, the file, and the database if it was asked."""
    problems = []
    declared = {name: _declared(query) for name, query in queries.items()}
    for name in sorted(declared.keys() | metadata.keys()):
        if name not in declared:
            problems.append(f"{name}: in {METADATA.name}, not in the code; run prepare")
        elif name not in metadata:
            problems.append(f"{name}: in the code, not in {METADATA.name}; run prepare")
        else:
            problems += _differences(name, "the code", declared[name], METADATA.name, metadata[name])
    for name in sorted((database or {}).keys() & metadata.keys()):
        problems += _differences(name, METADATA.name, metadata[name], "the database", database[name])
    return problems


def stray_sql(folder: Path) -> list[str]:
    """Return one line for each string that looks like SQL outside the modules that may hold it."""
    problems = []
    for path in sorted(folder.glob("*.py")):
        if path.name in ("sql.py", Path(__file__).name):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                problems.append(f"{path.name}:{node.lineno}: SQL outside sql.py")
    return problems


def _declared(query: Query) -> dict[str, Any]:
    columns = [column._asdict() for column in query.columns]
    return {"sql": query.sql, "parameters": list(query.parameters), "columns": columns}


def _differences(name: str, one: str, first: dict, other: str, second: dict) -> list[str]:
    return [
        f"{name}: {key} are {first[key]} in {one} and {second[key]} in {other}"
        for key in ("sql", "parameters", "columns")
        if first[key] != second[key]
    ]


def _describe(connection: Connection, name: str, query: Query) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    try:
        described = connection.describe(query, deadline)
    except StatementFailed as error:
        raise StatementFailed(error.code, f"{name}: {error}") from error
    columns = []
    for column in described:
        type_name = connection.run(_TYPE, (str(column["type_oid"]),), deadline)[0][0]
        nullable = None
        if column["table_oid"]:
            row = connection.run(_NOT_NULL, (str(column["table_oid"]), str(column["column_attrnum"])), deadline)
            nullable = not row[0][0]
        columns.append(Column(column["name"], type_name, nullable)._asdict())
    types = connection.run(_PARAMETERS, (query.sql,), deadline)[0][0]
    return {"sql": query.sql, "parameters": types.split(",") if types else [], "columns": columns}


if __name__ == "__main__":
    sys.exit(main())
