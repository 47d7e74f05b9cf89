"""The pipelines' files: ci's eight steps in their order, nothing that hides a failure, actions pinned, what linters say."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / ".github" / "workflows" / "ci.yml"
WORKFLOW = yaml.safe_load(FILE.read_text())
TRIGGERS = WORKFLOW["on"]
JOB = WORKFLOW["jobs"]["images"]
STEPS = {step["name"]: step for step in JOB["steps"]}
# Each step of the pipeline, and the target that does it.
TARGETS = {
    "Check out": None,
    "Build the test image": "image-test-build",
    "Run the test image": "image-test-run",
    "Log in to the registry": "login",
    "Build the release": "image-release",
    "Publish the release": "publish-release",
    "Build the migrations image": "image-migrations",
    "Publish the migrations image": "publish-migrations",
}
LAB_FILE = FILE.with_name("lab.yml")
LAB = yaml.safe_load(LAB_FILE.read_text())
ALL = {(file.stem, step["name"]): step for file in (FILE, LAB_FILE) for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"]}
PUBLISHING = ("Log in to the registry", "Publish the release", "Publish the migrations image")
SECRETS = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")


def test_the_eight_steps_are_there_in_this_order():
    assert [name for name in STEPS if name in TARGETS] == list(TARGETS)


@pytest.mark.parametrize(("name", "target"), [item for item in TARGETS.items() if item[1]], ids=lambda value: value)
def test_a_step_is_one_make_target(name, target):
    assert STEPS[name]["run"] == f"make {target}"


@pytest.mark.parametrize("target", [target for target in TARGETS.values() if target])
def test_the_target_is_there(target):
    assert re.search(rf"^{target}:", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("step", ALL.values(), ids=map("/".join, ALL))
def test_no_step_hides_its_failure(step):
    assert not step.get("continue-on-error")
    assert "||" not in step.get("run", "")
    assert "always()" not in str(step.get("if", ""))


@pytest.mark.parametrize("name", PUBLISHING)
def test_only_a_push_publishes(name):
    assert STEPS[name]["if"] == "github.event_name == 'push'"


def test_pushes_are_those_to_main_and_of_version_tags():
    assert TRIGGERS["push"] == {"branches": ["main"], "tags": ["v*"]}


@pytest.mark.parametrize("name", [name for name in STEPS if name not in PUBLISHING[:1]])
def test_no_other_step_knows_a_secret(name):
    assert "secrets." not in str(STEPS[name])


def test_the_login_has_its_secrets_from_the_environment():
    assert STEPS["Log in to the registry"]["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in SECRETS}


@pytest.mark.parametrize("uses", sorted({step["uses"] for step in ALL.values() if "uses" in step}))
def test_an_action_is_pinned_by_commit(uses):
    assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses)


def test_the_lab_is_made_from_upstream_and_needs_no_secret():
    assert LAB["env"]["LAB_SOURCE"] == "upstream"
    assert "LAB_SOURCE" in (CHECKOUT / ".config" / "molecule" / "config.yml").read_text()
    assert LAB["permissions"] == {"contents": "read"}
    assert "secrets." not in LAB_FILE.read_text()


def test_the_labs_run_is_molecules_a_table_of_memory_and_diagnostics():
    commands = "\n".join(step.get("run", "") for step in LAB["jobs"]["lab"]["steps"])
    assert commands.index("make molecule") < commands.index("make report") < commands.index("make diagnostics") < commands.index("make down")
    assert '>> "$GITHUB_STEP_SUMMARY"' in commands


def test_the_job_may_read_the_contents_and_nothing_else():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB


def test_the_checkout_keeps_no_credentials():
    assert STEPS["Check out"]["with"]["persist-credentials"] is False


def test_a_run_has_a_limit_and_a_newer_one_takes_over():
    assert JOB["timeout-minutes"] <= 60
    assert "github.ref" in WORKFLOW["concurrency"]["group"]


def lint(file, name, *words):
    """Run a linter of this Python's environment or of the path on the workflow; skip where it is not installed."""
    program = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: the workflow was not checked by it")
    done = subprocess.run([program, *words, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [FILE, LAB_FILE], ids=lambda file: file.stem)
def test_zizmor_finds_nothing(file):
    lint(file, "zizmor", "--offline", "--quiet")


@pytest.mark.parametrize("file", [FILE, LAB_FILE], ids=lambda file: file.stem)
def test_actionlint_finds_nothing(file):
    lint(file, "actionlint")
