"""Every SQL statement of the service, by name, with the types it takes and gives.

`python -m app.queries` holds this list, `queries.json` and a migrated database together.
"""

from typing import NamedTuple


class Column(NamedTuple):
    """One result column. `nullable` is None where PostgreSQL does not tell, as for an expression."""

    name: str
    type: str
    nullable: bool | None = False


class Query(NamedTuple):
    """A statement with PostgreSQL's names of its parameter types and its result columns, both in order."""

    sql: str
    parameters: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()


# A page holds at most this many bytes of values (and the one value that crosses it), whatever its row limit.
PAGE_BYTES = 256 * 1024

READ = Query(
    "SELECT value FROM variables WHERE name = $1",
    ("text",),
    (Column("value", "text"),),
)

# A row that this statement inserted has no deleting transaction yet, so xmax tells an insert from an update.
WRITE = Query(
    "INSERT INTO variables (name, value) VALUES ($1, $2)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()"
    " RETURNING xmax = 0 AS created",
    ("text", "text"),
    (Column("created", "boolean", None),),
)

DELETE = Query(
    "DELETE FROM variables WHERE name = $1 RETURNING name",
    ("text",),
    (Column("name", "text"),),
)

LIST = Query(
    "SELECT name, value FROM ("
    "SELECT name, value, sum(octet_length(value)) OVER (ORDER BY name) - octet_length(value) AS before"
    " FROM (SELECT name, value FROM variables WHERE name > $1 ORDER BY name LIMIT $2) AS page"
    f") AS sized WHERE before < {PAGE_BYTES} ORDER BY name",
    ("text", "bigint"),
    (Column("name", "text"), Column("value", "text")),
)

SCHEMA = Query(
    "SELECT version, checksum, breaking FROM schema_migrations ORDER BY version",
    (),
    (Column("version", "text"), Column("checksum", "text"), Column("breaking", "boolean")),
)

LEDGER = Query(
    "SELECT version, name, checksum, breaking, down, applied_at::text AS applied_at, milliseconds"
    " FROM schema_migrations ORDER BY version",
    (),
    (
        Column("version", "text"),
        Column("name", "text"),
        Column("checksum", "text"),
        Column("breaking", "boolean"),
        Column("down", "text"),
        Column("applied_at", "text", None),
        Column("milliseconds", "integer"),
    ),
)

RECORD = Query(
    "INSERT INTO schema_migrations (version, name, checksum, breaking, down, milliseconds)"
    " VALUES ($1, $2, $3, $4, $5, $6)",
    ("text", "text", "text", "boolean", "text", "integer"),
)

FORGET = Query("DELETE FROM schema_migrations WHERE version = $1", ("text",))

LEDGER_EXISTS = Query(
    "SELECT to_regclass('schema_migrations') IS NOT NULL AS present", (), (Column("present", "boolean", None),)
)

# One lock for all migrators of a database; the number is the first eight bytes of "varsmigr".
TRY_LOCK = Query("SELECT pg_try_advisory_lock(8530225009298859890) AS locked", (), (Column("locked", "boolean", None),))

TRANSACTION = Query("SELECT pg_current_xact_id()::text AS id", (), (Column("id", "text", None),))

# The statements that run for requests, as vars_app; the others are the migrator's, as vars_owner.
SERVICE = {"read": READ, "write": WRITE, "delete": DELETE, "list": LIST, "schema": SCHEMA}
QUERIES = {
    **SERVICE,
    "ledger": LEDGER,
    "record": RECORD,
    "forget": FORGET,
    "ledger_exists": LEDGER_EXISTS,
    "try_lock": TRY_LOCK,
    "transaction": TRANSACTION,
}

# Definitions take no parameters and describe nothing, so they stand beside the checked queries.
CREATE_LEDGER = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    'version text COLLATE "C" PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,'
    " breaking boolean NOT NULL, down text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now(), milliseconds integer NOT NULL)"
)
BEGIN = "BEGIN"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
PING = "SELECT 1"
