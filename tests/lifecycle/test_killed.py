"""`make up` killed at random moments, or robbed of its cluster, and run again converges."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.lifecycle.conftest import CHECKOUT, Lab

# A warm `up` takes about this long, in seconds, without its platform and with it; a kill falls anywhere in it.
SPAN, WHOLE = 85, 145
# Each kill is followed by a run that may go on to its end; then the lab is taken down, and the next one starts from nothing.
SINGLE = [[moment] for moment in sorted(random.Random(20).sample(range(1, SPAN), 20))]
# Runs of the whole lab killed one after the other, each where the one before was left.
CHAINS = [random.Random(chain).sample(range(1, WHOLE), 4) for chain in range(2)]


@pytest.fixture(scope="module")
def lab():
    lab = Lab("killed")
    lab.down()
    yield lab
    lab.down()


def kill_after(lab: Lab, seconds: int) -> None:
    """Start the lab and kill the run; every second time only the play dies, and what it started goes on beside the next."""
    process = subprocess.Popen(
        lab.command("site.yml"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    time.sleep(seconds)
    if seconds % 2:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


@pytest.mark.long
@pytest.mark.parametrize(("components", "moments"), [*(("", moments) for moments in SINGLE), *(("argocd,monitoring", moments) for moments in CHAINS)], ids=str)
def test_killed_and_run_again_it_converges(lab, components, moments):
    lab.components = components
    for seconds in moments:
        kill_after(lab, seconds)
    run = lab.up()
    assert run.code == 0, f"killed after {moments} s: {run.output[-3000:]}"
    assert lab.get("/var/a/1") == "a = 1"
    assert lab.down().code == 0
    assert lab.left() == []


@pytest.mark.long
def test_cluster_that_somebody_removed_is_made_anew(lab):
    lab.components = ""
    assert lab.up().code == 0
    subprocess.run(["docker", "rm", "--force", "--volumes", f"{lab.name}-control-plane"], check=True, capture_output=True, timeout=120)
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert lab.get("/var/a/1") == "a = 1"
    assert lab.up().changed == 0
