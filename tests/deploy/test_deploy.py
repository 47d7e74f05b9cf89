"""`make deploy` is a deployment of the code; `make rollback` takes it back, `make schema-down` the schema after it."""

import time

import pytest

from tests.deploy.conftest import ANSWER
from tests.deploy.load import Load

SOURCE = "app/resources.py"
DEPLOYMENTS = 20


@pytest.fixture(autouse=True)
def clean(lab):
    """Leave the clone's code as it was committed."""
    yield
    lab.git("checkout", "--quiet", "--", "app")
    lab.git("clean", "--quiet", "--force", "app")


def change(lab, answer):
    """Have the code of the clone answer something else."""
    lab.git("checkout", "--quiet", "--", SOURCE)
    file = lab.checkout / SOURCE
    file.write_text(file.read_text().replace(ANSWER, answer))


def images(lab):
    """Return the images of the replicas' Deployment."""
    pod = lab.document("deployment", "web")["spec"]["template"]["spec"]
    return {item["image"] for item in [*pod["initContainers"], *pod["containers"]]}


def answers(lab, text):
    """Wait until it answers that; pods of the version before still answer for some seconds while the proxy forgets them."""
    lab.until(lambda: text in lab.answer("/var/none"), f"it answers {text}", 10)


def test_changed_answer_is_there_within_45_s_and_no_request_fails(lab, load, record_property):
    head = lab.git("rev-parse", "HEAD")
    change(lab, "Nothing of that name")
    start = time.monotonic()
    done = lab.run("deploy")
    assert done.returncode == 0, done.stderr
    assert "->" in done.stdout
    answers(lab, "Nothing of that name")
    record_property("seconds", time.monotonic() - start)
    assert time.monotonic() - start <= 45
    # The user's own branch got no commit.
    assert lab.git("rev-parse", "HEAD") == head


def test_deploying_the_same_changes_nothing(lab):
    change(lab, "Nothing of that name")
    assert "nothing to deploy" in lab.run("deploy").stdout


def test_rollback_runs_the_images_before(lab, load):
    before = images(lab)
    done = lab.run("rollback")
    assert done.returncode == 0, done.stderr
    assert images(lab) != before
    answers(lab, ANSWER)


def test_rollback_of_the_first_is_refused(lab):
    done = lab.run("rollback")
    assert done.returncode == 1
    assert "nothing to go back to" in done.stderr


MIGRATION = "-- migrate:up\n{up}\n-- migrate:down\n{down}\n"


def test_schema_outlives_a_rollback_and_goes_when_it_is_told_to(lab, load):
    (lab.checkout / "app/migrations/0002_extra.sql").write_text(
        MIGRATION.format(up="CREATE TABLE extra (id integer);", down="DROP TABLE extra;"))  # fmt: skip
    done = lab.run("deploy")
    assert done.returncode == 0, done.stderr
    tables = ["exec", "--namespace", "vars", "deployment/db", "--", "psql", "--host=127.0.0.1", "--username=postgres", "vars",
              "--tuples-only", "--command=SELECT to_regclass('public.extra')"]  # fmt: skip
    assert "extra" in lab.kubectl(*tables)
    assert lab.run("rollback").returncode == 0
    assert "extra" in lab.kubectl(*tables)
    # Pods of the newer image drain for some seconds, and may need what is to be undone.
    refused = lab.run("schema-down")
    assert refused.returncode == 1 and "may need the schema" in refused.stderr
    lab.until(lambda: lab.run("schema-down").returncode == 0, "the schema is undone", 90)
    assert "extra" not in lab.kubectl(*tables)


def test_migration_that_fails_leaves_the_old_version_and_is_named(lab, load):
    (lab.checkout / "app/migrations/0002_wrong.sql").write_text(MIGRATION.format(up="SELECT 1/0;", down=""))
    done = lab.run("deploy")
    assert done.returncode == 1
    assert "migrations" in done.stderr
    status = lab.run("status")
    assert status.returncode == 1
    assert "division by zero" in status.stdout and "make rollback" in status.stdout
    assert lab.run("rollback").returncode == 0
    assert lab.run("status").returncode == 0


def test_play_brings_back_what_the_checkout_says(lab):
    change(lab, "Nothing of that name")
    assert lab.run("deploy").returncode == 0
    lab.git("checkout", "--quiet", "--", SOURCE)
    assert lab.up().code == 0
    answers(lab, ANSWER)
    assert lab.up().changes == []


@pytest.mark.long
def test_twenty_deployments_in_a_row_are_not_noticed(lab):
    seen = set()
    with Load(lab.http_port) as load:
        for number in range(DEPLOYMENTS):
            change(lab, f"Nothing of that name, {number}")
            done = lab.run("deploy")
            assert done.returncode == 0, done.stderr
            answers(lab, f"Nothing of that name, {number}")
            seen |= images(lab)
        while load.sent < 20_000:
            time.sleep(1)
    assert len(seen) == DEPLOYMENTS
    assert load.failures == [], f"{len(load.failures)} of {load.sent}: {load.failures[:5]}"
