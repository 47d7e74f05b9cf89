"""`make dev`: a service with a database of its own, started again when a file changes."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from lab import dev
from lab.embedded import EmbeddedError, EmbeddedPostgres, free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start():
    """Start `make dev` on a folder and a port of its own."""
    processes = []

    def make(data, port):
        command = [sys.executable, "-m", "lab.dev", "--data", data, "--port", str(port)]
        processes.append(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return processes[-1]

    yield make
    for process in processes:
        process.terminate()
        process.communicate(timeout=20)


def test_it_is_up_soon_and_follows_changes(start, send, wait_for):
    with tempfile.TemporaryDirectory(prefix="vars-dev-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        port = free_port()

        def answers(target):
            try:
                return send(port, "GET", target).status == 200
            except OSError:
                return False

        begin = time.monotonic()
        process = start(Path(folder) / "dev", port)
        wait_for(lambda: answers("/var/a/1"), 20)
        assert time.monotonic() - begin < 10
        os.utime(ROOT / "app" / "__init__.py")
        wait_for(lambda: not answers("/var/a"), 10, pause=0.001)
        wait_for(lambda: answers("/var/a"), 10)
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=20)[0]
        assert process.returncode == 0
        assert "dev: a file changed" in output and output.count("Applied: ") == 1
        assert f"curl http://127.0.0.1:{port}/var/a/1" in output


def test_a_port_that_is_taken_is_said(start, wait_for):
    with tempfile.TemporaryDirectory(prefix="vars-dev-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process = start(Path(folder) / "dev", taken.getsockname()[1])
            giving_up = threading.Timer(60, process.terminate)
            giving_up.start()
            lines = []
            # On a busy machine there are more lines: the database was not available in time.
            while "the service has ended" not in (line := process.stdout.readline()) and line:
                lines.append(line)
            giving_up.cancel()
        process.terminate()
        process.communicate(timeout=20)
    assert any(line.startswith("app: cannot listen") for line in lines)
    assert "the service has ended" in line


@pytest.mark.parametrize("wrong", ["abc", "-1", "0", "65536"])
def test_a_port_that_is_none(capsys, wrong):
    with pytest.raises(SystemExit):
        dev.main(["--port", wrong])
    assert f"a port is a number from 1 to 65535, not '{wrong}'" in capsys.readouterr().err


def test_a_folder_that_is_none(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert dev.main(["--data", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("dev: ")


def test_a_server_that_cannot_start_says_why(postgres, capsys):
    with pytest.raises(EmbeddedError, match="could not create any TCP/IP sockets"):
        EmbeddedPostgres(postgres.folder / "twin", postgres.port).start()
    assert dev.main(["--data", str(postgres.folder)]) == 1
    assert "is another postmaster" in capsys.readouterr().err.lower()
