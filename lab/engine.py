"""Start and stop a Docker engine where no service manager does it.

The engine that the lab starts runs with a configuration file of the lab's own; that path in its command line is the
record that the lab started it, which no crash can lose.
"""
import argparse
import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from shutil import which

# Debian has dockerd in /usr/sbin, Ubuntu in /usr/bin.
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

# What a killed dockerd leaves behind, and the program whose process makes the file still true.
PID_FILES = {
    "/var/run/docker.pid": "dockerd",
    "/run/docker/containerd/containerd.pid": "containerd",
    "/var/run/docker/containerd/containerd.pid": "containerd",
}
SOCKETS = ("/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock")


class EngineError(Exception):
    """Say why the engine could not be started or stopped."""


def answers(path, timeout=2.0):
    """Return whether something accepts connections on the UNIX socket `path`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def pings(path, timeout=2.0):
    """Return whether a Docker engine answers its /_ping on the UNIX socket `path`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def command_line(pid, proc=Path("/proc")):
    """Return the words of a living process' command line; [] where there is none, zombies included."""
    try:
        if re.search(r"^State:\s+[ZX]", (proc / str(pid) / "status").read_text(errors="replace"), re.MULTILINE):
            return []
        return (proc / str(pid) / "cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def own_engines(config, proc=Path("/proc")):
    """Return the pids of the engines that run with the lab's configuration file `config`."""
    pids = []
    for entry in proc.iterdir():
        words = command_line(entry.name, proc) if entry.name.isdigit() else []
        if words and Path(words[0]).name == "dockerd" and f"--config-file={config}" in words:
            pids.append(int(entry.name))
    return sorted(pids)


def clear_stale(pid_files, sockets, proc=Path("/proc"), answering=answers):
    """Remove pid files whose process is gone or another program, and sockets nobody listens on; return them.

    dockerd believes both: a recycled pid makes it refuse to start, a dead containerd socket makes it wait in vain.
    """
    stale = []
    for path, program in pid_files.items():
        try:
            pid = Path(path).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        words = command_line(pid, proc) if pid.isdigit() else []
        if not words or Path(words[0]).name != program:
            stale.append(path)
    stale += [path for path in sockets if os.path.lexists(path) and not answering(path)]
    for path in stale:
        Path(path).unlink(missing_ok=True)
    return stale


def last_words(log, lines=12):
    """Return the end of a dockerd log: its fatal lines if there are any, else the last `lines`."""
    try:
        text = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{log}: no log was written"
    fatal = [line for line in text if "level=fatal" in line or line.startswith("failed to start daemon")]
    return "\n".join((fatal or text)[-lines:]) or f"{log} is empty"


def wait_until(condition, timeout, clock=time.monotonic, sleep=time.sleep, pause=0.2):
    """Return whether `condition()` came true within `timeout` seconds."""
    end = clock() + timeout
    while not condition():
        if clock() >= end:
            return False
        sleep(pause)
    return True


def launch(program, config, log):
    """Start dockerd in a session of its own, its output in the file `log`, the previous log kept beside it."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    if Path(log).exists():
        Path(log).replace(f"{log}.1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Path(log).open("ab") as output:
        return subprocess.Popen([program, f"--config-file={config}"], stdin=subprocess.DEVNULL, stdout=output,
                                stderr=output, cwd="/", start_new_session=True)


def start(options, stale=(PID_FILES, SOCKETS)):
    """Start the engine unless one answers; return what was done, or raise with the reason and the last log lines."""
    Path(options.config).parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{options.config}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Two labs may want the engine at the same moment.
        if pings(options.socket):
            return {"changed": False, "msg": "a Docker engine answers"}
        pids = own_engines(options.config)
        process = None
        removed = []
        if not pids:
            removed = clear_stale({options.pid_file: "dockerd", **stale[0]}, stale[1])
            process = launch(options.program, options.config, options.log)
        wait_until(lambda: pings(options.socket) or (process and process.poll() is not None), options.timeout)
        if not pings(options.socket):
            why = (f"ended with code {process.returncode}" if process and process.poll() is not None
                   else f"did not answer on {options.socket} within {options.timeout} s")
            raise EngineError(f"dockerd {why}; the end of its log ({options.log}):\n{last_words(options.log)}")
        return {"changed": process is not None, "msg": "the Docker engine runs", "pid": (pids or [process.pid])[0],
                "removed": removed}


def stop(options, containers=lambda: subprocess.run(
        ["docker", "ps", "--quiet"], capture_output=True, text=True, timeout=20, check=False).stdout.split()):
    """Stop the engine that the lab started, unless containers run on it; never any other engine."""
    pids = own_engines(options.config)
    if not pids:
        return {"changed": False, "msg": "no Docker engine that the lab started runs"}
    left = containers() if pings(options.socket) else []
    if left:
        return {"changed": False, "msg": f"the Docker engine stays: {len(left)} containers still run on it"}
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: not own_engines(options.config), options.timeout):
        for pid in own_engines(options.config):
            os.kill(pid, signal.SIGKILL)
        if not wait_until(lambda: not own_engines(options.config), 5):
            raise EngineError(f"dockerd (pid {pids[0]}) cannot be ended, not even by SIGKILL")
    return {"changed": True, "msg": "stopped the Docker engine that the lab started"}


def main(argv=None):
    """Run `python -m lab engine start|stop`; print the outcome as JSON, or the reason and exit 1."""
    parser = argparse.ArgumentParser(prog="python -m lab engine", description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("--config", required=True, help="the lab's own configuration file for dockerd")
    parser.add_argument("--socket", default="/var/run/docker.sock", help="where the engine answers")
    parser.add_argument("--pid-file", default="/run/cluster-lab-dockerd.pid", help="as in the configuration file")
    parser.add_argument("--program", default=which("dockerd", path=SEARCH), help="the engine")
    parser.add_argument("--log", default="/var/log/cluster-lab/dockerd.log", help="where its output goes")
    parser.add_argument("--timeout", type=float, default=60, help="seconds to wait at most")
    options = parser.parse_args(argv)
    try:
        if options.action == "start" and not options.program:
            raise EngineError(f"no dockerd in {SEARCH}: install Docker, or start one and run this again")
        print(json.dumps({"start": start, "stop": stop}[options.action](options)))
    except (EngineError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
