"""Jobs: what runs when, what a failure stops, and what is said."""

import threading

import pytest

from lab.build.jobs import Job, JobError, Progress, run

LANES = {"one": 1, "two": 2}
# How long a job may wait for another one before the test fails, in seconds.
PATIENCE = 5


@pytest.fixture
def record():
    return []


@pytest.fixture
def go(tmp_path):
    """Return a function that runs jobs; what they say is in progress.log beside their logs."""

    def start(*jobs):
        return run(list(jobs), LANES, tmp_path / "logs", Progress(tmp_path / "progress.log", len(jobs)))

    return start


@pytest.fixture
def said(tmp_path):
    return lambda: (tmp_path / "progress.log").read_text().splitlines()


def noting(record, name, lane="one", deps=(), what=""):
    return Job(name, lambda log: record.append(name), lane, set(deps), what)


def failing(name, lane="one", error="no such wheel"):
    def work(log):
        log.write_text("half of it\n")
        raise RuntimeError(error)

    return Job(name, work, lane)


def test_job_runs_after_what_it_depends_on(go, record):
    go(noting(record, "image", deps=["binary"]), noting(record, "binary", deps=["go"]), noting(record, "go"))
    assert record == ["go", "binary", "image"]


def test_dependencies_hold_across_lanes(go, record):
    go(noting(record, "image", lane="two", deps=["binary"]), noting(record, "binary"))
    assert record == ["binary", "image"]


def test_jobs_of_one_lane_start_in_the_order_given(go, record):
    go(*(noting(record, name) for name in "cab"))
    assert record == ["c", "a", "b"]


def test_lane_holds_no_more_jobs_at_once_than_it_may(go):
    running, most = [], []

    def work(log):
        running.append(log)
        most.append(len(running))
        threading.Event().wait(0.01)
        running.remove(log)

    go(*(Job(str(number), work, "two") for number in range(8)))
    assert max(most) <= 2
    assert len(most) == 8


def test_jobs_of_two_lanes_run_at_once(go):
    meet = threading.Barrier(2)
    go(*(Job(lane, lambda log: meet.wait(PATIENCE), lane) for lane in LANES))


def test_seconds_of_each_job_are_returned(go, record):
    seconds = go(noting(record, "a"), noting(record, "b", lane="two"))
    assert sorted(seconds) == ["a", "b"]
    assert all(value >= 0 for value in seconds.values())


def test_nothing_to_do_is_done(go):
    assert go() == {}


def test_each_job_has_a_log_of_its_own(go, tmp_path):
    go(Job("a", lambda log: log.write_text("from a"), "one"))
    assert (tmp_path / "logs" / "build-a.log").read_text() == "from a"


def test_log_of_an_earlier_run_is_emptied(go, tmp_path, record):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "build-a.log").write_text("old")
    go(noting(record, "a"))
    assert (tmp_path / "logs" / "build-a.log").read_text() == ""


def test_failure_is_reported_by_name_reason_and_log(go, tmp_path):
    with pytest.raises(JobError) as failure:
        go(failing("traefik"))
    assert str(failure.value) == f"traefik: no such wheel (log: {tmp_path}/logs/build-traefik.log)"


def test_log_of_a_failed_job_is_kept(go, tmp_path):
    with pytest.raises(JobError):
        go(failing("traefik"))
    assert (tmp_path / "logs" / "build-traefik.log").read_text() == "half of it\n"


def test_nothing_starts_after_a_failure(go, record):
    with pytest.raises(JobError):
        go(failing("a"), noting(record, "b"), noting(record, "c", deps=["a"]))
    assert record == []


def test_what_is_under_way_is_finished_after_a_failure(go, record):
    failed = threading.Event()

    def fail(log):
        failed.set()
        raise RuntimeError("no")

    def slow(log):
        failed.wait(PATIENCE)
        record.append("slow")

    with pytest.raises(JobError, match="^fast: no"):
        go(Job("slow", slow, "one"), Job("fast", fail, "two"))
    assert record == ["slow"]


def test_missing_dependency_is_named(go, record):
    with pytest.raises(JobError, match="nothing can provide what image needs: binary, certificate$"):
        go(noting(record, "image", deps=["certificate", "binary"]))


def test_jobs_that_wait_for_each_other_end_with_an_error(go, record):
    with pytest.raises(JobError, match="nothing can provide what a needs: b$"):
        go(noting(record, "a", deps=["b"]), noting(record, "b", deps=["a"]))


def test_progress_says_what_starts(go, said, record):
    go(noting(record, "traefik", what="3.7.15"))
    assert said()[0] == "build: traefik ... 3.7.15"


def test_progress_says_what_is_done_and_how_long_it_took(tmp_path, said):
    times = iter([10.0, 72.4])
    progress = Progress(tmp_path / "progress.log", 3, clock=lambda: next(times))
    job = Job("etcd", print, "one")
    progress.start(job)
    progress.end(job)
    assert said()[-1] == "build: etcd done in 62 s (1/3)"


def test_progress_says_what_is_under_way(tmp_path, said):
    progress = Progress(tmp_path / "progress.log", 2, clock=lambda: 0)
    first, second = Job("first", print, "one"), Job("second", print, "two")
    progress.start(first)
    progress.start(second)
    progress.end(first)
    assert said()[-1] == "build: first done in 0 s (1/2; under way: second)"


def test_failed_job_is_no_longer_under_way(tmp_path, said):
    progress = Progress(tmp_path / "progress.log", 2, clock=lambda: 0)
    first, second = Job("first", print, "one"), Job("second", print, "two")
    progress.start(first)
    progress.start(second)
    (tmp_path / "first.log").write_text("")
    progress.fail(first, JobError("first: no"), tmp_path / "first.log")
    progress.end(second)
    assert said()[-2:] == ["build: FAILED first: no", "build: second done in 0 s (1/2)"]


def test_end_of_a_failed_jobs_log_is_shown(tmp_path, said):
    def compiles(log):
        log.write_text("".join(f"line {number}\n\n" for number in range(1, 31)))
        raise RuntimeError("go exited with 1")

    with pytest.raises(JobError):
        run([Job("etcd", compiles, "one")], LANES, tmp_path / "logs", Progress(tmp_path / "progress.log", 1))
    assert said()[1].startswith("build: FAILED etcd: go exited with 1 (log: ")
    assert said()[2:] == [f"  | line {number}" for number in range(19, 31)]


class Gone:
    """Output that nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError


def test_build_goes_on_when_who_looked_is_gone(go, said, record, monkeypatch):
    monkeypatch.setattr("sys.stdout", Gone())
    go(noting(record, "a"), noting(record, "b"))
    assert record == ["a", "b"]
    assert any("b done" in line for line in said())


def test_progress_that_cannot_be_written_ends_the_build_instead_of_leaving_it_waiting(tmp_path, record):
    progress = Progress(tmp_path / "progress.log", 1)

    def full(job):
        raise OSError("no space left")

    progress.end = full
    with pytest.raises(JobError, match="a: no space left"):
        run([noting(record, "a")], LANES, tmp_path / "logs", progress)
