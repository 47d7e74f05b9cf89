"""What the benchmark of more nodes measures, and what its table says; how fast anything is, no test says."""
from pathlib import Path

import pytest

from lab.bench import nodes, up

MIB = 1024**2
ROWS = [
    nodes.Row(1, 60.0, 100.0, 30.0, "0", "9 passed in 40 s", 2000 * MIB, True),
    nodes.Row(3, 70.4, 130.0, 32.0, "0", "9 passed in 44 s", 2700 * MIB, True),
    nodes.Row(5, None, 190.0, 40.0, "2", "8 passed, 1 failed in 50 s", 3300 * MIB, False),
]


def recorder(failing=()):
    """Return a run that does nothing but note its calls; the phases in `failing` fail."""
    calls = []

    def run(phase, playbook, watched):
        calls.append((phase, playbook, watched))
        return up.Result(phase, 10.0, 5.0 if watched else None, int(phase in failing), "ok=1    changed=0    failed=0")

    return run, calls


def test_table_says_what_each_added_node_took():
    lines = nodes.table(ROWS).splitlines()[2:]
    assert lines[0] == "| 1 | 60 | 100 | 30 (0) | 9 passed in 40 s | 2,000 |  |  |"
    assert lines[1] == "| 3 | 70 | 130 | 32 (0) | 9 passed in 44 s | 2,700 | +15 | +350 |"
    assert lines[2] == "| 5 | none | 190 | 40 (2) | 8 passed, 1 failed in 50 s | 3,300 | +30 | +300 |"


def test_lab_is_run_again_checked_weighed_and_taken_down():
    run, calls = recorder()
    row = nodes.measure(3, run, lambda: ("9 passed", True), lambda: 7)
    assert [call[0] for call in calls] == ["up-3", "again-3", "down-3"]
    assert (row.first_answer, row.changed, row.memory, row.well) == (5.0, "0", 7, True)


def test_lab_that_does_not_stand_up_is_taken_down_and_no_row():
    run, calls = recorder(["up-5"])
    assert nodes.measure(5, run, lambda: pytest.fail("checked"), lambda: pytest.fail("weighed")) is None
    assert [call[0] for call in calls] == ["up-5", "down-5"]


@pytest.mark.parametrize(("failing", "passed"), [(["again-3"], True), ([], False)])
def test_second_run_or_check_that_fails_is_not_well(failing, passed):
    run, _ = recorder(failing)
    assert not nodes.measure(3, run, lambda: ("", passed), lambda: 7).well


def test_nodes_are_found_by_their_label():
    asked = []

    def ask(*words):
        asked.append(words)
        return "a1\nb2\n"

    assert nodes.node_groups("lab", ask, lambda identity: Path("/x") / identity) == [Path("/x/a1"), Path("/x/b2")]
    assert asked[0][-1] == "--filter=label=io.x-k8s.kind.cluster=lab"


@pytest.mark.parametrize("said", ["", "a1\n"])
def test_node_without_a_control_group_is_an_error(said):
    with pytest.raises(OSError, match="no control group"):
        nodes.node_groups("lab", lambda *words: said, lambda identity: None)


@pytest.mark.parametrize("given", ["0", "1,", "three", "11"])
def test_other_counts_are_refused(given, capsys):
    assert nodes.main(["--nodes", given]) == 2
    assert f"--nodes is '{given}'" in capsys.readouterr().err
