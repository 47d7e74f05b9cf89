"""A run of faults: undone whatever happens, reported as it was, not run twice; and what it refuses."""

import base64
import json
import os
import re
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lab.chaos import ChaosError, acts, expiry, report, run, trial, volume
from lab.chaos.faults import FAULTS, Fault
from lab.chaos.load import Answer
from lab.chaos.place import Place, Process, processes
from lab.chaos.report import Round
from tests.certificates import issue
from tests.unit.clock import Clock


def a_clock():
    """Return a clock that stands at 1000 s."""
    clock = Clock()
    clock.sleep(1000)
    return clock


def found(fault="web", number=1, **more):
    """Return a round that went well, but for what is given."""
    return Round(fault, number, "2026-01-01T00:00:00+00:00", "c0ffee", 60, **{"recovery": 2.0, "acknowledged": 7, "seen": {"200": 9}, **more})


class Cluster:
    """A place whose looks give these, one after the other; the last one for ever."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def lacking(self):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


class Answers:
    """Load whose answers are good from a moment on."""

    def __init__(self, good_from, since=1000.0):
        self.answers = [Answer(since + at / 10, since + at / 10, "200", since + at / 10 >= good_from) for at in range(2000)]


def test_back_is_when_answers_are_good_and_everything_is_ready():
    place = Cluster("Deployment/web has 1 of 2 pods ready", "Deployment/web has 1 of 2 pods ready", "")
    assert trial.wait_until_back(place, Answers(1000.0), lambda: "", 1000.0, a_clock()) == (2 * trial.PAUSE, "")
    assert trial.wait_until_back(Cluster(""), Answers(1004.0), lambda: "", 1000.0, a_clock())[0] == pytest.approx(4.0, abs=0.2)


def test_what_was_taken_away_has_to_be_there_again():
    missing = iter(["it does not run again", "it does not run again", "it does not run again"])
    assert trial.wait_until_back(Cluster(""), Answers(1000.0), lambda: next(missing, ""), 1000.0, a_clock())[0] == 3 * trial.PAUSE


def test_lab_that_never_comes_back_is_given_up_with_the_reason():
    recovery, line = trial.wait_until_back(Cluster("Node/x is not ready"), Answers(1000.0), lambda: "", 1000.0, a_clock())
    assert (recovery, line) == (None, "Node/x is not ready")


def test_cluster_that_does_not_answer_is_not_ready():
    class Away:
        def lacking(self):
            raise ChaosError("connection refused")

    assert trial.lacking(Away(), lambda: "") == "connection refused"


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Have a round without load or cluster; return what happened in it, in order."""
    happened = []

    class Load:
        answers, wrong = [], []

        def __init__(self, *arguments):
            """Take anything."""

        def __enter__(self):
            happened.append("load")

        def __exit__(self, *exception):
            happened.append("load ends")

    class Place:
        class lab:
            name, http, https, state, checkout = "x", 1, 2, tmp_path, tmp_path

        def lacking(self):
            return ""

    monkeypatch.setattr(trial, "Load", Load)
    monkeypatch.setattr(trial, "BEFORE", 0)
    monkeypatch.setattr(trial, "wait_until_back", lambda *arguments: (1.0, ""))

    async def settle(*arguments):
        happened.append("look")
        return []

    monkeypatch.setattr(trial.client, "settle", settle)

    def fault(**acts):
        def act(name):
            def happen(place):
                happened.append(name)
                if name in acts:
                    raise acts[name]
                return lambda: ""

            return happen

        return Fault("x", "what", "undone", act("inflict"), held=0.01, undo=act("undo"), prepare=act("prepare"), restore=act("restore"))

    return Place(), fault, happened


def test_order_of_a_round(quick):
    place, fault, happened = quick
    trial.one_round(place, fault(), found())
    assert happened == ["prepare", "load", "inflict", "undo", "load ends", "look", "restore"]


@pytest.mark.parametrize("error", [ChaosError("it cannot be done"), KeyboardInterrupt()])
def test_fault_is_undone_whatever_happens(quick, error):
    place, fault, happened = quick
    with pytest.raises(type(error)):
        trial.one_round(place, fault(inflict=error), found())
    assert happened == ["prepare", "load", "inflict", "undo", "load ends", "restore"]


def test_what_cannot_be_prepared_is_restored(quick):
    place, fault, happened = quick
    with pytest.raises(ChaosError):
        trial.one_round(place, fault(prepare=ChaosError("no loop device")), found())
    assert happened == ["prepare", "restore"]


def test_fault_that_nobody_notices_is_a_complaint(quick, monkeypatch):
    place, fault, _ = quick
    monkeypatch.setattr(trial, "NOTICED", 0)
    unnoticed = fault()
    object.__setattr__(unnoticed, "notice", lambda place: "")
    assert "nothing says within 0 s that something is wrong" in trial.one_round(place, unnoticed, found()).complaints


def test_what_is_noticed_late_is_noticed():
    said = iter(["", "", "it has expired"])
    assert trial.notice(None, lambda place: next(said), a_clock()) == "it has expired"


@pytest.fixture
def counted(monkeypatch):
    """Have rounds that only note their order."""
    order = []
    monkeypatch.setattr(run, "one_round", lambda place, fault, item: order.append((fault.name, item.number)) or found(fault.name, item.number))
    return order


def test_faults_are_run_in_turn_and_kept_after_each(counted, quick, tmp_path):
    place = quick[0]
    faults = [FAULTS["web"], FAULTS["stall"]]
    kept = []
    made = run.run(place, faults, 2, tmp_path / "chaos.json", kept, lambda text: None)
    assert counted == [("web", 1), ("stall", 1), ("web", 2), ("stall", 2)]
    assert report.read(tmp_path / "chaos.json") == made


def test_rounds_that_went_well_are_not_run_again(counted, quick, tmp_path):
    kept = [found("web", 1), found("web", 2, lost=["a"]), found("stall", 1)]
    made = run.run(quick[0], [FAULTS["web"], FAULTS["stall"]], 2, tmp_path / "chaos.json", kept, lambda text: None)
    assert counted == [("web", 2), ("stall", 2)]
    assert len(made) == 5


def test_report_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "reports" / "chaos.json"
    assert report.read(path) == []
    report.write(path, [found(lost=["gone"]), found("stall", recovery=None)])
    assert report.read(path) == [found(lost=["gone"]), found("stall", recovery=None)]
    assert json.loads(path.read_text())[0]["lost"] == ["gone"]


def test_file_that_is_no_report_is_refused_by_name(tmp_path):
    path = tmp_path / "chaos.json"
    path.write_text('[{"fault": "web", "colour": "blue"}]')
    with pytest.raises(ChaosError, match=r"chaos\.json is no report of this version"):
        report.read(path)


def test_table_has_a_line_for_each_fault():
    lines = report.summary([
        found(recovery=1.0, gap=0.5, seen={"200": 5, "502": 2}), found(number=2, recovery=4.0, gap=0.2, seen={"200": 5}),
        found(number=3, recovery=2.5, seen={"502": 1, "cut off": 1}), found("stall", recovery=None, lost=["a", "b"]),
    ])  # fmt: skip
    assert [line.split("  ")[0].strip() for line in lines] == ["fault", "web", "stall"]
    assert "1.0 / 2.5 / 4.0" in lines[1]
    assert "3 502, 1 cut off" in lines[1]
    assert lines[1].split()[-2:] == ["21", "0"]
    assert lines[2].split()[-1] == "2"


@pytest.mark.parametrize(("more", "said"), [
    ({}, []),
    ({"recovery": 61.0}, ["web 1: back after 61.0 s, and not within 60 s"]),
    ({"lost": ["a: 2 was acknowledged"]}, ["web 1: lost: a: 2 was acknowledged"]),
    ({"acknowledged": 0}, ["web 1: no write was acknowledged, so none could be lost"]),
    ({"lost": list("abcde")}, ["web 1: lost: a", "web 1: lost: b", "web 1: lost: c", "web 1: and 2 more"]),
])  # fmt: skip
def test_whatever_is_not_as_it_should_be_is_said(more, said):
    assert report.complaints([found(**more)]) == said


def test_lab_of_the_user_is_spared(capsys):
    assert run.main(["--name=lab"]) == 1
    assert capsys.readouterr().err.startswith("chaos: the lab lab is spared: make chaos NAME=chaos")


@pytest.mark.parametrize(("words", "said"), [(["--rounds=0"], "--rounds 0: 1 or more is meant"), (["--fault=flood"], "invalid choice: 'flood'")])
def test_bad_input_is_refused_by_name(capsys, words, said):
    with pytest.raises(SystemExit) as end:
        run.main(words)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_lab_that_is_not_up_is_one_line(capsys):
    assert run.main(["--name=never"]) == 1
    assert capsys.readouterr().err == "chaos: no lab called never is up: make up NAME=never\n"


def test_cluster_that_was_there_before_is_spared(monkeypatch, capsys):
    there = type("Lab", (), {"name": "x", "at": "somebody"})()
    monkeypatch.setattr(run.state, "load", lambda name: there)
    assert run.main(["--name=x"]) == 1
    assert "stands on a cluster that was there before" in capsys.readouterr().err


class Secrets:
    """A cluster's TLS Secrets, by namespace: a certificate and a key each."""

    def __init__(self, **texts):
        self.there = {namespace: [text.encode() for text in pair] for namespace, pair in texts.items()}
        self.patched = []

    def everything(self, *words):
        data = {namespace: dict(zip(("tls.crt", "tls.key"), (base64.b64encode(text).decode() for text in pair), strict=True))
                for namespace, pair in self.there.items()}  # fmt: skip
        return [{"metadata": {"namespace": namespace, "name": "tls"}, "data": item} for namespace, item in data.items()]

    def text(self, *words):
        namespace = words[words.index("--namespace") + 1]
        self.patched.append(namespace)
        self.there[namespace][0] = base64.b64decode(json.loads(words[-1])["data"]["tls.crt"])


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return a function that gives a place with these Secrets; the state folder has the certificate `ours` for the key `key`."""
    (tmp_path / "pki").mkdir()
    for name in ("pki/server.crt", "ca.crt", "pki/ca.key"):
        (tmp_path / name).write_text("ours")
    (tmp_path / "pki" / "server.key").write_text("key")
    monkeypatch.setattr(expiry, "expired", lambda *words: b"expired")

    def place(**texts):
        cluster = Secrets(**texts)
        return type("Place", (), {"lab": type("Lab", (), {"state": tmp_path}), "kubectl": lambda self, namespace: cluster, "cluster": cluster})()

    return place


def test_every_copy_of_a_certificate_expires_and_no_other(served, monkeypatch):
    place = served(vars=("ours", "key"), argocd=("ours", "key"), other=("theirs", "another"))
    missing = expiry.expire(place)
    assert place.cluster.patched == ["vars", "argocd"]
    assert {namespace: pair[0] for namespace, pair in place.cluster.there.items()} == {"vars": b"expired", "argocd": b"expired", "other": b"theirs"}
    monkeypatch.setattr(expiry, "noticed", lambda place: "clients refuse it")
    place.cluster.there["argocd"][0] = b"renewed"
    assert missing() == "the expired certificate is still in vars"
    place.cluster.there["vars"][0] = b"renewed"
    assert missing() == "clients refuse it"


@pytest.mark.parametrize(("days", "patched"), [(31, ["vars"]), (29, []), (-1, [])])
def test_certificate_of_the_state_folder_is_served_again_afterwards_unless_it_ends_soon(served, tmp_path, days, patched):
    key = ec.generate_private_key(ec.SECP256R1())
    own = issue("localhost", days, key, key, "ca").decode()
    (tmp_path / "pki" / "server.crt").write_text(own)
    place = served(vars=("renewed", "key"), argocd=(own, "key"), other=("theirs", "another"))
    expiry.restore(place)
    assert place.cluster.patched == patched
    assert place.cluster.there["vars"][0] == (own.encode() if patched else b"renewed")


def test_certificate_that_no_secret_holds_is_refused(served):
    with pytest.raises(ChaosError, match="no Secret holds the certificate"):
        expiry.expire(served(other=("theirs", "another")))


@pytest.mark.parametrize("looks", [True, False])
def test_fault_waits_for_the_next_look_at_the_certificates(tmp_path, looks):
    # A stand-in that tells another time at its third call, or never.
    stat = tmp_path / "stat"
    stat.write_text(f'#!/bin/sh\necho x >> {tmp_path}/asked\n[ $(wc -l < {tmp_path}/asked) -lt {3 if looks else 99} ] && echo then || echo now\n')
    stat.chmod(0o755)
    done = subprocess.run(["sh", "-euc", expiry.LOOKED, "sh", "4"], capture_output=True, text=True, check=False, timeout=30,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})  # fmt: skip
    assert (done.returncode, done.stderr) == ((0, "") if looks else (1, "nothing here looks at certificates: make up has it look again\n"))


@pytest.mark.parametrize(("output", "said"), [("", "exit code 3"), ("a\nb", "b"), ("x\n[ERROR]: Task failed: no\nrecap", "[ERROR]: Task failed: no")])
def test_command_that_fails_says_why(output, said, tmp_path):
    lab = type("Lab", (), {"checkout": tmp_path})
    done = subprocess.CompletedProcess([], 3, output, "")
    with pytest.raises(ChaosError, match=re.escape(f"some thing: {said}")):
        Place(lab, lambda *words, **options: done).command("some", "thing", "more")


def test_faults_are_listed(capsys):
    assert run.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FAULTS) == 10


def test_what_takes_a_restart_of_the_node_may_take_longer_than_the_rest():
    assert {name: fault.bound for name, fault in FAULTS.items() if fault.bound != 60} == {"node": 120, "restart": 120}


def test_what_lasts_is_undone_and_the_rest_comes_back_by_itself():
    acts = {name: fault.undo.__name__ for name, fault in FAULTS.items()}
    assert [name for name, act in acts.items() if act == "leave"] == [name for name, fault in FAULTS.items() if not fault.held]


def test_processes_are_read_and_the_one_that_holds_the_network_is_none():
    text = "812 1 pause\n901 1 postgres\n950 31 postgres\n951 32 pg isready\n"
    there = processes(text)
    assert there == [Process(901, 1, "postgres"), Process(950, 31, "postgres"), Process(951, 32, "pg isready")]
    assert [each.pid for each in there if each.first] == [901]


def test_waiting_for_a_lab_that_never_is_ready_ends_with_the_reason():
    place = Cluster("Node/x is not ready")
    place.lab = type("Lab", (), {"name": "x"})
    clock = a_clock()
    with pytest.raises(ChaosError, match="the lab x is not ready after 180 s: Node/x is not ready"):
        trial.wait_until_ready(place, clock)
    assert clock.now >= 1000 + trial.READY


@pytest.mark.parametrize("fails", ["cp", "mount", ""])
def test_data_that_cannot_be_moved_back_stays_where_it_is(tmp_path, fails):
    # Stand-ins for what only a mounted file system can answer; the one that fails leaves half of its work.
    (tmp_path / "bin").mkdir()
    data, image, beside = tmp_path / "data", tmp_path / "image", tmp_path / "beside"
    data.mkdir()
    image.touch()
    programs = {"mountpoint": "exit 1", "mount": f"mkdir -p {beside}/base", "umount": "", "cp": f"mkdir {data}.new && /bin/cp -a {beside}/base {data}.new/"}
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n{'exit 1' if name == fails else ''}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = subprocess.run(["sh", "-euc", volume.BACK, "sh", str(data), str(image), str(beside), volume.FILLER], capture_output=True, text=True, check=False,
                          timeout=30, env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})  # fmt: skip
    assert (done.returncode == 0, image.exists(), (data / "base").is_dir()) == (not fails, bool(fails), not fails)


def test_only_a_process_of_the_node_is_killed(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text("0::/system.slice/docker-c0ffee.scope/init.scope\n")
    assert [acts.is_node(7, "c0ffee", tmp_path), acts.is_node(7, "decade", tmp_path), acts.is_node(0, "c0ffee", tmp_path)] == [True, False, False]


@pytest.mark.parametrize(("looks", "left"), [("0", "0"), ("1024 0", "0"), (" ".join(["1024"] * 12), "1024")], ids=["at once", "let go of meanwhile", "for ever"])
def test_volume_is_filled_until_nothing_is_left(tmp_path, looks, left):
    # Stand-ins for what only a mounted file system can answer: each look takes the next of the numbers.
    (tmp_path / "bin").mkdir()
    (tmp_path / "looks").write_text(looks.replace(" ", "\n") + "\n")
    programs = {"mountpoint": "", "dd": "", "sync": "", "df": f"head -1 {tmp_path}/looks; sed -i 1d {tmp_path}/looks"}
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    done = subprocess.run(["sh", "-euc", volume.FILL, "sh", str(tmp_path), volume.FILLER], capture_output=True, text=True, check=True, timeout=30,
                          env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})  # fmt: skip
    assert done.stdout.strip() == left


class Node:
    """A node whose kubelet is the process that systemd says, and whose lease is as old as that."""

    def __init__(self, *pids):
        self.pids, self.killed, self.renewed = list(pids), [], "2000-01-01T00:00:00Z"

    def database(self):
        return {"spec": {"nodeName": "node"}}

    def inside(self, node, script, *arguments):
        if arguments:
            self.killed += arguments
            return ""
        assert "MainPID" in script
        return f"{self.pids.pop(0)}\n"

    def kubectl(self, namespace):
        return type("Kubectl", (), {"text": lambda _, *words: self.renewed})()


def test_kubelet_that_systemd_started_is_killed_and_has_to_report_again():
    node = Node("191", "191", "0", "200", "200")
    missing = acts.kill_kubelet(node)
    assert node.killed == ["191"]
    assert [missing(), missing(), missing()] == ["the kubelet does not run again"] * 2 + ["the kubelet has not reported yet"]
    node.renewed = "2999-01-01T00:00:00Z"
    assert missing() == ""


def test_node_without_a_kubelet_is_not_asked_to_lose_it():
    with pytest.raises(ChaosError, match="no kubelet runs in the node node"):
        acts.kill_kubelet(Node("0"))
