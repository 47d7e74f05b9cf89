"""What the benchmark of `make up` measures, and in which order; how fast anything is, no test says."""
import http.server
import itertools
import threading

import pytest

from lab.bench import up

OUTPUT = """
TASK [kind : create] ***
changed: [localhost]

PLAY RECAP ****
localhost                  : ok=9    changed=2    unreachable=0    failed=0

STAGES *************
preflight            0.7 s
kind                21.4 s  slowest
all                 22.3 s
"""


def result(phase, code=0, **more):
    """Return a phase that took 10 seconds."""
    return up.Result(phase, 10.0, None, code, "ok=1", **more)


def recorder(failing=()):
    """Return a run that does nothing but note its calls; the phases in `failing` fail."""
    calls = []

    def run(phase, playbook, watched):
        calls.append((phase, playbook, watched))
        return result(phase, int(phase in failing))

    return run, calls


def test_stages_and_counts_are_read_from_a_plays_output():
    stages, recap = up.read_output(OUTPUT)
    assert stages == {"preflight": 0.7, "kind": 21.4}
    assert recap.split()[:2] == ["ok=9", "changed=2"]
    assert up.read_output("nothing of the kind") == ({}, "")


def test_all_phases_follow_each_other_and_only_two_are_watched():
    run, calls = recorder()
    assert [found.phase for found in up.measure(list(up.PHASES), run, print)] == list(up.PHASES)
    assert calls == [("cold", up.UP, True), ("before-warm", up.DOWN, False), ("warm", up.UP, True), ("rerun", up.UP, False),
                     ("down", up.DOWN, False)]


@pytest.mark.parametrize("phases, playbooks", [
    (["rerun"], ["before-rerun", "rerun", "after"]),
    (["down"], ["before-down", "down"]),
    (["down", "warm"], ["warm", "down"]),
])
def test_what_a_phase_needs_is_done_unmeasured_and_nothing_stays_up(phases, playbooks):
    run, calls = recorder()
    up.measure(phases, run, print)
    assert [phase for phase, _, _ in calls] == playbooks


def test_a_failed_phase_ends_it_and_the_lab_is_taken_down():
    run, calls = recorder(failing=["warm"])
    assert [found.phase for found in up.measure(["warm", "rerun"], run, print)] == ["warm"]
    assert calls[-1] == ("after", up.DOWN, False)


def test_a_preparation_that_fails_is_said_and_the_lab_is_taken_down():
    run, calls = recorder(failing=["before-rerun"])
    with pytest.raises(up.BenchError, match="before rerun could be measured"):
        up.measure(["rerun"], run, print)
    assert calls[-1] == ("after", up.DOWN, False)


def test_a_watch_says_when_the_first_answer_came():
    replies, times = iter([False, False, True]), itertools.count()
    watch = up.Watch(lambda: next(replies), clock=lambda: next(times), pause=0)
    watch.wait(5)
    assert watch.end() == 1


def test_a_watch_without_an_answer_ends_when_told():
    assert up.Watch(lambda: False, pause=0.01).end() is None


@pytest.mark.parametrize("body, code, answered", [(b"a = 1", 200, True), (b"a = 2", 200, False), (b"a = 1", 404, False)])
def test_only_the_services_own_answer_counts(body, code, answered):
    hosts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hosts.append(self.headers["Host"])
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert up.answers(server.server_port) is answered
        server.shutdown()
    assert hosts == ["vars.localhost"]


def test_nobody_listening_is_no_answer():
    assert up.answers(up.free_ports(1)[0]) is False


def test_ports_differ():
    assert len(set(up.free_ports(3))) == 3


@pytest.mark.parametrize("seconds, target, said", [
    (30.0, 45, "30.0 s of 45 s"), (50.0, 45, "50.0 s of 45 s MISSED"), (5.0, None, "5.0 s"), (None, 90, "none"), (None, None, "")])
def test_a_figure_stands_beside_its_target(seconds, target, said):
    assert up.verdict(seconds, target) == said


def test_the_table_has_a_column_for_every_phase_and_a_row_for_every_stage():
    text = up.table([result("warm", stages={"kind": 21.4}), result("rerun", 2, stages={"kind": 1.0, "traefik": 3.0})])
    assert text.splitlines()[0].split() == ["stage", "warm", "rerun"]
    assert [line.split() for line in text.splitlines()[1:3]] == [["kind", "21.4", "1.0"], ["traefik", "-", "3.0"]]
    assert "FAILED with code 2" in text


def test_a_phase_is_run_with_its_variables_and_its_cache(tmp_path):
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/bin/sh\necho \"$@\" cache=$LAB_CACHE\necho 'localhost : ok=1 changed=0'\nexit 3\n")
    program.chmod(0o755)
    log = tmp_path / "log"
    found = up.run_phase("warm", up.UP, {"lab_name": "bench"}, {"LAB_CACHE": "/c"}, log, None, str(program))
    assert log.read_text().splitlines()[0] == "site.yml --extra-vars=lab_name=bench cache=/c"
    assert (found.code, found.recap, found.first_answer) == (3, "ok=1 changed=0", None)


def test_an_unknown_phase_is_refused(capsys):
    assert up.main(["--phases", "warm,hot"]) == 2
    assert "unknown phase hot" in capsys.readouterr().err


def test_what_a_failed_lab_saved_outlives_it(tmp_path):
    up.keep(tmp_path / "none", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    (tmp_path / "diagnostics").mkdir()
    (tmp_path / "diagnostics" / "kubelet.log").write_text("why")
    up.keep(tmp_path / "diagnostics", tmp_path / "kept")
    assert (tmp_path / "kept" / "kubelet.log").read_text() == "why"
