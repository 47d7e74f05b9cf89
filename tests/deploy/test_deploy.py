"""`make deploy` is a deployment of the code; `make rollback` takes it back, `make schema-down` the schema after it."""

import json
import re
import statistics
import time

import pytest

from tests.deploy.conftest import ANSWER, SOURCE
from tests.deploy.load import Load

DEPLOYMENTS = 20


@pytest.fixture(autouse=True)
def clean(lab):
    """Leave the clone's code as it was committed."""
    yield
    lab.git("checkout", "--quiet", "--", "app")
    lab.git("clean", "--quiet", "--force", "app")


def images(lab):
    """Return the images of the replicas' Deployment."""
    pod = lab.document("deployment", "web")["spec"]["template"]["spec"]
    return {item["image"] for item in [*pod["initContainers"], *pod["containers"]]}


def answers(lab, text):
    """Wait until it answers that; pods of the version before still answer for some seconds while the proxy forgets them."""
    lab.until(lambda: text in lab.answer("/var/none"), f"it answers {text}")


def test_changed_answer_is_deployed_and_no_request_fails(lab, load, record_property):
    head = lab.git("rev-parse", "HEAD")
    lab.answer_with("Nothing of that name")
    start = time.monotonic()
    done = lab.run("deploy")
    assert done.returncode == 0, done.stderr
    assert "->" in done.stdout
    answers(lab, "Nothing of that name")
    record_property("seconds from make deploy to the answer", f"{time.monotonic() - start:.1f}")
    # The user's own branch got no commit.
    assert lab.git("rev-parse", "HEAD") == head


def test_deploying_the_same_changes_nothing(lab):
    lab.answer_with("Nothing of that name")
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


def hold(lab):
    """Have a pod of the images that run now, which stays until it is deleted; it gets no requests."""
    spec = lab.document("deployment", "web")["spec"]["template"]["spec"]
    spec["initContainers"] = []
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        del spec["containers"][0][probe]
    spec["containers"][0]["command"] = ["python", "-c", "import time; time.sleep(3600)"]
    lab.kubectl("run", "held", "--namespace", "vars", f"--image={spec['containers'][0]['image']}",
                "--labels=app.kubernetes.io/component=web", f"--overrides={json.dumps({'spec': spec})}")  # fmt: skip


MIGRATION = "-- migrate:up\n{up}\n-- migrate:down\n{down}\n"


def test_schema_outlives_a_rollback_and_goes_when_it_is_told_to(lab, load):
    (lab.checkout / "app/migrations/0002_extra.sql").write_text(
        MIGRATION.format(up="CREATE TABLE extra (id integer);", down="DROP TABLE extra;"))  # fmt: skip
    done = lab.run("deploy")
    assert done.returncode == 0, done.stderr
    tables = ["exec", "--namespace", "vars", "deployment/db", "--", "psql", "--host=127.0.0.1", "--username=postgres", "vars",
              "--tuples-only", "--command=SELECT to_regclass('public.extra')"]  # fmt: skip
    assert "extra" in lab.kubectl(*tables)
    hold(lab)
    assert lab.run("rollback").returncode == 0
    assert "extra" in lab.kubectl(*tables)
    refused = lab.run("schema-down")
    assert refused.returncode == 1 and re.search(r"held.* may need the schema", refused.stderr), refused.stderr
    assert "extra" in lab.kubectl(*tables)
    lab.kubectl("delete", "pod", "held", "--namespace", "vars", "--now")
    # The others drain for some seconds.
    lab.until(lambda: lab.run("schema-down").returncode == 0, "the schema is undone")
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
    lab.answer_with("Nothing of that name")
    assert lab.run("deploy").returncode == 0
    lab.git("checkout", "--quiet", "--", SOURCE)
    assert lab.up().code == 0
    answers(lab, ANSWER)
    assert lab.up().changes == []


@pytest.mark.long
def test_twenty_deployments_in_a_row_are_not_noticed(lab, record_property):
    seen, seconds = set(), []
    with Load(lab.http_port) as load:
        for number in range(DEPLOYMENTS):
            lab.answer_with(f"Nothing of that name, {number}")
            start = time.monotonic()
            done = lab.run("deploy")
            assert done.returncode == 0, done.stderr
            answers(lab, f"Nothing of that name, {number}")
            seconds.append(time.monotonic() - start)
            seen |= images(lab)
        while load.sent < 20_000:
            time.sleep(1)
    record_property("load", load.counts)
    record_property("seconds of a deployment", f"{min(seconds):.1f} to {max(seconds):.1f}, median {statistics.median(seconds):.1f}")
    assert len(seen) == DEPLOYMENTS
    assert load.failures == [], f"{len(load.failures)} of {load.sent}: {load.failures[:5]}"
