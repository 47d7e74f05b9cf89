"""The service on a real PostgreSQL."""

import time

import pytest

from app.config import parse_database_url
from app.connection import Connection, ConnectionLost, DeadlineExceeded, StatementFailed
from app.sql import Query

TEXTS = [
    "a",
    "a/b",
    "/",
    "..",
    "😀👩‍👩‍👧",
    "שלום עולם",
    "مرحبا",
    "e\u0301",
    "é",
    "a b+c&d=e?f#g%25",
    "'; DROP TABLE variables; --",
    "\\",
    "\u202e",
]


def quoted(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("text", TEXTS)
def test_texts_round_trip(service, text):
    path = f"/var/{quoted(text)}"
    assert service("GET", f"{path}/{quoted(text)}").text == f"{text} = {text}"
    assert service("GET", path).text == f"{text} = {text}"
    value = text * 3
    assert service("PUT", path, value.encode()).status == 200
    assert service("GET", path, headers={"Accept": "application/json"}).json == {"name": text, "value": value}
    assert service("GET", "/var").text == f"{text} = {value}\n"
    assert service("DELETE", path).status == 204
    assert service("GET", path).status == 404


def test_the_largest_name_and_value(service):
    path = f"/var/{quoted('😀' * 255)}"
    assert service("PUT", path, ("é" * 32768).encode()).status == 201
    assert service("GET", path).text.endswith("é" * 32768)
    assert service("PUT", path, b"a" * 65537).status == 413
    assert service("PUT", path, b"a" * 1000000).status == 413


def test_large_pages_are_cut_short_and_complete(service):
    for number in range(12):
        assert service("PUT", f"/var/n{number:02}", b"x" * 60000).status == 201
    seen, target = [], "/var?limit=100"
    while target:
        answer = service("GET", target, headers={"Accept": "application/json"})
        assert len(answer.body) < 400000
        seen += [item["name"] for item in answer.json["items"]]
        target = answer.json["next"]
    assert seen == [f"n{number:02}" for number in range(12)]


def test_pages_are_in_bytewise_order(service):
    for name in ("b", "B", "a", "_", "%C3%A9"):
        service("PUT", f"/var/{name}", b"1")
    assert service("GET", "/var").text == "B = 1\n_ = 1\na = 1\nb = 1\né = 1\n"


def test_readiness_follows_the_schema(new_service, database, wait_for):
    service = new_service(database.environ("vars_app"))
    wait_for(lambda: "postgresql" not in service("GET", "/readyz").text)
    assert service("GET", "/readyz").status == 503
    assert service("GET", "/var/a").status == 503
    assert service("GET", "/healthz").status == 200
    database.migrate("up")
    assert service("GET", "/readyz").status == 200
    assert service("GET", "/var/a").status == 404
    insert = "INSERT INTO schema_migrations VALUES ('9999', 'x', 'x', {}, '', now(), 1)"
    database.sql(insert.format("false"))
    assert service("GET", "/readyz").status == 200
    database.sql("UPDATE schema_migrations SET breaking = true WHERE version = '9999'")
    assert service("GET", "/readyz").status == 503


def test_the_service_may_only_use_its_table(migrated):
    allowed = ["SELECT * FROM variables", "DELETE FROM variables", "SELECT version FROM schema_migrations"]
    refused = [
        "DROP TABLE variables",
        "TRUNCATE variables",
        "ALTER TABLE variables ADD x int",
        "CREATE TABLE x (y int)",
        "CREATE TEMPORARY TABLE x (y int)",
        "CREATE SCHEMA x",
        "SELECT down FROM schema_migrations",
        "DELETE FROM schema_migrations",
        "SELECT pg_read_file('/etc/passwd')",
        "SET ROLE vars_owner",
    ]
    for statement in allowed:
        migrated.sql(statement, "vars_app")
    for statement in refused:
        with pytest.raises(Exception, match="denied|must be owner|permission"):
            migrated.sql(statement, "vars_app")


def test_a_terminated_session_is_not_noticed_by_a_read_or_a_write(service, migrated, wait_for):
    sessions = f"FROM pg_stat_activity WHERE usename = 'vars_app' AND datname = '{migrated.name}'"

    def end_sessions():
        old = migrated.sql(f"SELECT coalesce(string_agg(pid::text, ','), '0') {sessions}")
        migrated.sql(f"SELECT pg_terminate_backend(pid) {sessions}")
        wait_for(lambda: migrated.sql(f"SELECT count(*) {sessions} AND pid IN ({old})") == "0")

    assert service("PUT", "/var/a", b"1").status == 201
    for _ in range(5):
        end_sessions()
        assert service("GET", "/var/a").status == 200
        end_sessions()
        assert service("PUT", "/var/a", b"2").status == 200


def test_a_lock_is_not_waited_for(service, migrated):
    service("PUT", "/var/a", b"1")
    owner = Connection(parse_database_url(migrated.url("vars_owner")), 2, {}, "test")
    owner.script("BEGIN; LOCK TABLE variables", deadline())
    answers = [service("GET", "/var/a"), service("PUT", "/var/a", b"2")]
    owner.close()
    for answer in answers:
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.seconds < 1
    assert service("GET", "/var/a").text == "a = 1"


def test_a_migrated_table_does_not_break_prepared_statements(service, migrated):
    service("PUT", "/var/a", b"1")
    migrated.sql("ALTER TABLE variables ALTER COLUMN value TYPE varchar")
    assert service("GET", "/var/a").text == "a = 1"


def test_a_crashed_database_is_away_and_comes_back(new_server, new_database, new_service, wait_for):
    server = new_server()
    database = new_database(server)
    database.migrate("up")
    service = new_service(database.environ("vars_app"))
    service("PUT", "/var/a", b"1")
    for mode in ("immediate", "fast"):
        server.stop(mode)
        for method, target in (("GET", "/var/a"), ("PUT", "/var/a"), ("GET", "/readyz"), ("GET", "/var/a/1")):
            answer = service(method, target, b"2" if method == "PUT" else None)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.seconds < 1
            assert "127.0.0.1" not in answer.text and "vars_app" not in answer.text
        assert service("GET", "/healthz").status == 200
        assert "vars_db_up 0" in service("GET", "/metrics").text
        server.start()
        wait_for(lambda: service("GET", "/var/a").status == 200, 2)
        assert service("GET", "/var/a").text == "a = 1"


def test_logs_lead_from_the_answer_to_the_line(service):
    answer = service("GET", "/var/a")
    assert any(line.get("request_id") == answer.headers["x-request-id"] for line in service.logged())


def deadline(seconds=2.0):
    return time.monotonic() + seconds


class TestConnection:
    """One connection and how it fails."""

    def connect(self, migrated, user="vars_app", **options):
        return Connection(parse_database_url(migrated.url(user)), 2, options, "test")

    def test_statements_that_fail_leave_it_usable(self, migrated):
        connection = self.connect(migrated)
        with pytest.raises(StatementFailed) as caught:
            connection.run(Query("SELECT 1/0"), (), deadline())
        assert caught.value.code == "22012"
        with pytest.raises(StatementFailed):
            connection.script("nonsense", deadline())
        with pytest.raises(StatementFailed):
            connection.describe(Query("SELECT nonsense"), deadline())
        assert connection.run(Query("SELECT 1"), (), deadline()) == [[1]]
        connection.close()

    def test_deadlines(self, migrated):
        connection = self.connect(migrated)
        with pytest.raises(DeadlineExceeded):
            connection.run(Query("SELECT pg_sleep(5)"), (), deadline(0.2))
        connection.close()
        with pytest.raises(DeadlineExceeded):
            Connection(parse_database_url(migrated.url()), 0, {}, "test")

    def test_statement_timeouts_leave_it_usable(self, migrated):
        connection = self.connect(migrated, statement_timeout="50")
        with pytest.raises(StatementFailed) as caught:
            connection.run(Query("SELECT pg_sleep(5)"), (), deadline())
        assert caught.value.code == "57014"
        connection.close()

    def test_an_ended_session_is_stale_and_lost(self, migrated, wait_for):
        connection = self.connect(migrated)
        assert not connection.is_stale()
        migrated.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vars_app'")
        wait_for(connection.is_stale)
        with pytest.raises(ConnectionLost):
            connection.run(Query("SELECT 1"), (), deadline())
        connection.close()
        connection.close()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"password": "wrong"}, "password authentication failed"),
            ({"name": "nowhere"}, "does not exist"),
            ({"host": "host.invalid"}, "resolved"),
            ({"port": 1}, "refused"),
        ],
    )
    def test_what_is_wrong_is_said_without_the_password(self, migrated, change, message):
        database = parse_database_url(migrated.url())._replace(**change)
        with pytest.raises(ConnectionLost, match=message) as caught:
            Connection(database, 2, {}, "test")
        assert "wrong" not in str(caught.value)
