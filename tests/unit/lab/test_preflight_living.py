"""A living lab keeps what it was made with, and only one run is at work on it."""
import json
import os

import pytest

from lab import made
from lab.preflight import living, processes


def make_proc(root, rows):
    """Write a /proc: pid -> (parent, start, state, words)."""
    for pid, (parent, start, state, words) in rows.items():
        folder = root / str(pid)
        folder.mkdir(parents=True)
        (folder / "status").write_text(f"State:\t{state} (of it)\n")
        (folder / "cmdline").write_text("\0".join(words.split()) + "\0")
        (folder / "stat").write_text(f"{pid} (a ) b) {state} {parent} " + " ".join(["0"] * 17) + f" {start} 0 0\n")
    return root


@pytest.fixture
def proc(tmp_path):
    """Two runs: 10 with a worker 11 and its child 12, and 20."""
    return make_proc(tmp_path / "proc", {
        5: (1, 50, "S", "make up"),
        10: (5, 100, "S", "/usr/bin/python3 /venv/bin/ansible-playbook site.yml"),
        11: (10, 110, "S", "/usr/bin/python3 /venv/bin/ansible-playbook site.yml"),
        12: (11, 120, "S", "python3 -m lab preflight"),
        20: (1, 200, "S", "ansible-playbook site.yml"),
        30: (1, 300, "Z", "ansible-playbook site.yml"),
    })


def test_a_run_is_the_outermost_playbook(proc):
    assert living.run_of(12, proc) == 10
    assert living.run_of(5, proc) == 5


def test_processes_are_read(proc):
    assert processes.command(5, proc) == "make up"
    assert processes.started(10, proc) == "100"
    assert list(processes.parents(12, proc)) == [12, 11, 10, 5]
    assert processes.command(30, proc) == processes.command(99, proc) == processes.started(99, proc) == ""


def test_one_run_gets_the_lock_and_the_other_is_told_who_has_it(proc, tmp_path):
    lock = tmp_path / "state/run.lock"
    assert living.take(lock, 10, proc) == []
    assert living.take(lock, 10, proc) == []
    assert "pid 10: /usr/bin/python3 /venv/bin/ansible-playbook" in living.take(lock, 20, proc)[0].message
    assert json.loads(lock.read_text())["pid"] == 10


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"pid": 99, "started": "1"}', '{"pid": 10, "started": "7"}', '{"pid": 30, "started": "300"}'])
def test_a_lock_whose_run_is_gone_is_nobodys(proc, tmp_path, text):
    lock = tmp_path / "run.lock"
    lock.write_text(text)
    assert living.in_progress(lock, 20, proc) == []
    assert living.take(lock, 20, proc) == []
    assert json.loads(lock.read_text()) == {"pid": 20, "started": "200"}


def test_a_setting_that_differs_from_the_record_is_refused_by_name(tmp_path):
    record = tmp_path / "two" / "lab.yml"
    record.parent.mkdir()
    record.write_text("lab_source: packages\nlab_http_port: 8080\nmade: yesterday\n")
    assert living.changed_settings(record, {"lab_source": "packages", "lab_http_port": "8080"}) == []
    found = living.changed_settings(record, {"lab_source": "bundle", "lab_http_port": 8080})
    assert [f.message for f in found] == [
        "this lab was made with lab_source=packages and cannot change to bundle: leave lab_source as it was (-e lab_source=packages), "
        "or have a new lab: make backup NAME=two, make down up NAME=two, make restore NAME=two FILE=.lab/two/backups/<time>.dump (what was built "
        "stays)"]


def test_port_is_refused_by_the_name_that_it_was_given_under(tmp_path):
    record = tmp_path / "lab.yml"
    record.write_text("lab_http_port: 8080\nkind_ports: [{host: 8080, node: 30080}]\n")
    (found,) = living.changed_settings(record, {"lab_http_port": 8090, "kind_ports": [{"host": 8090, "node": 30080}]})
    assert found.message.startswith("this lab was made with lab_http_port=8080 and cannot change to 8090: ")


def test_lab_from_before_there_were_workers_has_none(tmp_path):
    record = tmp_path / "lab.yml"
    record.write_text("lab_source: packages\n")
    assert living.changed_settings(record, {"lab_workers": "0"}) == []
    assert "lab_workers=0 and cannot change to 2" in living.changed_settings(record, {"lab_workers": 2})[0].message


@pytest.mark.parametrize(("marker", "nodes", "lost"), [
    (None, [], 0), ("a\nb\nc\n", ["c", "b", "a"], 0), ("a\n", ["a"], 0), ("a\nb\nc\n", ["a", "c"], 1), ("a\nb\nc\n", ["a"], 2),
    ("a\nb\n", ["b"], 0), ("a\nb\n", [], 0),
], ids=["never complete", "all there", "one node", "a worker gone", "both workers gone", "control plane gone", "all gone"])  # fmt: skip
def test_worker_that_was_removed_is_missed_and_a_lab_without_control_plane_is_made_anew(tmp_path, marker, nodes, lost):
    if marker is not None:
        (tmp_path / living.NODES).write_text(marker)
    found = [finding.message for finding in living.lost_nodes(tmp_path / living.NODES, nodes, "two")]
    assert bool(found) == bool(lost)
    assert not lost or (found[0].startswith(f"{lost} of the 3 nodes") and "make backup NAME=two" in found[0])


def test_no_record_is_no_lab_and_a_broken_one_is_said(tmp_path):
    assert living.changed_settings(tmp_path / "none.yml", {}) == []
    for text in ("a: [", "foo", "[1]"):
        (tmp_path / "lab.yml").write_text(text)
        assert "cannot be read" in living.changed_settings(tmp_path / "lab.yml", {})[0].message
    (tmp_path / "lab.yml").write_text("")
    assert living.changed_settings(tmp_path / "lab.yml", {"lab_source": "packages"}) == []


def test_a_listening_process_is_named(tmp_path):
    rows = "sl local rem st\n0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0 777 1\n1: 0100007F:1F91 0:0 01 0 0 0 0 0 778 1\n"
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(rows)
    (tmp_path / "5/fd").mkdir(parents=True)
    (tmp_path / "5/comm").write_text("nginx\n")
    (tmp_path / "5/fd/3").symlink_to("socket:[777]")
    assert processes.listener(8080, tmp_path) == "nginx (pid 5)"
    assert processes.listener(8081, tmp_path) is None


def test_folder_of_a_lab_that_is_new_is_for_its_owner_only(tmp_path):
    living.take(tmp_path / "lab" / living.LOCK, os.getpid())
    assert (tmp_path / "lab").stat().st_mode & 0o777 == 0o700


def test_settings_are_compared_whether_written_as_numbers_or_text(tmp_path):
    record = tmp_path / "lab" / "lab.yml"
    record.parent.mkdir()
    record.write_text("kind_ports: [{host: 8080, node: 30080}]\nvars_values.database.claim.size: 1Gi\n")
    asked = {"kind_ports": [{"node": "30080", "host": "8080"}], "vars_values.database.claim.size": "1Gi"}
    assert living.changed_settings(record, asked) == []
    found = living.changed_settings(record, {"kind_ports": [{"node": 30081, "host": 8080}], "vars_values.database.claim.size": "2Gi"})
    assert [f.message for f in found] == [
        "this lab was made with kind_ports=[{host: 8080, node: 30080}] and cannot change to [{host: 8080, node: 30081}]: leave "
        f"kind_ports as it was, or have a new lab: {made.commands('lab')}",
        "this lab was made with vars_values.database.claim.size=1Gi and cannot change to 2Gi: leave "
        f"vars_values.database.claim.size as it was, or have a new lab: {made.commands('lab')}"]


def test_living_lab_without_its_passwords_is_refused_with_what_to_type(tmp_path):
    (tmp_path / "cluster.id").write_text("x")
    (found,) = living.lost_passwords(tmp_path, fresh=False)
    assert made.commands(tmp_path.name) in found.message
    assert living.lost_passwords(tmp_path, fresh=True) == []
    (tmp_path / "credentials.yml").write_text("{}")
    assert living.lost_passwords(tmp_path, fresh=False) == []


def test_on_a_cluster_that_was_there_it_is_the_kubeconfig_that_tells_of_a_lab(tmp_path):
    assert living.lost_passwords(tmp_path, fresh=False, existing=True) == []
    (tmp_path / "kubeconfig").touch()
    assert made.commands(tmp_path.name) in living.lost_passwords(tmp_path, fresh=False, existing=True)[0].message
    assert living.lost_passwords(tmp_path, fresh=False) == []


def test_folder_is_complete_with_all_that_leads_to_the_cluster(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in living.LEADS:
        assert not living.complete(tmp_path)
        (tmp_path / name).touch()
    assert living.complete(tmp_path)
