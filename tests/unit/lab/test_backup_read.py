"""What is read through `kubectl exec`, which may lose it without saying so."""

import pytest

from lab.backup import BackupError
from lab.backup.database import TRIES, Server

# Runs a program, and loses what it prints as long as there is something to count down.
LOSES = """
left=$(cat "$1"); count=$1; shift
[ "$left" -gt 0 ] || exec "$@"
echo $((left - 1)) > "$count"
"$@" > /dev/null
"""


@pytest.fixture
def server(tmp_path):
    """Return a function that gives a server whose way loses the first answers, so many of them."""

    def lossy(times):
        (tmp_path / "left").write_text(f"{times}\n")
        return Server(["sh", "-c", LOSES, "sh", str(tmp_path / "left")])

    return lossy


@pytest.mark.parametrize("times", range(TRIES))
def test_what_was_lost_is_asked_for_again_from_the_start(server, tmp_path, times):
    (tmp_path / "given").write_text("all\nof it\n")
    with (tmp_path / "given").open("rb") as given:
        assert server(times).read(server(times).program("cat"), given) == "all\nof it\n"


def test_nothing_printed_is_an_answer(server):
    assert server(0).read(server(0).program("true")) == ""


def test_what_is_lost_every_time_is_said(server):
    with pytest.raises(BackupError, match=f"what cat printed was lost on the way, {TRIES} times"):
        server(TRIES).read(server(TRIES).program("cat"))


def test_program_that_fails_is_not_run_again(server, tmp_path):
    with pytest.raises(BackupError, match="no such"):
        server(0).read(server(0).program("sh", "-c", f"echo x >> {tmp_path}/runs; echo no such >&2; exit 1"))
    assert (tmp_path / "runs").read_text() == "x\n"
