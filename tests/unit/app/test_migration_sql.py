"""Every migration is SQL that PostgreSQL can read, by PostgreSQL's own parser and without a server."""

import postgast
import pytest

from app.migration_files import read_folder

PARTS = [(file.name, part, getattr(file, part)) for file in read_folder() for part in ("up", "down")]


@pytest.mark.parametrize(("name", "part", "text"), PARTS, ids=[f"{name}-{part}" for name, part, _ in PARTS])
def test_it_parses(name, part, text):
    assert postgast.parse(text).stmts


def test_there_is_something_to_read():
    assert PARTS


def test_a_statement_that_is_none_is_refused():
    with pytest.raises(postgast.PgQueryError, match="syntax error"):
        postgast.parse("CREATE TABEL t (a int)")
