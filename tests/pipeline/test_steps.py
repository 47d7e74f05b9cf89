"""The pipeline is green on what is right, and each of its steps is red when its own subject is broken."""

import json
import re

import pytest

from .conftest import Pipeline, sh


def test_it_is_green_as_it_is(published):
    """The fixture has run every step; this says that they did something."""
    assert re.findall(r"^publish: (vars/\w+):checkout is", published.output, re.MULTILINE) == ["vars/test", "vars/web", "vars/migrations"]


def test_it_writes_a_summary(published):
    assert published.written.count("built vars/") == 3
    assert published.written.count("published **") == 2


def test_actionlint_finds_nothing(actionlint, tree):
    done = sh(actionlint, cwd=tree.folder)
    assert done.code == 0, done.output


# Check out


def test_without_a_checkout_nothing_is_built(pipeline):
    for path in pipeline.tree.folder.joinpath(".git").iterdir():
        path.unlink() if path.is_file() else sh("rm", "-r", path)
    done = pipeline.step("Build the test image")
    assert done.code
    assert "no git checkout with a commit" in done.output


# Build the test image


def test_a_dependency_that_is_not_what_was_locked_builds_nothing(pipeline):
    requirements = pipeline.tree.folder / "app" / "requirements.txt"
    requirements.write_text(re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", requirements.read_text()))
    pipeline.tree.commit()
    done = pipeline.step("Build the test image")
    assert done.code
    assert "DO NOT MATCH THE HASHES" in done.output


# Run the test image


def run_broken(pipeline):
    """Build the test image, which does not look at what is in it, and run it."""
    built = pipeline.step("Build the test image")
    assert built.code == 0, built.output[-3000:]
    return pipeline.step("Run the test image")


def test_a_lint_error_is_red(pipeline):
    pipeline.tree.add("app/unused.py", '"""Nothing."""\n\nimport json\n')
    done = run_broken(pipeline)
    assert done.code
    assert "F401" in done.output


def test_a_failing_test_is_red(pipeline):
    pipeline.tree.edit("app/names.py", "255", "254")
    done = run_broken(pipeline)
    assert done.code
    assert "FAILED tests/unit/" in done.output


# Log in


def test_a_wrong_password_is_red_in_one_line(broken, registry, tmp_path):
    pipeline = Pipeline(broken, registry, tmp_path, password="wr0ng-password")
    done = pipeline.step("Log in to the registry")
    lines = [line for line in done.output.splitlines() if not line.startswith("make")]
    assert done.code
    assert lines == [f"publish: {registry.address} refuses this login: check REGISTRY_USERNAME and REGISTRY_TOKEN, or `docker login {registry.address}`"]
    assert "wr0ng-password" not in done.output


def test_no_secrets_are_red(broken, registry, tmp_path):
    pipeline = Pipeline(broken, registry, tmp_path)
    pipeline.secrets = dict.fromkeys(pipeline.secrets, "")
    done = pipeline.step("Log in to the registry")
    assert done.code
    assert "REGISTRY_USERNAME and REGISTRY_TOKEN are not set" in done.output


def test_a_registry_that_is_not_there_is_red(pipeline):
    done = pipeline.step("Log in to the registry", REGISTRY="127.0.0.1:1/lab")
    assert done.code
    assert "127.0.0.1:1 cannot be used" in done.output


# Build the release


def test_a_source_that_is_no_python_is_red(pipeline):
    pipeline.tree.add("app/broken.py", "def f(:\n")
    done = pipeline.step("Build the release")
    assert done.code
    assert "SyntaxError" in done.output
    assert "its stage 'release' failed" in done.output


# Build the migrations image


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- migrate:up\nCREATE TABEL t (a int);\n-- migrate:down\nDROP TABLE t;\n", "syntax error at or near"),
        ("-- migrate:up\nCREATE TABLE t (a int);\n", "a line '-- migrate:up' and, after it, a line '-- migrate:down' are needed"),
    ],
    ids=["no SQL", "no down part"],
)
def test_a_migration_that_does_not_parse_is_red(pipeline, text, said):
    pipeline.tree.add("app/migrations/0099_broken.sql", text)
    done = pipeline.step("Build the migrations image")
    assert done.code
    assert said in done.output


# Publish


@pytest.mark.parametrize("name", ["Publish the release", "Publish the migrations image"])
def test_who_is_not_logged_in_publishes_nothing(published, registry, tmp_path, name):
    stranger = Pipeline(published.tree, registry, tmp_path)
    done = stranger.step(name)
    assert done.code
    assert f"publish: {registry.address} refuses this login" in done.output


@pytest.mark.parametrize("name", ["Publish the release", "Publish the migrations image"])
def test_an_image_of_another_commit_is_not_published(published, broken, registry, tmp_path, name):
    broken.add("new", "")
    other = Pipeline(broken, registry, tmp_path)
    (other.config / "config.json").write_text((published.config / "config.json").read_text())
    done = other.step(name)
    assert done.code
    assert "was built from" in done.output


def test_a_dirty_checkout_is_not_published(published, broken, registry, tmp_path):
    (broken.folder / "new").write_text("")
    done = Pipeline(broken, registry, tmp_path).step("Publish the release")
    assert done.code
    assert "changes that are not committed" in done.output


def test_the_login_step_keeps_the_login_where_docker_does(published, registry):
    assert registry.address in json.loads((published.config / "config.json").read_text())["auths"]
