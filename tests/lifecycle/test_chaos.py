"""One thing after the other is broken under load: each time the lab is back in time, and with every write that was acknowledged."""

import json
import subprocess
import sys

import pytest

from lab.chaos import report
from lab.chaos.faults import FAULTS
from tests.lifecycle.conftest import CHECKOUT

# Seconds that one round of any fault takes at most, and how many rounds of each the long run has.
LONGEST, ROUNDS = 900, 20
# Where the long run keeps what it has done: beside the labs, which may go in between.
KEPT = CHECKOUT / ".lab" / "chaos.json"

# What `make status` says while a fault lasts.
SAID = {"certificate": "clients refuse the certificate of vars.localhost: certificate has expired; make up makes another"}


def chaos(lab, *words, seconds=LONGEST):
    """Run the verb; return what it printed, fail with what it complains about."""
    command = [sys.executable, "-m", "lab", "chaos", "--name", lab.name, *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(lab, fault, record_property):
    record_property("chaos", chaos(lab, "--fault", fault).splitlines()[1].strip())
    (found,) = json.loads((lab.state / "reports" / "chaos.json").read_text())
    assert (found["fault"], found["lost"], found["wrong"]) == (fault, [], [])
    assert found["acknowledged"] > 0
    assert found["recovery"] <= FAULTS[fault].bound
    assert found["noticed"] == SAID.get(fault, "")


def test_node_is_started_again_every_time_it_dies(lab):
    """One round of the fault cannot tell: kind's own nodes are started again once."""
    words = ["docker", "inspect", "--format={{.HostConfig.RestartPolicy.Name}}", f"{lab.name}-control-plane"]
    assert subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.strip() == "unless-stopped"


def test_container_that_crashes_again_and_again_waits_for_ten_seconds_at_most(lab):
    config = json.loads(lab.kubectl("get", "--raw", f"/api/v1/nodes/{lab.name}-control-plane/proxy/configz"))["kubeletconfig"]
    assert config["crashLoopBackOff"] == {"maxContainerRestartPeriod": "10s"}
    assert config["featureGates"]["KubeletCrashLoopBackOffMax"] is True


@pytest.mark.long
def test_every_fault_twenty_times(lab, record_property):
    """What was done already, of the commit that is checked out, is not done again."""
    seconds = LONGEST * ROUNDS * len(FAULTS)
    record_property("chaos", chaos(lab, f"--rounds={ROUNDS}", "--resume", f"--report={KEPT}", seconds=seconds))
    rounds = [item for item in report.read(KEPT) if not item.complaints]
    assert {name: sum(item.fault == name for item in rounds) >= ROUNDS for name in FAULTS} == dict.fromkeys(FAULTS, True)
