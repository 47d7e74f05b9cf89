"""A lab made of a bundle where no packet gets out: stood up, checked, changed, taken down, and the rule that denies counts none."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from lab.build.sources import DEFAULT, plan_of
from lab.bundle import contents, make
from lab.bundle.archive import Bundle
from tests.bundle.plane import CHECKOUT, NOWHERE, copy_checkout, plane

NAME = "plane"
# Longest time, in seconds, that a step may take: wheels are installed and a lab is stood up by one of them.
LONGEST = 1500

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("dockerd"), reason="an engine of its own in a network namespace needs dockerd on Linux"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return the bundle of everything that the source gave here, as `make bundle` writes it."""
    plan = plan_of(DEFAULT, CHECKOUT / ".lab" / NAME)
    folder = tmp_path_factory.mktemp("bundle")
    make.make(plan, contents.carried(plan.catalog), folder / "lab.tar.zst", folder / "logs")
    return folder / "lab.tar.zst"


class Lab:
    """The lab on the plane: what its user types, and what came of it."""

    def __init__(self, machine, bundle):
        self.machine, self.bundle, self.checkout = machine, bundle, machine.folder / "checkout"

    def make(self, *words):
        return self.machine.inside("make", *words, timeout=LONGEST, cwd=self.checkout)

    def up(self, *more):
        return self.make("up", f"BUNDLE={self.bundle}", " ".join([f"VARS=-e lab_name={NAME}", *more]))

    def get(self, path):
        port = yaml.safe_load((self.checkout / ".lab" / NAME / "lab.yml").read_text())["lab_http_port"]
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10", f"http://localhost:{port}{path}"]
        return self.machine.inside(*command, timeout=20).stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory, bundle):
    """A lab on a machine without a network: nothing of it is there yet."""
    folder = tmp_path_factory.mktemp("plane")
    with plane(folder) as machine:
        (folder / "checkout").mkdir()
        copy_checkout(folder / "checkout")
        yield Lab(machine, bundle)
    shutil.rmtree(folder / "engine", ignore_errors=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)


def changed(run):
    return int(re.findall(r"changed=(\d+)", run.stdout)[-1])


def test_a_damaged_bundle_is_refused_before_anything_changes(lab, bundle):
    short = lab.machine.folder / "short.tar.zst"
    with bundle.open("rb") as whole, short.open("wb") as file:
        for _ in range(200):
            file.write(whole.read(1 << 20))
    run = lab.make("up", f"BUNDLE={short}")
    short.unlink()
    assert run.returncode != 0
    assert "is damaged or cut short" in run.stdout
    assert [path for path in (lab.checkout / ".venv", lab.checkout / ".lab", lab.machine.folder / "cache") if path.exists()] == []


def test_it_stands_up_without_a_network(lab):
    run = lab.up()
    assert run.returncode == 0, run.stdout[-3000:]
    assert lab.get("/healthz")
    assert lab.machine.denied() == 0


def test_a_second_run_changes_nothing(lab):
    run = lab.up()
    assert (run.returncode, changed(run)) == (0, 0), run.stdout[-3000:]


def test_it_passes_the_checks_of_a_running_lab(lab):
    run = lab.make("verify", f"NAME={NAME}")
    assert run.returncode == 0, run.stdout[-3000:]


def test_a_service_that_changed_is_built_of_what_was_carried(lab):
    service = lab.checkout / "app" / "__main__.py"
    service.write_text(service.read_text() + "# changed on the plane\n")
    run = lab.make("deploy", f"NAME={NAME}")
    assert run.returncode == 0, run.stdout[-3000:]
    assert "deployed, Synced and Healthy" in run.stdout


def test_other_packages_are_refused_by_name(lab):
    requirements = lab.checkout / "app" / "requirements.txt"
    before = requirements.read_text()
    requirements.write_text(f"{before}# another\n")
    run = lab.up()
    requirements.write_text(before)
    assert run.returncode != 0
    assert "app/requirements.txt asks for other packages than the bundle has" in run.stdout


def test_another_source_is_refused_while_it_lives(lab):
    run = lab.make("up", f"VARS=-e lab_name={NAME} -e lab_source=packages")
    assert run.returncode != 0
    assert "this lab was made with lab_source=bundle and cannot change to packages" in run.stdout


def test_it_is_taken_down(lab):
    run = lab.make("down", f"VARS=-e lab_name={NAME}")
    assert run.returncode == 0, run.stdout[-3000:]
    assert not (lab.checkout / ".lab" / NAME).exists()


def test_nothing_tried_to_get_out_and_what_does_is_counted(lab):
    assert lab.machine.denied() == 0
    lab.machine.inside("curl", "--silent", "--max-time", "2", f"http://{NOWHERE}/", timeout=10)
    assert lab.machine.denied() > 0


def test_two_bundles_of_the_same_are_the_same_bytes(bundle, tmp_path):
    plan = plan_of(DEFAULT, CHECKOUT / ".lab" / NAME)
    make.make(plan, contents.carried(plan.catalog), tmp_path / "again.tar.zst", tmp_path / "logs")
    assert Bundle(tmp_path / "again.tar.zst").manifest.digest == Bundle(bundle).manifest.digest
    assert same(tmp_path / "again.tar.zst", bundle)


def same(one: Path, other: Path) -> bool:
    """Say whether two files have the same bytes."""
    with one.open("rb") as first, other.open("rb") as second:
        while data := first.read(1 << 20):
            if data != second.read(1 << 20):
                return False
        return not second.read(1)
