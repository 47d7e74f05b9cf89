"""The image `postgres`: POSTGRES_* variables, scripts that run once, uid 999 or any other, a read-only root."""

import gzip
from pathlib import Path

import pytest
import yaml

from .conftest import docker

PASSWORD = "check: a pass'word with \"everything\" $in it"


def accepting(container):
    """Say whether the server, not the one that initialises, accepts connections."""
    # With a name, since an arbitrary uid has none of its own to be asked for.
    return container.run("pg_isready", "--host=127.0.0.1", "--username=postgres", "--quiet").returncode == 0


def sql(container, statement, user="postgres", database="postgres", host="127.0.0.1", password=None):
    """Return exit code and output of a statement."""
    env = {"PGPASSWORD": password} if password is not None else None
    done = container.run("psql", f"--host={host}", f"--username={user}", f"--dbname={database}", "--no-psqlrc", "--no-password",
                         "--tuples-only", "--no-align", f"--command={statement}", env=env)  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def named(start, tmp_path_factory):
    """Return a server with a user, a database, a password file and scripts of each kind."""
    scripts = tmp_path_factory.mktemp("initdb")
    (scripts / "1.sql").write_text("CREATE TABLE ran (what text); INSERT INTO ran VALUES ('sql')")
    (scripts / "2.sh").write_text('psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -c "INSERT INTO ran VALUES (\'sh\')"\n')
    (scripts / "3.sql.gz").write_bytes(gzip.compress(b"INSERT INTO ran VALUES ('sql.gz')"))
    (scripts / "4.txt").write_text("not a script")
    (scripts / "password").write_text(PASSWORD + "\n")
    scripts.chmod(0o755)
    env = {"POSTGRES_PASSWORD_FILE": "/docker-entrypoint-initdb.d/password", "POSTGRES_USER": "keeper", "POSTGRES_DB": "things"}
    container = start("postgres", options=(f"--volume={scripts}:/docker-entrypoint-initdb.d:ro",), env=env)
    return container.ready(accepting, "the server accepts connections")


@pytest.fixture(scope="module")
def confined(start):
    """Return a server of an arbitrary user, with a read-only root and no capability, as a cluster runs it."""
    places = tuple(f"--tmpfs={path}:mode=1777" for path in ("/var/lib/postgresql/data", "/var/run/postgresql", "/tmp"))
    options = (*places, "--read-only", "--user=12345:12345", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    env = {"POSTGRES_PASSWORD": PASSWORD, "PGDATA": "/var/lib/postgresql/data/pgdata"}
    container = start("postgres", "-c", "max_connections=17", options=options, env=env)
    return container.ready(accepting, "the server accepts connections")


def test_server_runs_as_uid_999(named):
    assert named.run("stat", "--format=%u:%g", "/proc/1").stdout.strip() == "999:999"


def test_data_is_for_the_server_only(named):
    assert named.run("stat", "--format=%u:%a", "/var/lib/postgresql/data").stdout.strip() == "999:700"


def test_server_is_the_first_process(named):
    assert named.run("cat", "/proc/1/comm").stdout.strip() == "postgres"


def test_user_is_a_superuser(named):
    assert sql(named, "SELECT rolsuper FROM pg_roles WHERE rolname = 'keeper'", "keeper", "things") == (0, "t")


def test_database_belongs_to_the_user(named):
    statement = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'things'"
    assert sql(named, statement, "keeper", "things") == (0, "keeper")


def test_scripts_ran_in_order(named):
    assert sql(named, "SELECT string_agg(what, ' ') FROM ran", "keeper", "things") == (0, "sql sh sql.gz")


def test_file_that_is_no_script_is_passed_over(named):
    assert "ignoring /docker-entrypoint-initdb.d/4.txt" in named.log()


def test_password_of_the_file_is_let_in_from_elsewhere(named):
    own = named.run("hostname", "--ip-address").stdout.split()[0]
    assert sql(named, "SELECT 1", "keeper", "things", own, PASSWORD) == (0, "1")


@pytest.mark.parametrize("password", ["wrong", ""])
def test_other_password_is_not_let_in_from_elsewhere(named, password):
    own = named.run("hostname", "--ip-address").stdout.split()[0]
    code, _ = sql(named, "SELECT 1", "keeper", "things", own, password)
    assert code != 0


def test_encoding_is_utf_8(named):
    assert sql(named, "SHOW server_encoding", "keeper", "things") == (0, "UTF8")


def test_password_is_in_no_log(named):
    assert PASSWORD not in named.log()


def test_password_is_not_in_the_servers_environment(confined):
    assert "POSTGRES_PASSWORD" not in confined.run("cat", "/proc/1/environ").stdout


def test_server_runs_as_any_uid(confined):
    assert confined.run("stat", "--format=%u", "/proc/1").stdout.strip() == "12345"


def test_user_and_database_are_called_postgres_by_default(confined):
    assert sql(confined, "SELECT current_user || current_database()") == (0, "postgrespostgres")


def test_password_variable_is_let_in_from_elsewhere(confined):
    own = confined.run("hostname", "--ip-address").stdout.split()[0]
    assert sql(confined, "SELECT 1", host=own, password=PASSWORD) == (0, "1")


def test_arguments_are_the_servers(confined):
    assert sql(confined, "SHOW max_connections") == (0, "17")


def test_new_database_without_a_password_is_refused(run):
    done = run("postgres")
    assert done.returncode == 1
    assert "POSTGRES_PASSWORD" in done.stderr


def test_password_given_twice_is_refused(run):
    done = run("postgres", options=("--env=POSTGRES_PASSWORD=check", "--env=POSTGRES_PASSWORD_FILE=/etc/hostname"))
    assert done.returncode == 1
    assert "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set" in done.stderr


@pytest.fixture
def folder(tmp_path):
    """Return a folder that every user may write into."""
    tmp_path.chmod(0o777)
    return tmp_path


def starts(run, folder):
    """Start a server on the folder, let it make its database, and stop there: a script ends the start."""
    (folder / "stop.sh").write_text("echo stopped on purpose; exit 3\n")
    options = (f"--volume={folder}:/mnt", f"--volume={folder}/stop.sh:/docker-entrypoint-initdb.d/stop.sh:ro",
               "--env=POSTGRES_PASSWORD=check", "--env=PGDATA=/mnt/data", "--user=12345:12345")  # fmt: skip
    return run("postgres", options=options)


def test_folder_with_somebodys_files_is_refused_and_left_alone(run, folder):
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    (folder / "data" / "thesis.txt").write_text("ten years of work")
    done = starts(run, folder)
    assert done.returncode == 1
    assert "/mnt/data holds files, but no database" in done.stderr
    assert (folder / "data" / "thesis.txt").read_text() == "ten years of work"


def test_start_that_was_interrupted_does_not_look_like_a_database_and_starts_again(run, folder):
    first, second = starts(run, folder), starts(run, folder)
    assert not (folder / "data" / "PG_VERSION").exists()
    for done in (first, second):
        assert (done.returncode, "stopped on purpose" in done.stdout) == (3, True)


@pytest.fixture(scope="module")
def restarted(named):
    """Return the named server after a stop as a node stops it, and a start."""
    sql(named, "INSERT INTO ran VALUES ('by hand')", "keeper", "things")
    named.restart()
    return named.ready(accepting, "the server accepts connections again")


def test_data_survives_a_restart_and_scripts_run_once(restarted):
    assert sql(restarted, "SELECT string_agg(what, ' ') FROM ran", "keeper", "things") == (0, "sql sh sql.gz by hand")


def test_stop_was_clean(restarted):
    assert "database system was not properly shut down" not in restarted.log()


# What a developer gets of docker-compose-db.yaml, told to Docker without compose


ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose-db.yaml").read_text())
SERVICE = COMPOSE["services"]["db"]


@pytest.fixture(scope="module")
def development(start):
    """Return a server with the environment, the folders, the port and the health check of the file."""
    places = [place.replace("./", f"{ROOT}/") for place in SERVICE["volumes"] if place.startswith("./")]
    kind, check = SERVICE["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    # Any free port of this machine: the file's own may be taken.
    ports = [f"--publish={port.rpartition(':')[0].rpartition(':')[0]}::{port.rpartition(':')[2]}" for port in SERVICE["ports"]]
    health = [f"--health-cmd={check}", *(f"--health-{name}={SERVICE['healthcheck'][name]}" for name in ("interval", "timeout", "retries"))]
    options = (*(f"--volume={place}" for place in places), *ports, *health)
    container = start("postgres", options=options, env=SERVICE["environment"])
    return container.ready(healthy, "the health check of the file says healthy")


def healthy(container):
    return docker("inspect", "--format={{.State.Health.Status}}", container.name).stdout.strip() == "healthy"


def test_development_database_is_the_catalogs(plan):
    assert SERVICE["image"] == plan.reference("postgres")


def test_development_database_keeps_its_data_in_the_images_volume(image):
    kept = [place.partition(":")[2] for place in SERVICE["volumes"] if place.partition(":")[0] in COMPOSE["volumes"]]
    assert kept == [image("postgres").env["PGDATA"]]


def test_development_database_is_published_on_loopback_only(development):
    assert development.address(5432).startswith("127.0.0.1:")


@pytest.mark.parametrize(("user", "password"), [("vars_owner", "owner"), ("vars_app", "app")])
def test_development_database_lets_its_roles_in(development, user, password):
    own = development.run("hostname", "--ip-address").stdout.split()[0]
    assert sql(development, "SELECT current_user", user, "vars", own, password) == (0, user)
    code, said = sql(development, "SELECT 1", user, "vars", own, "wrong")
    assert code and "password authentication failed" in said


def test_development_database_was_healthy_only_when_it_let_clients_in(development):
    assert accepting(development)
