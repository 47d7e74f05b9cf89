"""The engine that the lab starts: how it is recognised, what is cleared before it, what is said when it fails."""
import argparse
import socket
from pathlib import Path

import pytest

from lab import engine


def fake_proc(root, **processes):
    """Write a /proc with the given processes: pid=(state, words...)."""
    for pid, (state, *words) in processes.items():
        folder = root / pid.lstrip("p")
        folder.mkdir(parents=True)
        (folder / "status").write_text(f"Name:\tx\nState:\t{state} (of it)\n")
        (folder / "cmdline").write_text("".join(word + "\0" for word in words))
    return root


def test_only_an_engine_with_the_labs_configuration_is_the_labs(tmp_path):
    proc = fake_proc(
        tmp_path,
        p7=("S", "/usr/sbin/dockerd", "--config-file=/lab/daemon.json"),
        p8=("S", "/usr/sbin/dockerd"),
        p9=("S", "vi", "--config-file=/lab/daemon.json"),
        p10=("Z", "/usr/sbin/dockerd", "--config-file=/lab/daemon.json"),
    )
    assert engine.own_engines("/lab/daemon.json", proc) == [7]


def test_pid_files_of_gone_and_recycled_pids_are_cleared_and_true_ones_kept(tmp_path):
    proc = fake_proc(tmp_path / "proc", p7=("S", "/usr/sbin/dockerd"), p8=("S", "bash"))
    files = {name: tmp_path / name for name in ("true", "recycled", "gone", "torn", "absent")}
    for name, pid in {"true": "7\n", "recycled": "8", "gone": "9", "torn": ""}.items():
        files[name].write_text(pid)
    removed = engine.clear_stale({str(path): "dockerd" for path in files.values()}, [], proc)
    assert removed == [str(files[name]) for name in ("recycled", "gone", "torn")]
    assert [name for name, path in files.items() if path.exists()] == ["true"]


def test_sockets_nobody_listens_on_are_cleared(tmp_path):
    dead, live = str(tmp_path / "dead"), str(tmp_path / "live")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(dead)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(live)
        listening.listen()
        assert engine.clear_stale({}, [dead, live, str(tmp_path / "absent")]) == [dead]
    assert not Path(dead).exists()
    assert Path(live).exists()


def test_the_fatal_lines_of_a_log_come_before_the_rest(tmp_path):
    log = tmp_path / "log"
    log.write_text("level=info msg=a\nfailed to start daemon: no iptables\nlevel=info msg=b\n")
    assert engine.last_words(log) == "failed to start daemon: no iptables"
    log.write_text("\n".join(f"line {number}" for number in range(30)))
    assert engine.last_words(log, lines=2) == "line 28\nline 29"
    assert "no log was written" in engine.last_words(tmp_path / "absent")


def test_a_wait_ends_at_its_time():
    now = iter(range(100))
    slept = []
    assert not engine.wait_until(lambda: False, 5, clock=lambda: next(now), sleep=slept.append)
    assert len(slept) == 4
    assert engine.wait_until(lambda: True, 0, clock=lambda: 0)


def test_an_engine_that_does_not_start_is_said_with_its_last_words(tmp_path):
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho failed to start daemon: a reason\nexit 1\n")
    program.chmod(0o755)
    options = argparse.Namespace(config=str(tmp_path / "daemon.json"), socket=str(tmp_path / "docker.sock"),
                                 pid_file=str(tmp_path / "pid"), program=str(program), log=str(tmp_path / "log"),
                                 timeout=10)
    with pytest.raises(engine.EngineError, match="(?s)ended with code 1.*a reason"):
        engine.start(options, stale=({}, ()))


def test_stopping_leaves_an_engine_that_is_not_the_labs(tmp_path):
    options = argparse.Namespace(config=str(tmp_path / "none.json"), socket="/nowhere", timeout=1)
    assert engine.stop(options)["changed"] is False
